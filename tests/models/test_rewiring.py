"""Rewired networks: equal to what they were made of, and free to learn from there."""

import copy
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision import models
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from ddw_graph import Network, create_model, rewire
from ddw_graph.errors import ModelError, WiringError
from ddw_graph.generators import complete, resnet, vgg
from ddw_graph.models import from_config, rewiring
from ddw_graph.models.backbones import NoData
from ddw_graph.wiring import edge_list
from tests.models.test_backbones import assert_same, pixels, spread, stages


def basic() -> nn.Module:
    model: nn.Module = ResNet(BasicBlock, [2, 2, 1, 1], num_classes=5)
    return model


def regnet(se_ratio: float | None = 0.25) -> nn.Module:
    shape: dict[str, Any] = {"depth": 5, "w_0": 24, "w_a": 24.0, "w_m": 2.0}
    params = BlockParams.from_init_params(**shape, group_width=8, se_ratio=se_ratio)
    model: nn.Module = RegNet(params, num_classes=5)
    return model


def mobilenet_v2() -> nn.Module:
    stages = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 48, 2, 1]]
    model: nn.Module = MobileNetV2(
        num_classes=5, width_mult=0.25, inverted_residual_setting=stages
    )
    return model


def efficientnet() -> nn.Module:
    stages = [(1, 1, 16, 8, 1), (4, 2, 8, 16, 3), (4, 1, 16, 24, 2)]
    settings = [MBConvConfig(e, 3, s, i, o, n) for e, s, i, o, n in stages]
    model: nn.Module = EfficientNet(
        settings, dropout=0.2, stochastic_depth_prob=0.3, num_classes=5
    )
    return model


FULL = pytest.mark.full

OWN: dict[str, Callable[[], nn.Module]] = {
    "ResNet": basic,
    "ResNet, bottlenecks": lambda: ResNet(
        Bottleneck, [2, 1, 2, 1], num_classes=5, width_per_group=16
    ),
    "ResNeXt": lambda: ResNet(
        Bottleneck, [1, 2, 1, 2], num_classes=5, groups=8, width_per_group=2
    ),
    "RegNet X": lambda: regnet(None),
    "RegNet Y": regnet,
    "MobileNetV2": mobilenet_v2,
    "EfficientNet": efficientnet,
}
"""Each family of torchvision's that the paper takes, small."""

NARROW: dict[str, Any] = {"channels": (16, 32, 64, 96)}
TIMM: dict[str, dict[str, Any]] = {
    "resnet18": NARROW,
    "seresnet18": NARROW,
    "regnetx_002": {},
    "mobilenetv2_100": {},
    "efficientnet_b0": {},
    "mobilenetv3_small_050": {},
    "convnext_atto": {"dims": (16, 32, 64, 96), "depths": (2, 2, 3, 2)},
    "resnetv2_18": NARROW,
}
"""Networks of timm, with the settings that make them small."""

