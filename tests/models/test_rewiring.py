"""Rewired networks: equal to what they were made of, and free to learn from there."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from torchvision.models import SwinTransformer, VisionTransformer

from ddw_graph import Network, create_model, load, rewire, save
from ddw_graph.errors import ModelError, WiringError
from ddw_graph.generators import complete, resnet, vgg
from ddw_graph.models import from_config
from ddw_graph.models.backbones import NoData, name_of
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.wiring import edge_list
from tests.models import networks
from tests.models.networks import (
    FULL,
    MIXERS,
    PAPER,
    TIMM,
    assert_same,
    blocks,
    images_of,
    original,
    pixels,
    spread,
)

SMALLEST = "timm/test_convnext"
"""The smallest backbone that has a name."""

OWN_FORWARD = {"eva02_tiny_patch14_224", "xcit_nano_12_p16_224"}
"""Networks whose blocks take more than features."""

BRANCHES = {
    **{"MobileNetV2": 1, "EfficientNet": 1, "mobilenetv2_100": 1, "efficientnet_b0": 1},
    **{"mobilenetv3_small_050": 1, "convnext_atto": 1, "resnetv2_18": 1},
    **{"mambaout_femto": 1, "gmlp": 1, "mixer": 2, "resmlp": 2},
    **{name: 2 for name, how in TIMM.items() if how.get("patch_size")},
    "xcit_nano_12_p16_224": 0,
}
"""How many branches a block has; 0 where they do not start neutral, as in all others:
something follows an addition, or depends on values."""

QUICK = {
    ("ResNet", "dynamic"),
    ("ResNet, bottlenecks", "dynamic"),
    ("RegNet Y", "dynamic"),
    ("resnetv2_18", "dynamic"),
    *(("MobileNetV2", kind) for kind in ("learned", "dynamic")),
    *(("EfficientNet", kind) for kind in ("learned", "dynamic")),
    *(("convnext_atto", kind) for kind in ("dynamic", "branch")),
    *(("MobileNetV2", "branch"), ("EfficientNet", "branch")),
    *(
        (name, kind)
        for name in ("vit_tiny_patch16_224", "eva02_tiny_patch14_224", "mixer")
        for kind in ("dynamic", "branch")
    ),
    *(("swin_tiny_patch4_window7_224", kind) for kind in ("dynamic", "branch")),
}
"""Families of the default tier; the others differ by their settings."""


def families(*kinds: str) -> list[Any]:
    return [
        pytest.param(family, kind, marks=() if (family, kind) in QUICK else FULL)
        for family in (*PAPER, *TIMM, *MIXERS)
        for kind in kinds
    ]


def assert_starts_neutral(network: Network, x: Tensor) -> None:
    """Asserts that exactly the edges that a network had weigh 1, and all others 0."""
    assert network.config is not None
    kept = network.config["neutral"]
    for training in (False, True):
        _, adjacency = network.train(training)(x, return_adjacency=True)
        for matrix, edges in zip(adjacency, kept, strict=True):
            wanted = torch.zeros_like(matrix)
            for i, j in edges:
                wanted[:, j, i] = 1
            assert torch.equal(matrix, wanted)


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(("family", "edges"), families("learned", "dynamic"))
def test_from_a_neutral_start_it_is_the_network_and_all_of_it_learns(
    family: str, edges: str
) -> None:
    old = original(family)
    new = rewire(old, edges=edges)
    assert isinstance(new, HostNetwork) == (family in OWN_FORWARD)
    for stage, n in zip(new.stages, blocks(new), strict=True):
        assert edge_list(stage.dag) == edge_list(complete(n))
    x = images_of(family)
    assert_same(old, new, x)
    assert_starts_neutral(new, x)
    if isinstance(new, HostNetwork):
        return
    assert new.config is not None
    chains = [[list(edge) for edge in edge_list(vgg(n))] for n in blocks(new)]
    assert new.config["neutral"] == chains
    # What is new learns from the second step on.
    new.train().zero_grad()
    optimizer = torch.optim.SGD(new.parameters(), lr=0.01)
    for step in range(2):
        optimizer.zero_grad()
        loss: Any = functional.cross_entropy(new(x), torch.tensor([0, 1]))
        loss.backward()
        if step == 0:
            optimizer.step()
    grads = {name: parameter.grad for name, parameter in new.named_parameters()}
    added = {n for n in grads if re.match(r"stages\.\d+\.(weights|projection)\.", n)}
    assert added
    assert [n for n, grad in grads.items() if grad is None] == []
    assert [n for n in added if not grads[n].any()] == []  # type: ignore[union-attr]


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(("family", "_"), families("branch"))
def test_branches_start_neutral_too(family: str, _: str) -> None:
    old = original(family)
    if not BRANCHES.get(family):
        with pytest.raises(ModelError, match="stage 1: |nothing follows the addition"):
            rewire(old, node="branch")
        return
    fixed = rewire(old, edges="fixed", node="branch")
    assert blocks(fixed) == [BRANCHES[family] * n for n in blocks(rewire(old))]
    count, wanted = (sum(p.numel() for p in m.parameters()) for m in (fixed, old))
    assert count == wanted
    new = rewire(old, edges="dynamic", node="branch")
    assert_same(old, new, images_of(family))
    assert_starts_neutral(new, images_of(family))


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=() if (f, "dynamic") in QUICK else FULL) for f in PAPER],
)
def test_with_its_own_edges_fixed_it_is_the_network(family: str) -> None:
    old = original(family)
    new = rewire(old, edges="fixed")
    counts = [[p.numel() for p in model.parameters()] for model in (new, old)]
    assert counts[0] == counts[1]
    assert_same(old, new)


@pytest.mark.parametrize(
    "model",
    [
        VisionTransformer(32, 8, 3, 2, 32, 64, num_classes=5),
        pytest.param(
            SwinTransformer(
                *([4, 4], 16, [2, 2], [2, 2], [4, 4]),
                num_classes=5,
                stochastic_depth_prob=0.0,
            ),
            marks=FULL,
        ),
    ],
)
def test_torchvisions_transformers_are_taken_too(
    model: nn.Module, nameless: None
) -> None:
    old = spread(model).eval()
    assert_same(old, rewire(old, edges="dynamic"), pixels(size=32))


@pytest.mark.parametrize("edges", ["dynamic", "dynamic:per=position", "attention"])
def test_adjacencies_have_the_axes_of_the_features(edges: str, nameless: None) -> None:
    new, x = rewire(original("vit_tiny_patch16_224"), edges=edges), pixels(size=32)
    logits, (matrix,) = new(x, return_adjacency=True)
    assert matrix.shape == (2, 5, 5) + (() if edges == "dynamic" else (17, 1))
    torch.testing.assert_close(new(x, adjacency=[matrix]), logits)


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize("edges", ["learned:form=free", "dynamic"])
def test_branches_start_neutral_on_streams(edges: str) -> None:
    old = original("convnext_atto")
    new = rewire(old, edges=edges, node="branch", wiring="streams:width=2")
    assert all("streams:" in stage.dag.graph["wiring"] for stage in new.stages)
    assert_same(old, new)
    # Blocks without a shortcut start a sum anew; every stream keeps its own.
    with pytest.raises(ModelError, match="attribute weights compute something else"):
        rewire(networks.mobilenet_v2(), node="branch", wiring="streams:width=2")


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "wiring",
    [resnet, "er:p=0.9", *(pytest.param(w, marks=FULL) for w in (vgg, complete))],
)
def test_any_wiring_that_keeps_the_chain_will_do(wiring: Any) -> None:
    # Stages of two blocks at most: the one inner edge is drawn at this seed.
    old = original("ResNeXt")
    assert_same(old, rewire(old, edges="dynamic", wiring=wiring, seed=3))


@pytest.mark.parametrize("training", [False, True])
def test_what_is_rewired_stays_unchanged_and_its_modes_are_kept(training: bool) -> None:
    model = models.resnet18(num_classes=5).train(training).bfloat16()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
    kept = copy.deepcopy(model.state_dict())
    modes = {name: module.training for name, module in model.named_modules()}
    tensors = {id(p) for p in (*model.parameters(), *model.buffers())}
    structure = repr(model)
    new = rewire(model, edges="dynamic")
    assert {p.dtype for p in new.parameters()} == {torch.bfloat16}
    assert new.training == new.head.training == training
    assert new.stages[0].weights.training == training
    # Also in the copies of shortcuts that carry the input to other nodes.
    norms = [m for m in new.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    assert not any(norm.training for norm in norms)
    new.train()(torch.randn(2, 3, 32, 32).bfloat16()).sum().backward()
    assert all(torch.equal(kept[k], t) for k, t in model.state_dict().items())
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert repr(model) == structure
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not tensors & {id(p) for p in (*new.parameters(), *new.buffers())}


@pytest.mark.parametrize(
    ("name", "edges", "node"),
    [
        (SMALLEST, "dynamic", None),
        (SMALLEST, "fixed", "branch"),
        (SMALLEST, "learned", "branch"),
        pytest.param("mobilenet_v2", "learned", "branch", marks=FULL),
    ],
)
def test_a_network_of_ours_is_rewired_again_and_stays_equal(
    name: str, edges: str, node: str | None
) -> None:
    pytest.importorskip("timm")
    chain = create_model(name, edges="fixed", node="block", num_classes=5)
    spread(chain)
    new = rewire(chain, edges=edges, node=node)
    assert_same(chain, new)
    assert new.config is not None and new.config["name"] == name
    assert chain.config is not None and chain.config["edges"] == "fixed"


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
        ({"edges": "fixed", "wiring": complete}, ModelError, "stage 1: .* in 0 -> 2"),
        ({"node": "branch"}, ModelError, "branches start neutral where nothing follow"),
        ({"node": "stage"}, ModelError, "one of block, branch, got 'stage'"),
        ({"wiring": [vgg(2)] * 5}, WiringError, "each of the 4 stages, got 5"),
    ],
)
def test_names_what_does_not_allow_it(
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


def library(name: str) -> Callable[[], nn.Module]:
    return lambda: models.get_model(name, num_classes=5)


RESNET = library("resnet18")


@pytest.mark.parametrize(
    "make",
    [
        named("resnet18", edges="dynamic", drop_path=0.1),
        named("resnet18", edges="learned", wiring="er:p=0.5", seed=5),
        large(named("mobilenet_v2", edges="fixed", node="branch")),
        large(rewired(RESNET, edges="learned")),
        rewired(RESNET, node="branch", neutral=False),
        large(rewired(library("mobilenet_v2"), edges="dynamic", node="branch")),
        rewired(named("resnet18", edges="fixed"), edges="dynamic"),
        large(
            rewired(named("resnet18", edges="learned"), edges="fixed", neutral=False)
        ),
        large(rewired(rewired(RESNET, edges="fixed"), edges="learned", wiring=resnet)),
    ],
)
def test_a_configuration_makes_the_network_again(make: Callable[[], Network]) -> None:
    _assert_comes_back(make())


@pytest.mark.usefixtures("nameless")
@pytest.mark.parametrize(
    "settings",
    [{}, *(pytest.param(s, marks=FULL) for s in ({"edges": "fixed"}, {"node": None}))],
)
def test_your_own_backbone_must_be_given_again(settings: dict[str, Any]) -> None:
    new = rewire(networks.resnet(), **settings)
    assert new.config is not None and new.config["name"] is None
    with pytest.raises(ModelError, match="backbone must be given, got None"):
        from_config(new.config)
    _assert_comes_back(new, backbone=networks.resnet())
    with pytest.raises(ModelError, match="must have 5 classes and 3 channels, got 6"):
        from_config(new.config, backbone=networks.resnet(6))
    with pytest.raises(ModelError, match="stage 1 of the backbone has 1 blocks"):
        from_config(new.config, backbone=networks.resnet(5, (1, 2, 1, 1)))


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


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_tokens_are_saved_and_loaded_with_their_backbone(
    name: str, nameless: None, tmp_path: Any
) -> None:
    new, x = rewire(original(name), edges="dynamic:norm=rms").eval(), pixels(size=32)
    save(new, tmp_path / "new.safetensors")
    again = load(tmp_path / "new.safetensors", backbone=original(name))
    torch.testing.assert_close(again(x), new(x), rtol=0, atol=0)


def test_looking_for_a_name_draws_nothing() -> None:
    model = models.get_model("efficientnet_b0", num_classes=4)
    state = torch.random.get_rng_state()
    assert name_of(model, num_classes=4, in_channels=3) == "efficientnet_b0"
    assert torch.equal(torch.random.get_rng_state(), state)


class Block(nn.Module):
    """Adds a branch with dropout to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.dropout(self.second(self.first(x).relu()))
        return (x + branch).relu()


