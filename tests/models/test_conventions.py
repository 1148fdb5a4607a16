"""What timm's models have, on a paper's network, a Transformer and rewired ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.data.config import resolve_data_config
from timm.models import group_parameters
from timm.optim._optim_factory import create_optimizer_v2
from torch import Tensor, nn

from ddw_graph import create_model, load, rewire, save
from ddw_graph.errors import ModelError
from ddw_graph.models import from_config
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.network import Network

VIT: dict[str, Any] = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 32}


def timm_vit() -> Network:
    model = timm.create_model("vit_tiny_patch16_224", num_classes=7, **VIT)
    return rewire(model, edges="dynamic")


def timm_xcit() -> Network:
    settings: Any = {"depth": 3, "embed_dim": 32, "num_heads": 2, "num_classes": 7}
    model = timm.create_model("xcit_nano_12_p16_224", **settings)
    network = rewire(model, edges="dynamic")
    assert isinstance(network, HostNetwork)
    return network


NETWORKS: dict[str, Callable[[], Network]] = {
    "randwire": lambda: create_model("randwire_tiny", n=5, channels=4, num_classes=7),
    "backbone": lambda: create_model("resnet18", num_classes=7),
    "transformer": lambda: create_model("vit_tiny", depth=2, num_classes=7),
    "timm's convolutional": lambda: create_model("timm/resnet18", num_classes=7),
    "timm's Transformer": timm_vit,
    "a host": timm_xcit,
}


@pytest.fixture(scope="module", params=NETWORKS)
def make(request: pytest.FixtureRequest) -> Callable[[], Network]:
    made: Callable[[], Network] = NETWORKS[request.param]
    return made


def images(network: Network) -> Tensor:
    return torch.randn(2, 3, network.image_size or 32, network.image_size or 32)


@torch.no_grad()
def test_a_forward_is_features_and_head(make: Callable[[], Network]) -> None:
    network = make().eval()
    x = images(network)
    logits, features = network(x), network.forward_features(x)
    torch.testing.assert_close(network.forward_head(features), logits)
    read = network.forward_head(features, pre_logits=True)
    assert read.shape == (2, network.num_features)
    torch.testing.assert_close(network.get_classifier()(read), logits)
    last, levels = network.forward_intermediates(x)
    assert len(levels) == len(network.feature_info)
    for level, about in zip(levels, network.feature_info, strict=True):
        assert about["num_chs"] == level.shape[-1 if level.ndim == 3 else 1]
        if level.ndim == 4:
            assert about["reduction"] == round(x.shape[-1] / level.shape[-1])
    (only,) = network.forward_intermediates(x, [0], intermediates_only=True)
    torch.testing.assert_close(only, levels[0])
    early, _ = network.forward_intermediates(x, [0], stop_early=True)
    assert early.shape[0] == 2


def test_a_classifier_is_replaced_and_its_network_saved(
    make: Callable[[], Network], tmp_path: Path
) -> None:
    network = make().eval()
    x = images(network)
    assert network.num_classes == 7
    name = network.get_classifier(name_only=True)
    assert network.get_submodule(name) is network.get_classifier()
    network.reset_classifier(3)
    assert network.num_classes == 3 and network(x).shape == (2, 3)
    named = (network.config or {})["name"] is not None
    if named:
        save(network, tmp_path / "three.safetensors")
        torch.testing.assert_close(load(tmp_path / "three.safetensors")(x), network(x))
    network.reset_classifier(0)
    assert network.num_classes == 0
    assert network(x).shape == (2, network.num_features)
    if named:
        save(network, tmp_path / "none.safetensors")
        again = load(tmp_path / "none.safetensors")
        torch.testing.assert_close(again(x), network(x))
        again.reset_classifier(4)
        assert again(x).shape == (2, 4)


def test_timms_optimizers_find_layers_and_what_does_not_decay(
    make: Callable[[], Network],
) -> None:
    network = make()
    undecayed = network.no_weight_decay()
    names = {name for name, _ in network.named_parameters()}
    assert {name for name in undecayed if "*" not in name} <= names
    assert {n for n in names if n.endswith(("threshold", "neutral_scale"))} <= undecayed
    layers = group_parameters(network, network.group_matcher(), reverse=True)
    assert layers.keys() == names
    for place, stage in enumerate(network.stages):
        own = [
            [layers[name] for name, p in network.named_parameters() if p in {*node}]
            for node in (set(operation.parameters()) for operation in stage.operations)
        ]
        of_nodes = [{*each} for each in own]
        assert all(len(each) == 1 for each in of_nodes)
        depths = [min(each) for each in of_nodes]
        assert depths == sorted({*depths}) and min(depths) > place
    assert layers[network.get_classifier(name_only=True) + ".weight"] == max(
        layers.values()
    )
    coarse = group_parameters(network, network.group_matcher(coarse=True))
    assert len(coarse) == len(network.stages) + 2
    optimizer = create_optimizer_v2(
        network, "adamw", lr=1.0, weight_decay=0.1, layer_decay=0.5
    )
    by_name = {id(p): name for name, p in network.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if by_name[id(parameter)] in undecayed:
                assert group["weight_decay"] == 0


def test_gradient_checkpointing_is_the_stages_recomputing(
    make: Callable[[], Network],
) -> None:
    network = make()
    network.set_grad_checkpointing()
    assert all(stage.recompute for stage in network.stages)
    network.set_grad_checkpointing(False)
    assert not any(stage.recompute for stage in network.stages)


def test_timm_knows_how_to_prepare_images(make: Callable[[], Network]) -> None:
    network = make()
    found = resolve_data_config({}, model=network)  # type: ignore[no-untyped-call]
    about = network.pretrained_cfg
    assert found["input_size"] == about["input_size"]
    assert about["num_classes"] == 7
    assert isinstance(network.get_submodule(about["first_conv"]), nn.Conv2d)
    if network.own_cfg is not None:
        assert about["crop_pct"] == network.own_cfg["crop_pct"]


def test_networks_without_classes_are_made_and_made_again() -> None:
    network = create_model("randwire_tiny", n=5, channels=4, num_classes=0).eval()
    again = from_config(network.config or {}).eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(2, 3, 16, 16)
    assert network(x).shape == (2, 16) and network.num_classes == 0
    torch.testing.assert_close(again(x), network(x))


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("resnet34", {}, "did you mean torchvision/resnet34"),
        ("randwire_smal", {}, "did you mean randwire_small"),
        ("resnet18", {"in_chans": 1}, "is called in_channels"),
        ("resnet18", {"drop_path_rate": 0.1}, "is called drop_path"),
        ("randwire_tiny", {"drop_rate": 0.1}, "is called dropout"),
        ("resnet18", {"pretrained": True}, "rewire"),
        ("gpt_tiny", {"num_classes": 3}, "got num_classes"),
    ],
)
def test_names_of_other_libraries_are_answered(
    name: str, settings: dict[str, Any], word: str
) -> None:
    with pytest.raises(ModelError, match=word):
        create_model(name, **settings)


def test_mistakes_name_the_rule() -> None:
    network = NETWORKS["randwire"]()
    x = torch.randn(2, 3, 16, 16)
    for call, word in (
        (lambda: network(x[0]), "batch"),
        (lambda: network.forward_intermediates(x, [3]), "indices"),
        (lambda: network.forward_intermediates(x, output_fmt="NLC"), "output_fmt"),
        (lambda: network.reset_classifier(-1), "num_classes"),
        (lambda: create_model("gpt_tiny", depth=1).reset_classifier(3), "vocabulary"),
    ):
        with pytest.raises(ModelError, match=word):
            call()


def test_timm_creates_the_networks() -> None:
    import ddw_graph.timm  # noqa: F401

    assert "ddw_resnet50" in timm.list_models("ddw_*")
    settings: Any = {"in_chans": 1, "num_classes": 4, "drop_path_rate": 0.2}
    network = timm.create_model("ddw_randwire_tiny", edges="learned", **settings)
    assert isinstance(network, Network) and network.num_classes == 4
    assert network.stages[0].drop_path == 0.2 and network.in_channels == 1
    levels: Any = timm.create_model("ddw_resnet18", features_only=True)
    assert levels.feature_info.channels()[-1] == 512
    with pytest.raises(ModelError, match="pretrained"):
        timm.create_model("ddw_resnet18", pretrained=True)


def test_torchs_hub_makes_networks() -> None:
    settings: Any = {"source": "local", "n": 5, "channels": 4, "num_classes": 2}
    root = str(Path(__file__).parents[2])
    network = torch.hub.load(root, "create_model", "randwire_tiny", **settings)  # type: ignore[no-untyped-call]
    assert network(torch.randn(1, 3, 16, 16)).shape == (1, 2)
