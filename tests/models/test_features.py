"""Pyramids of features: timm's levels, of the network's own features, and no more."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import FeatureNetwork, create_model, rewire
from ddw_graph.errors import ModelError

TIMM = {
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
    "regnet_x_600mf": "regnetx_006",
}
"""timm's names of our backbones."""

X = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        pytest.param("mobilenet_v2", "block", marks=pytest.mark.full),
        ("regnet_x_600mf", "block"),
        ("efficientnet_b0", "branch"),
        pytest.param("resnet50", "block", marks=pytest.mark.full),
        pytest.param("efficientnet_b0", "block", marks=pytest.mark.full),
    ],
)
def test_levels_are_those_of_timm(name: str, node: str) -> None:
    timm = pytest.importorskip("timm")
    model = create_model(name, node=node, features_only=True)
    wanted = timm.create_model(TIMM[name], features_only=True).feature_info
    assert isinstance(model, FeatureNetwork)
    assert model.feature_info.channels() == wanted.channels()
    assert model.feature_info.reduction() == wanted.reduction() == [2, 4, 8, 16, 32]
    with torch.no_grad():
        shapes = [tuple(level.shape) for level in model.eval()(X)]
    sizes = zip(wanted.channels(), wanted.reduction(), strict=True)
    assert shapes == [(2, width, 64 // part, 64 // part) for width, part in sizes]


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "convnext_atto",
        pytest.param("efficientnet_b0", marks=pytest.mark.full),
    ],
)
def test_a_network_of_timm_has_timms_own_features(name: str) -> None:
    timm = pytest.importorskip("timm")
    old = timm.create_model(name, num_classes=5).double().eval()
    own = timm.create_model(name, features_only=True).double().eval()
    # A ConvNeXt's feature network writes an underscore where the network has a dot.
    state = old.state_dict()
    renamed = {key.replace("stages.", "stages_", 1): t for key, t in state.items()}
    renamed |= {k.replace("stem.", "stem_", 1): t for k, t in state.items()}
    own.load_state_dict({key: (state | renamed)[key] for key in own.state_dict()})
    new = FeatureNetwork(rewire(old, edges="fixed"))
    for level, wanted in zip(new(X.double()), own(X.double()), strict=True):
        torch.testing.assert_close(level, wanted, rtol=1e-9, atol=1e-9)
    assert new.feature_info.channels() == own.feature_info.channels()
    assert new.feature_info.reduction() == own.feature_info.reduction()


class Seen:
    """Keeps copies of the outputs of a network's modules.

    A normalisation with a hook is not fused with the sum that follows, so features may
    differ by rounding.
    """

    def __init__(self, network: nn.Module) -> None:
        self.outputs: dict[str, list[Tensor]] = {}
        for name, module in network.named_modules():
            module.register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.outputs.setdefault(name, []).append(output.clone())

        return note


@pytest.mark.parametrize(
    ("name", "edges", "stem", "stages"),
    [
        # The stem's features at half the size are those before its pooling.
        pytest.param("resnet18", "fixed", "relu", [0, 1, 2, 3], marks=pytest.mark.full),
        ("resnet18", "dynamic", "relu", [0, 1, 2, 3]),
        # The last stage of each resolution; the first one has the stem's.
        ("mobilenet_v2", "dynamic", None, [0, 1, 2, 4, 6]),
        pytest.param(
            "efficientnet_b0", "fixed", None, [0, 1, 2, 4, 6], marks=pytest.mark.full
        ),
        pytest.param(
            "regnet_y_600mf", "dynamic", "stem", [0, 1, 2, 3], marks=pytest.mark.full
        ),
        ("randwire_small", "dynamic", None, [0, 1, 2]),
    ],
)
def test_features_are_those_inside_the_network(
    name: str, edges: str, stem: str | None, stages: list[int]
) -> None:
    small: dict[str, Any] = {"n": 6, "channels": 8}
    settings = small if name.startswith("randwire") else {}
    network = create_model(name, edges=edges, num_classes=5, **settings).eval()
    model = FeatureNetwork(network)
    found = model(X)
    seen = Seen(network)
    network(X)
    wanted = [] if stem is None else [seen.outputs[f"stem.{stem}"][-1]]
    wanted += [seen.outputs[f"stages.{place}"][0] for place in stages]
    torch.testing.assert_close(found[-len(wanted) :], wanted)
    assert len(found) == 5


