"""Backbones: unchanged they are their library's, in logits, gradients and cost."""

import sys
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from ddw_graph import create_model, generators
from ddw_graph.errors import ModelError, WiringError
from ddw_graph.models.backbones import BACKBONES, NoData, library_model, name_of
from ddw_graph.nn.cost import cost
from tests.models.networks import FULL, assert_same, blocks, spread

KNOWN = {
    "mobilenet_v2": (3_504_872, [1, 2, 3, 4, 3, 3, 1]),
    "resnet18": (11_689_512, [2, 2, 2, 2]),
    "resnet50": (25_557_032, [3, 4, 6, 3]),
    "resnet101": (44_549_160, [3, 4, 23, 3]),
    "resnext50_32x4d": (25_028_904, [3, 4, 6, 3]),
    "regnet_x_600mf": (6_196_040, [1, 3, 5, 7]),
    "regnet_x_1_6gf": (9_190_136, [2, 4, 10, 2]),
    "regnet_y_600mf": (6_055_160, [1, 3, 7, 4]),
    "efficientnet_b0": (5_288_548, [1, 2, 2, 3, 3, 4, 1]),
}
"""Parameters for 1000 classes (torchvision's documentation, and pycls' for the 600MF
ones), and the blocks of each stage."""

# Seconds each; test_rewiring.py has a small one of each family.
OF_A_FAMILY = {"resnet50", "resnet101", "resnext50_32x4d", "regnet_x_1_6gf"}
"""Those of which a smaller one is of the same family."""


@pytest.mark.parametrize(
    "name", ["regnet_y_600mf", pytest.param("regnet_x_600mf", marks=FULL)]
)
def test_the_600mf_networks_are_those_of_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = name.replace("regnet_", "regnet").replace("_600mf", "_006")
    new = create_model(name, edges="fixed", num_classes=5).double()
    old = spread(timm.create_model(theirs, num_classes=5))
    entries = [*old.state_dict().items()]
    parts = [".".join(entry.split(".")[:2]) for entry, _ in entries]
    # Ours has the shortcut's projection first in a block, timm's has it last.
    entries.sort(
        key=lambda entry: (
            parts.index(".".join(entry[0].split(".")[:2])),
            "downsample" not in entry[0],
        )
    )
    tensors = (tensor for _, tensor in entries)
    new.load_state_dict(dict(zip(new.state_dict(), tensors, strict=True)))
    assert_same(old, new)


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(n, marks=FULL if n in OF_A_FAMILY else ()) for n in BACKBONES),
        *("timm/convnext_atto", "timm/resnetv2_18"),
    ],
)
def test_with_fixed_edges_it_costs_what_the_librarys_own_does(name: str) -> None:
    drawn: Any = NoData()
    if name.startswith("timm"):
        pytest.importorskip("timm")
        drawn = nullcontext()  # some of its constructors compute with their weights
    with drawn:
        old = library_model(name, num_classes=1000, in_channels=3).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        old(torch.empty(1, 3, 64, 64, device="meta"))
    with drawn:
        new = create_model(name, edges="fixed")
    price = cost(new, image_size=64)
    assert price.layer_macs == counter.get_total_flops() // 2
    assert price.parameters == sum(p.numel() for p in old.parameters())
    assert price.weighing == 0
    if name in KNOWN:
        assert (price.parameters, blocks(new)) == KNOWN[name]


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet18"])
def test_images_may_have_any_number_of_channels(name: str) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    model = create_model(name, edges="fixed", num_classes=5, in_channels=1)
    usual = create_model(name, edges="fixed", num_classes=5)
    first, before = (next(m.stem.parameters()) for m in (model, usual))
    assert first.shape == (before.shape[0], 1, *before.shape[2:])
    # As the other is drawn: by what leaves the convolution.
    torch.testing.assert_close(first.std(), before.std(), rtol=0.15, atol=0)
    model(torch.randn(2, 1, 32, 32)).sum().backward()
    assert first.grad is not None and first.grad.abs().sum() > 0
    with pytest.raises(ModelError, match="must have 1 channels, got 3"):
        model(torch.zeros(2, 3, 32, 32))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision/resnet9", "torchvision has no network 'resnet9'"),
        ("torchvision", "torchvision/NAME, timm/NAME or one of .*, got 'torchvision'"),
        ("keras/resnet18", "must be one of .*resnet18.*, got 'keras/resnet18'"),
        ("timm/resnet9", "no network 'resnet9'; see timm.list_models"),
    ],
)
def test_an_unknown_name_is_refused(name: str, message: str) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(ModelError, match=message):
        create_model(name)


def test_without_timm_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="not installed: pip install timm"):
        create_model("timm/resnet18")


@pytest.mark.parametrize(
    "name",
    ["hf_hub:somebody/something", "local-dir:/tmp", "somebody/resnet18", "resnet18\n"],
)
def test_timm_never_gets_a_name_that_it_would_look_up_elsewhere(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timm = pytest.importorskip("timm")
    for function in ("create_model", "is_model"):
        monkeypatch.setattr(timm, function, lambda *a, **k: pytest.fail("was asked"))
    with pytest.raises(ModelError, match="timm/NAME"):
        create_model(f"timm/{name}")


@pytest.mark.parametrize(
    ("name", "wiring", "message"),
    [
        # Stage 1 has three blocks, and WS joins each to four.
        ("resnet50", "ws:k=4,p=0.5", "stage 1: k must be .* got k=4, n=3"),
        ("resnet18", generators.vgg(3), r"stage 1: .* 2 computing nodes .* n=3"),
        ("resnet18", [generators.vgg(2)] * 3, "each of the 4 stages, got 3"),
        ("resnet18", lambda n: generators.vgg(n + 1), "stage 1: .* got a DAG with n=3"),
        ("resnet18", "complete:n=3", "stage 1: n must be 3, .* got n=2"),
    ],
)
def test_a_wiring_has_a_node_for_every_block(
    name: str, wiring: Any, message: str
) -> None:
    with NoData(), pytest.raises(WiringError, match=message):
        create_model(name, wiring=wiring)


def test_a_name_stands_for_every_setting() -> None:
    timm = pytest.importorskip("timm")

    def found(library: Any, name: str, **settings: Any) -> str | None:
        with NoData():
            model = library(name, num_classes=4, **settings)
        return name_of(model, num_classes=4, in_channels=3)

    torchvision, of_timm = models.get_model, timm.create_model
    assert found(torchvision, "mobilenet_v2") == "mobilenet_v2"
    assert found(of_timm, "resnet18") == "timm/resnet18"
    assert found(of_timm, "resnet18", act_layer=nn.SiLU) is None
    # What a network does must come back too, where its modules do not show it.
    for library, name, settings in (
        (torchvision, "mobilenet_v2", {"width_mult": 0.5}),
        (torchvision, "mobilenet_v2", {"dropout": 0.3}),
        (of_timm, "resnet18", {"drop_rate": 0.5}),
        (of_timm, "efficientnet_b0", {"drop_rate": 0.5}),
    ):
        assert found(library, name, **settings) is None
    own = nn.Sequential(nn.Conv2d(3, 4, 3))
    assert name_of(own, num_classes=4, in_channels=3) is None