class OfOneSize(nn.Module):
    """A network for images of 32 px, as those for CIFAR are."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks: Any = nn.Sequential(*(Block(4) for _ in range(3)))
        self.pool = nn.AvgPool2d(32)
        self.classifier = nn.Linear(4, 10)
        if tied:
            one: Any
            other: Any
            one, other, _ = self.blocks
            other.first.weight = one.first.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(
            self.pool(self.blocks(self.stem(x))).flatten(1)
        )
        return logits


def test_a_network_of_one_size_draws_the_same_dropout() -> None:
    model, x = OfOneSize().train(), torch.randn(2, 3, 32, 32)
    network = rewire(model, edges="learned:form=free")
    torch.manual_seed(1)
    wanted = model(x)
    torch.manual_seed(1)
    torch.testing.assert_close(network(x), wanted)


def test_tied_weights_stay_tied() -> None:
    operations: Any = rewire(OfOneSize(tied=True)).stages[0].operations
    first, second, _ = operations
    assert first.first.weight is second.first.weight


def test_a_network_without_data_is_rewired_and_takes_weights() -> None:
    with torch.device("meta"):
        model = OfOneSize()
    network = rewire(model, edges="dynamic")
    assert all(parameter.is_meta for parameter in network.parameters())
    there = OfOneSize().eval()
    network.to_empty(device="cpu").load_state_dict(
        rewire(there, edges="dynamic").state_dict()
    )
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network.eval()(x), there(x))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_a_wrapped_network_is_to_be_unwrapped(wrap: Any) -> None:
    with pytest.raises(ModelError, match="pass its attribute"):
        rewire(wrap(OfOneSize()))