def test_randwires_networks_have_levels_too() -> None:
    model = create_model("randwire_small", n=4, features_only=True)
    assert model.feature_info.channels() == [39, 78, 78, 156, 312]
    assert model.feature_info.reduction() == [2, 4, 8, 16, 32]
    tiny = create_model("randwire_tiny", n=4, in_channels=1, features_only=True)
    assert tiny.feature_info.channels() == [16, 32, 64]
    assert tiny.feature_info.reduction() == [2, 4, 8]
    assert [level.shape[1] for level in tiny(X[:, :1])] == [16, 32, 64]


@pytest.mark.parametrize(
    "indices",
    [
        (0,),
        (2, 3),
        [1, 2, 3, 4],
        *(pytest.param(x, marks=pytest.mark.full) for x in ((1,), (0, 4), (4,))),
    ],
)
def test_levels_can_be_chosen_and_nothing_behind_them_runs(indices: Any) -> None:
    network = create_model("resnet18", edges="learned", num_classes=5).eval()
    everything = FeatureNetwork(network)(X)
    model = FeatureNetwork(network, indices)
    seen = Seen(network)
    found = model(X)
    torch.testing.assert_close(found, [everything[i] for i in indices])
    runs = [len(seen.outputs.get(f"stages.{place}", ())) for place in range(4)]
    assert runs == [int(place < max(indices)) for place in range(4)]
    assert not any(name.startswith("head") for name in seen.outputs)
    assert model.feature_info.reduction() == [2 ** (i + 1) for i in indices]
    assert len([*model.parameters()]) <= len([*network.parameters()])


def test_parameters_keep_the_names_that_they_have_in_the_network() -> None:
    network = create_model("mobilenet_v2", edges="dynamic", num_classes=5)
    model = FeatureNetwork(network, (1, 2))
    named = dict(network.named_parameters())
    for name, parameter in model.named_parameters():
        assert named[name] is parameter
    assert not any(name.startswith("head") for name in model.state_dict())
    assert {n for n in named if n.startswith("stem")} <= model.state_dict().keys()


def test_frozen_parts_stay_frozen_and_dropout_follows_the_mode() -> None:
    class Stem(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(x, 0.5, self.training)

    network = create_model("resnet18", edges="fixed", num_classes=5).train()
    network.stem = nn.Sequential(network.stem, Stem())
    frozen = next(
        m for m in network.stages[0].modules() if isinstance(m, nn.BatchNorm2d)
    )
    frozen.eval()
    model = FeatureNetwork(network, (0, 1))
    assert not frozen.training and network.stem.training and model.training
    again, other = model(X), model(X)
    assert not torch.equal(again[-1], other[-1])
    model.eval()
    assert torch.equal(model(X)[-1], model(X)[-1])
    assert not any(m.training for m in FeatureNetwork(network.eval(), (1,)).modules())
    assert len(network.stages) == 4 and network(X).shape == (2, 5)


def test_adjacency_goes_in_and_comes_out() -> None:
    network = create_model("resnet18", edges="dynamic", num_classes=5).eval()
    model = FeatureNetwork(network, (0, 2))
    levels, adjacency = model(X, return_adjacency=True)
    _, wanted = network(X, return_adjacency=True)
    torch.testing.assert_close(adjacency, wanted[:2])
    torch.testing.assert_close(model(X, adjacency=adjacency), levels)
    adjacency[1][:, 3, 0] = 0
    changed, effective = model(X, adjacency=adjacency, return_adjacency=True)
    torch.testing.assert_close(changed[0], levels[0])
    assert not torch.allclose(changed[1], levels[1])
    assert (effective[1][:, 3, 0] == 0).all()
    with pytest.raises(ModelError, match="each of 2 stages, got 1"):
        model(X, adjacency=adjacency[:1])