QUICK = {
    ("ResNet", "dynamic"),
    ("ResNet, bottlenecks", "dynamic"),
    ("RegNet Y", "dynamic"),
    *(("MobileNetV2", kind) for kind in ("learned", "dynamic")),
    *(("EfficientNet", kind) for kind in ("learned", "dynamic")),
    ("convnext_atto", "dynamic"),
    ("resnetv2_18", "dynamic"),
}
"""Families and edges of the default tier. The others differ by their settings alone."""


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the search for a name, which makes every network of a library."""
    monkeypatch.setattr(rewiring, "name_of", lambda model, **sizes: None)


def original(family: str) -> nn.Module:
    if family in OWN:
        return spread(OWN[family]())
    timm = pytest.importorskip("timm")
    return spread(timm.create_model(family, num_classes=5, **TIMM[family]))


def assert_starts_neutral(
    network: Network, kept: Iterable[list[tuple[int, int]]]
) -> None:
    """Asserts that exactly the kept edges of each stage weigh 1, and all others 0."""
    for training in (False, True):
        _, adjacency = network.train(training)(pixels(), return_adjacency=True)
        for stage, matrix, edges in zip(network.stages, adjacency, kept, strict=True):
            wanted = torch.zeros_like(matrix)
            for i, j in edges:
                wanted[:, j, i] = 1
            assert torch.equal(matrix, wanted), stage


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (family, edges),
            marks=() if (family, edges) in QUICK else FULL,
            id=f"{family}, {edges}",
        )
        for family in (*OWN, *TIMM)
        for edges in ("learned", "dynamic")
    ],
)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, Network]:
    """Returns a network of each family, and the same rewired."""
    family, edges = request.param
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.setattr(rewiring, "name_of", lambda model, **sizes: None)
        torch.manual_seed(0)
        old = original(family)
        return old, rewire(old, edges=edges)


def test_from_a_neutral_start_it_is_the_network(
    pair: tuple[nn.Module, Network],
) -> None:
    old, new = pair
    blocks = [n - 2 for n in stages(new)]
    assert [edge_list(stage.dag) for stage in new.stages] == [
        edge_list(complete(n)) for n in blocks
    ]
    assert_same(old, new)
    assert_starts_neutral(new, [edge_list(vgg(n)) for n in blocks])


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=() if (family, "dynamic") in QUICK else FULL)
        for family in OWN
    ],
)
def test_with_its_own_edges_fixed_it_is_the_network(family: str) -> None:
    old = original(family)
    new = rewire(old, edges="fixed")
    assert [p.numel() for p in new.parameters()] == [
        p.numel() for p in old.parameters()
    ]
    assert_same(old, new)


def test_everything_new_learns_from_the_second_step_on(
    pair: tuple[nn.Module, Network],
) -> None:
    new = copy.deepcopy(pair[1]).train()
    x, labels = pixels(), torch.tensor([0, 1])
    optimizer = torch.optim.SGD(new.parameters(), lr=0.01)
    for step in range(2):
        optimizer.zero_grad()
        loss: Any = functional.cross_entropy(new(x), labels)
        loss.backward()
        assert [n for n, p in new.named_parameters() if p.grad is None] == []
        if step == 0:
            optimizer.step()
    added = {
        name: parameter.grad
        for name, parameter in new.named_parameters()
        if re.match(r"stages\.\d+\.(weights|projection)\.", name)
    }
    assert added
    idle = [name for name, grad in added.items() if grad is None or not grad.any()]
    assert idle == []


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    ("family", "edges"),
    [
        ("EfficientNet", "learned"),
        ("EfficientNet", "dynamic"),
        ("convnext_atto", "dynamic"),
        ("MobileNetV2", "learned"),
        pytest.param("MobileNetV2", "dynamic", marks=FULL),
        pytest.param("convnext_atto", "learned", marks=FULL),
    ],
)
def test_branches_start_neutral_too(family: str, edges: str) -> None:
    old = original(family)
    fixed = rewire(old, edges="fixed", node="branch")
    new = rewire(old, edges=edges, node="branch")
    kept = [edge_list(stage.dag) for stage in fixed.stages]
    count, wanted = (sum(p.numel() for p in m.parameters()) for m in (fixed, old))
    assert count == wanted
    assert_same(old, new)
    assert_starts_neutral(new, kept)


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize("edges", ["learned:form=free", "dynamic"])
def test_branches_start_neutral_on_streams(edges: str) -> None:
    old = original("convnext_atto")
    new = rewire(old, edges=edges, node="branch", wiring="streams:width=2")
    assert all("streams:" in stage.dag.graph["wiring"] for stage in new.stages)
    assert_same(old, new)


@pytest.mark.usefixtures("nameless")
def test_streams_do_not_compute_blocks_without_a_shortcut() -> None:
    # These start a sum anew; every stream keeps its own.
    with pytest.raises(ModelError, match="attribute weights compute something else"):
        rewire(mobilenet_v2(), node="branch", wiring="streams:width=2")


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "wiring",
    [resnet, "er:p=0.9", *(pytest.param(w, marks=FULL) for w in (vgg, complete))],
)
def test_any_wiring_that_keeps_the_chain_will_do(wiring: Any) -> None:
    # Stages of two blocks at most: the one inner edge is drawn at this seed.
    old = spread(OWN["ResNeXt"]())
    new = rewire(old, edges="dynamic", wiring=wiring, seed=3)
    assert_same(old, new)


@pytest.mark.parametrize("training", [False, True])
def test_what_is_rewired_stays_as_it_is(training: bool) -> None:
    model = models.resnet18(num_classes=5).train(training)
    model.get_submodule("layer1").train(not training)
    model.get_submodule("layer2").requires_grad_(False)
    kept = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    tensors = {id(p) for p in (*model.parameters(), *model.buffers())}
    structure = repr(model)
    new = rewire(model, edges="learned")
    assert all(torch.equal(kept[k], t) for k, t in model.state_dict().items())
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert repr(model) == structure
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not tensors & {id(p) for p in (*new.parameters(), *new.buffers())}
    new.train()
    new(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(kept[k], t) for k, t in model.state_dict().items())


def test_modes_and_frozen_parameters_are_those_of_the_network() -> None:
    model = models.resnet18(num_classes=5).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
    new = rewire(model, edges="dynamic")
    assert new.training and new.head.training and new.stages[0].weights.training
    norms = [m for m in new.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    # Also in the copies of shortcuts that the other nodes hear the input by.
    assert not any(norm.training for norm in norms)
    assert not any(module.training for module in rewire(model.eval()).modules())


def test_what_is_new_is_where_the_network_is() -> None:
    new = rewire(models.resnet18(num_classes=5).bfloat16(), edges="dynamic")
    assert {p.dtype for p in new.parameters()} == {torch.bfloat16}


def test_a_network_of_ours_is_rewired_again_and_stays_equal() -> None:
    pytest.importorskip("timm")
    name = "timm/test_convnext"
    chain = create_model(name, edges="fixed", num_classes=5)
    spread(chain)
    new = rewire(chain, edges="dynamic")
    assert_same(chain, new)
    assert new.config is not None and new.config["name"] == name
    assert chain.config is not None and chain.config["edges"] == "fixed"


@pytest.mark.parametrize(
    ("name", "edges"),
    [
        ("timm/test_convnext", "fixed"),
        ("timm/test_convnext", "learned"),
        pytest.param("mobilenet_v2", "fixed", marks=FULL),
        pytest.param("mobilenet_v2", "learned", marks=FULL),
    ],
)
def test_a_chain_of_ours_unrolls(name: str, edges: str) -> None:
    pytest.importorskip("timm")
    chain = create_model(name, edges="fixed", node="block", num_classes=5)
    spread(chain)
    assert_same(chain, rewire(chain, edges=edges, node="branch"))


@pytest.mark.parametrize("edges", ["learned", "dynamic"])
def test_edges_that_have_learned_start_anew_or_not_at_all(edges: str) -> None:
    model = create_model("resnet18", edges=edges, num_classes=5)
    with pytest.raises(ModelError, match=f"got a network with {edges} edges"):
        rewire(model)
    new = rewire(model, edges="dynamic", neutral=False)
    own = {key: t for key, t in model.state_dict().items() if ".weights." not in key}
    for key, tensor in own.items():
        assert torch.equal(new.state_dict()[key], tensor)
    assert new.config is not None and new.config["neutral"] is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        # A wiring must have what the network has.
        ({"wiring": "er:p=0"}, ModelError, "each with a weight, got none for 1 -> 2"),
        (
            {"edges": "fixed", "wiring": complete},
            ModelError,
            "stage 1: fixed edges weigh 1, .* differs in 0 -> 2",
        ),
        ({"node": "branch"}, ModelError, "branches start neutral where nothing follow"),
        ({"node": "stage"}, ModelError, "one of block, branch, got 'stage'"),
        ({"wiring": [vgg(2)] * 5}, WiringError, "each of the 4 stages, got 5"),
    ],
)
def test_says_what_does_not_allow_it(
    nameless: None, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with NoData(), pytest.raises(error, match=message) as refusal:
        rewire(models.resnet18(num_classes=5), **settings)
    assert len(str(refusal.value).splitlines()) == 1


def named(name: str, **settings: Any) -> Callable[[], Network]:
    return lambda: create_model(name, num_classes=5, **settings)


def rewired(make: Callable[[], nn.Module], **settings: Any) -> Callable[[], Network]:
    return lambda: rewire(make(), **settings)


def large(make: Callable[[], Network]) -> Any:
    return pytest.param(make, marks=FULL)


def resnet18() -> nn.Module:
    model: nn.Module = models.resnet18(num_classes=5)
    return model


def mobilenet() -> nn.Module:
    model: nn.Module = models.mobilenet_v2(num_classes=5)
    return model


@pytest.mark.parametrize(
    "make",
    [
        named("resnet18", edges="fixed"),
        named("resnet18", edges="dynamic", drop_path=0.1),
        named("resnet18", edges="learned", wiring="er:p=0.5", seed=5),
        large(named("mobilenet_v2", edges="fixed", node="branch")),
        large(rewired(resnet18, edges="learned")),
        rewired(resnet18, node="branch", neutral=False),
        large(rewired(mobilenet, edges="dynamic", node="branch")),
        rewired(named("resnet18", edges="fixed"), edges="dynamic"),
        large(
            rewired(named("resnet18", edges="learned"), edges="fixed", neutral=False)
        ),
        large(
            rewired(rewired(resnet18, edges="fixed"), edges="learned", wiring=resnet)
        ),
    ],
)
def test_a_configuration_makes_the_network_again(make: Callable[[], Network]) -> None:
    _assert_comes_back(make())


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"edges": "fixed"}, marks=FULL),
        pytest.param({"neutral": False}, marks=FULL),
    ],
)
def test_a_backbone_of_ones_own_must_be_given_again(settings: dict[str, Any]) -> None:
    new = rewire(basic(), **settings)
    assert new.config is not None and new.config["name"] is None
    with pytest.raises(ModelError, match="backbone must be given, got None"):
        from_config(new.config)
    _assert_comes_back(new, backbone=basic())
    with pytest.raises(ModelError, match="must have 5 classes and 3 channels, got 6"):
        from_config(new.config, backbone=ResNet(BasicBlock, [2, 2, 1, 1], 6))
    with pytest.raises(ModelError, match="stage 1 of the backbone has 1 blocks"):
        from_config(new.config, backbone=ResNet(BasicBlock, [1, 2, 1, 1], 5))


def _assert_comes_back(network: Network, **given: Any) -> None:
    """Asserts that a configuration, written and read, rebuilds a network."""
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    again = from_config(json.loads(json.dumps(network.config)), **given)
    assert again.config == network.config
    again.load_state_dict(network.state_dict(), strict=True)
    assert repr(again) == repr(network)
    x = torch.randn(2, network.in_channels, 32, 32)
    for training in (False, True):
        torch.manual_seed(1)
        wanted, matrices = network.train(training)(x, return_adjacency=True)
        torch.manual_seed(1)
        found, others = again.train(training)(x, return_adjacency=True)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(others, matrices)
