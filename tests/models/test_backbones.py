"""Backbones: as they come they are their library's, in logits, gradients and cost."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models as torchvision_models

from ddw_graph import create_model, generators, rewire
from ddw_graph.errors import ModelError, WiringError
from ddw_graph.models.backbones import BACKBONES, NoData, library_model, name_of
from ddw_graph.nn.cost import cost

PARAMETERS = {
    "mobilenet_v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnext50_32x4d": 25_028_904,
    "regnet_x_600mf": 6_196_040,
    "regnet_x_1_6gf": 9_190_136,
    "regnet_y_600mf": 6_055_160,
    "efficientnet_b0": 5_288_548,
}
"""For 1000 classes: torchvision's documentation, and pycls' for the 600MF ones."""

NODES = {
    "mobilenet_v2": [3, 4, 5, 6, 5, 5, 3],
    "resnet18": [4, 4, 4, 4],
    "resnet50": [5, 6, 8, 5],
    "resnet101": [5, 6, 25, 5],
    "resnext50_32x4d": [5, 6, 8, 5],
    "regnet_x_600mf": [3, 5, 7, 9],
    "regnet_x_1_6gf": [4, 6, 12, 4],
    "regnet_y_600mf": [3, 5, 9, 6],
    "efficientnet_b0": [3, 4, 4, 5, 5, 6, 3],
}
"""N of each stage: its blocks, the input and the output."""

# Seconds each; test_rewiring.py has a small one of each family.
OF_A_FAMILY = {"resnet50", "resnet101", "resnext50_32x4d", "regnet_x_1_6gf"}
"""Those of which a smaller one is of the same family."""


def spread(model: nn.Module, seed: int = 0) -> nn.Module:
    """Returns the network in float64 with no scale, shift or statistic left trivial."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    for name, parameter in model.named_parameters():
        if parameter.numel() > max(parameter.shape, default=1):
            continue  # a matrix or a kernel, drawn already
        if name.endswith("bias"):
            parameter.data.normal_(std=0.2, generator=generator)
        else:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.2, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
    return model


def pixels(channels: int = 3, size: int = 48, batch: int = 2) -> Tensor:
    """Returns images of noise in float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(
        batch, channels, size, size, generator=generator, dtype=torch.float64
    )


def assert_same(old: nn.Module, new: nn.Module, x: Tensor | None = None) -> None:
    """Asserts that two networks say the same and learn the same, to 1e-9.

    Logits, and the gradients of the images and of every parameter, first in evaluation
    and then in training, and what training left in the statistics. A parameter of
    ``new`` belongs to that of ``old`` which holds the same numbers; where it has copies
    their gradients add up. Dropout of any kind draws from the same seed.
    """
    x = pixels() if x is None else x
    names = {_content(p): name for name, p in old.named_parameters()}
    assert len(names) == len([*old.parameters()]), "two parameters cannot be told apart"
    belongs = {name: names.get(_content(p)) for name, p in new.named_parameters()}
    assert {*names.values()} <= {*belongs.values()}, "a parameter is not there"
    for training in (False, True):
        wanted, logits = _gradients(old, x, training)
        found, answers = _gradients(new, x, training)
        _close(answers, logits, 0)
        largest = max(float(gradient.abs().max()) for gradient in wanted.values())
        for name, gradient in wanted.items():
            copies = [g for n, g in found.items() if belongs.get(n, n) == name]
            # A shift before a normalisation has no gradient but that of rounding.
            _close(torch.stack(copies).sum(0), gradient, 1e-6 * largest)
    with torch.no_grad():
        _close(new.eval()(x), old.eval()(x), 0)


def _content(tensor: Tensor) -> tuple[tuple[int, ...], bytes]:
    return tuple(tensor.shape), tensor.detach().numpy().tobytes()


def _gradients(
    model: nn.Module, x: Tensor, training: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Returns the gradients by name, that of the images among them, and the logits."""
    model.train(training).zero_grad()
    images = x.clone().requires_grad_()
    torch.manual_seed(0)
    logits = model(images)
    grad = torch.linspace(-1, 1, logits.numel(), dtype=x.dtype).view_as(logits)
    logits.backward(grad)
    named = [("images", images), *model.named_parameters()]
    return {n: p.grad for n, p in named if p.grad is not None}, logits.detach()


def _close(found: Tensor, wanted: Tensor, least: float) -> None:
    largest = max(float(wanted.abs().max()), least)
    assert float((found - wanted).abs().max()) <= 1e-9 * largest


def stages(model: Any) -> list[int]:
    """Returns N of each stage."""
    return [stage.plan.nodes for stage in model.stages]


