"""The weights of a backbone's own file, in the network that was wired from it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.models.backbones import library_model
from ddw_graph.models.create import from_config
from ddw_graph.nn.network import Network


@torch.no_grad()
def load_backbone(
    network: Network, weights: Mapping[str, Tensor], *, classifier: bool = True
) -> None:
    """Loads weights of a backbone, by its library's names, into its wired form.

    Edge weights stay, and projections that the backbone does not have.

    Args:
        network: A network that was made from a backbone of ``create_model``.
        weights: The ``state_dict`` of that backbone, such as
            ``torchvision.models.ResNet50_Weights.DEFAULT.get_state_dict()``.
        classifier: Whether to load the classifier; otherwise the network keeps its own,
            which may have other classes.

    Raises:
        ModelError: If the network has no such backbone, or the weights are of another.

    Example:
        >>> from torchvision.models import resnet18
        >>> from ddw_graph import create_model
        >>> trained, network = resnet18().eval(), create_model("resnet18").eval()
        >>> load_backbone(network, trained.state_dict())
        >>> torch.equal(network.stem.conv1.weight, trained.conv1.weight)
        True
    """
    config = network.config or {}
    name = config.get("name")
    if name is None or "node" not in config or not config["num_classes"]:
        raise ModelError(
            "network must be a backbone of create_model with a classifier, got "
            f"{name or 'one of your own'}"
        )
    state = network.state_dict()
    sizes = {key: config[key] for key in ("num_classes", "in_channels")}
    with torch.random.fork_rng(devices=[]):
        backbone = library_model(name, **sizes)
        given, own = dict(weights), backbone.state_dict()
        if not classifier:
            path = network.get_classifier(name_only=True).partition(".")[2] + "."
            given |= {
                key: state[f"{network.classifies}.{key}"]
                for key in own
                if key.startswith(path)
            }
        wrong = sorted(
            key
            for key in own.keys() | given.keys()
            if key not in own or key not in given or own[key].shape != given[key].shape
        )
        if wrong:
            raise ModelError(
                f"weights must be those of {name} with {sizes['num_classes']} classes "
                f"and {sizes['in_channels']} channels, got another {wrong[0]}"
            )
        backbone.load_state_dict(given)
        of_backbone = {id(t) for t in backbone.state_dict(keep_vars=True).values()}
        wired = from_config({**config, "name": None}, backbone=backbone)
    for key, tensor in wired.state_dict(keep_vars=True).items():
        # A block's shortcut is copied for the nodes after it.
        copied = ".projection." in key and config["node"] == "block"
        if copied or id(tensor) in of_backbone:
            state[key].copy_(tensor)
