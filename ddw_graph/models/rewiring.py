"""A network that one already has, rewired."""

import copy
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.generators.stages import Wiring, stage_wirings
from ddw_graph.models.backbones import name_of
from ddw_graph.models.parts import Parts, assembled, parts_of, parts_of_network
from ddw_graph.models.tracing import evaluating, taken_apart
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_settings, edge_text, kind_name, saved_text
from ddw_graph.nn.network import Network
from ddw_graph.wiring import edge_list, to_dict


def rewire(
    model: nn.Module,
    *,
    edges: str | Edges = "dynamic",
    wiring: Wiring | None = None,
    node: str | None = None,
    neutral: bool = True,
    drop_path: float = 0.0,
    seed: int = 0,
) -> Network:
    """Returns a network that one already has, with its weights, as stages of DAGs.

    Any network of torchvision or timm will do that is a chain of stages of blocks:
    ResNet, ResNeXt, RegNet, MobileNet, EfficientNet, ConvNeXt and more. It is copied:
    ``model`` stays as it is.

    With a neutral start the new network computes what the old one does: the edges that
    it had weigh 1 and new ones 0. They learn from there.

    Args:
        model: The network, or one that ``create_model`` or ``rewire`` made of a
            backbone.
        edges: A kind of edge weights; see ``Stage``.
        wiring: As for ``create_model``; n is the number of a stage's blocks. By default
            the complete DAG, and for fixed edges that of the network.
        node: What a node is. ``block``, the default: the whole block. ``branch``: what
            a block adds to its shortcut, as in the paper; neutral where nothing follows
            the addition (MobileNetV2, EfficientNet).
        neutral: Whether to start neutral, for which the wiring must have the edges that
            the network had. Otherwise edges start as their settings say.
        drop_path: Probability that, in training, a sample loses one input of a node.
        seed: Fixes random graphs.

    Raises:
        ModelError: If the network is no chain of stages of blocks, or something does
            not allow a neutral start.
        WiringError: If a wiring is none, or does not fit the stages.

    Example:
        >>> import torch
        >>> from torchvision.models import resnet18
        >>> old = resnet18().eval()
        >>> new = rewire(old, edges="dynamic")
        >>> images = torch.randn(2, 3, 64, 64)
        >>> torch.allclose(old(images), new(images), atol=1e-4)
        True

    Source:
        DDW, section 3.2; the neutral start is ours.
    """
    settings = edge_settings(edges)
    copied = copy.deepcopy(model)
    if isinstance(copied, Network):
        parts = parts_of_network(copied, node)
        name = (copied.config or {})["name"]
        had = {edge_text(stage.edges) for stage in copied.stages}
    else:
        backbone = taken_apart(copied)
        parts = parts_of(backbone, node or "block")
        name = name_of(
            copied, num_classes=parts.num_classes, in_channels=parts.in_channels
        )
        had = {"fixed"}
    if neutral and had != {"fixed"}:
        raise ModelError(
            "a neutral start is made from edges that weigh 1, got a network with "
            f"{', '.join(sorted(had))} edges; neutral=False starts anew"
        )
    if neutral and not parts.is_network:
        raise ModelError(
            "branches start neutral where nothing follows the addition in a block, got "
            "blocks that go on; take node='block', or neutral=False for a start of its "
            "own"
        )
    dags, config = described(
        parts,
        name,
        edges=settings,
        wiring=wiring,
        neutral=neutral,
        drop_path=drop_path,
        seed=seed,
    )
    if isinstance(copied, Network) and "blocks" in (copied.config or {}):
        # Of a pruned network: which of the backbone's blocks these are.
        config["blocks"] = (copied.config or {})["blocks"]
    network = assembled(parts, dags, config, edges=settings)
    modes = {module: module.training for module in copied.modules()}
    if not model.training:
        network.eval()
    # A copied shortcut has the modes that it was copied with.
    for module in network.modules():
        module.training = modes.get(module, module.training)
    if neutral:
        _check_same(model, network)
    return network


def described(
    parts: Parts,
    name: str | None,
    *,
    edges: Edges,
    wiring: Wiring | None,
    neutral: bool,
    drop_path: float,
    seed: int,
) -> tuple[list[nx.DiGraph], dict[str, Any]]:
    """Returns the wirings of a backbone's stages, and the network's configuration.

    Raises:
        WiringError: If a wiring is none, or does not fit the stages.
    """
    if wiring is None and kind_name(edges) == "fixed":
        dags = [stage.wiring for stage in parts.stages]
    else:
        blocks = [len(stage.operations) for stage in parts.stages]
        dags = stage_wirings(
            "complete" if wiring is None else wiring, blocks, seed=seed
        )
    had = [[[i, j] for i, j in edge_list(stage.wiring)] for stage in parts.stages]
    if parts.is_network and getattr(edges, "starts_neutral", False):
        neutral = True
    return dags, {
        "name": name,
        "node": parts.node,
        "edges": saved_text(edges),
        "num_classes": parts.num_classes,
        "in_channels": parts.in_channels,
        "drop_path": drop_path,
        "neutral": had if neutral else None,
        "wirings": [to_dict(dag) for dag in dags],
    }


@torch.no_grad()
def _check_same(model: nn.Module, network: Network) -> None:
    """Checks that two networks say the same of images of noise."""
    parameter = next(model.parameters())
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, network.in_channels, 64, 64, generator=generator)
    noise = noise.to(parameter.device, parameter.dtype)
    with evaluating(model), evaluating(network):
        wanted: Tensor = model(noise)
        found = network(noise)
    tolerance = torch.finfo(parameter.dtype).eps ** 0.5 * max(1, wanted.abs().max())
    difference = (found - wanted).abs().max().item()
    if not difference <= tolerance:
        raise ModelError(
            f"the rewired network must compute what the {type(model).__name__} does, "
            f"got logits that differ by {difference:.2g}: it is not of the form that "
            "rewire knows"
        )