@pytest.mark.parametrize(
    "name", ["regnet_y_600mf", pytest.param("regnet_x_600mf", marks=pytest.mark.full)]
)
def test_the_600mf_networks_are_those_of_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    told = name.replace("regnet_", "regnet").replace("_600mf", "_006")
    new = create_model(name, edges="fixed", num_classes=5).double()
    old = spread(timm.create_model(told, num_classes=5))
    entries = [*old.state_dict().items()]
    blocks = [".".join(entry.split(".")[:2]) for entry, _ in entries]
    # Ours has the shortcut's projection first in a block, timm's has it last.
    entries.sort(
        key=lambda entry: (
            blocks.index(".".join(entry[0].split(".")[:2])),
            "downsample" not in entry[0],
        )
    )
    keys = new.state_dict()
    new.load_state_dict(
        {key: tensor for key, (_, tensor) in zip(keys, entries, strict=True)}
    )
    assert_same(old, new)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if name in OF_A_FAMILY else ())
        for name in BACKBONES
    ],
)
def test_with_fixed_edges_it_costs_what_the_librarys_own_does(name: str) -> None:
    with NoData():
        old = library_model(name, num_classes=1000, in_channels=3).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        old(torch.empty(1, 3, 64, 64, device="meta"))
    with NoData():
        new = create_model(name, edges="fixed")
    price = cost(new, image_size=64)
    assert stages(new) == NODES[name]
    assert price.layer_macs == counter.get_total_flops() // 2
    assert price.parameters == PARAMETERS[name]
    assert price.parameters == sum(p.numel() for p in old.parameters())
    assert price.weighing == 0


@pytest.mark.parametrize("name", ["convnext_atto", "resnetv2_18", "seresnet18"])
def test_what_lies_between_stages_is_paid_for_too(name: str) -> None:
    timm = pytest.importorskip("timm")
    old = timm.create_model(name, num_classes=5)
    price = cost(rewire(old, edges="fixed"), image_size=64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        old.to("meta").eval()(torch.empty(1, 3, 64, 64, device="meta"))
    assert price.layer_macs == counter.get_total_flops() // 2
    assert price.parameters == sum(p.numel() for p in old.parameters())


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet18", 1),
        ("timm/resnet18", 1),
        pytest.param("resnet18", 4, marks=pytest.mark.full),
    ],
)
def test_images_may_have_any_number_of_channels(name: str, channels: int) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model = create_model(name, edges="fixed", num_classes=5, in_channels=channels)
    usual = create_model(name, edges="fixed", num_classes=5)
    first, before = (next(m.stem.parameters()) for m in (model, usual))
    assert first.shape == (before.shape[0], channels, *before.shape[2:])
    # As the other is drawn: by what leaves the convolution.
    torch.testing.assert_close(first.std(), before.std(), rtol=0.15, atol=0)
    model(torch.randn(2, channels, 32, 32)).sum().backward()
    assert first.grad is not None and first.grad.abs().sum() > 0
    with pytest.raises(ModelError, match=f"must have {channels} channels, got 3"):
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
def test_an_unknown_name_is_told_where_names_are(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(ModelError, match=message):
        create_model(name)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match="not installed: pip install timm"):
        create_model("timm/resnet18")


@pytest.mark.parametrize(
    "name",
    ["hf_hub:somebody/something", "local-dir:/tmp", "somebody/resnet18", "resnet18\n"],
)
def test_timm_never_hears_of_a_name_that_it_would_look_up_elsewhere(
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


def found(model: nn.Module) -> str | None:
    return name_of(model, num_classes=4, in_channels=3)


def made(name: str, **settings: Any) -> nn.Module:
    with NoData():
        model: nn.Module = torchvision_models.get_model(name, num_classes=4, **settings)
    return model


@pytest.mark.parametrize("settings", [{"width_mult": 0.5}, {"dropout": 0.3}])
def test_a_network_with_settings_of_its_own_has_no_name(
    settings: dict[str, float],
) -> None:
    assert found(made("mobilenet_v2", **settings)) is None


def test_a_network_of_no_library_has_no_name() -> None:
    assert found(nn.Sequential(nn.Conv2d(3, 4, 3))) is None


def test_looking_for_a_name_draws_nothing() -> None:
    model = torchvision_models.get_model("efficientnet_b0", num_classes=4)
    state = torch.random.get_rng_state()
    name_of(model, num_classes=4, in_channels=3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_network_of_timm_is_found_by_its_structure() -> None:
    timm = pytest.importorskip("timm")

    def named(name: str, **settings: Any) -> str | None:
        return found(timm.create_model(name, num_classes=4, **settings))

    assert named("resnet18") == "timm/resnet18"
    assert named("resnet18", act_layer=nn.SiLU) is None
    # What a network does must come back too, where its modules do not tell.
    assert named("resnet18", drop_rate=0.5) is None
    assert named("efficientnet_b0", drop_rate=0.5) is None
