"""Pyramids of features: timm's levels, of the network's own features, and no more."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import FeatureNetwork, create_model, rewire
from ddw_graph.errors import ModelError
from tests.models.networks import FULL

X = torch.linspace(-1, 1, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64)


@pytest.mark.parametrize(
    ("name", "timms", "node"),
    [
        ("regnet_x_600mf", "regnetx_006", "block"),
        ("efficientnet_b0", "efficientnet_b0", "branch"),
        pytest.param("mobilenet_v2", "mobilenetv2_100", "block", marks=FULL),
        pytest.param("resnet50", "resnet50", "block", marks=FULL),
    ],
)
def test_levels_are_those_of_timm(name: str, timms: str, node: str) -> None:
    timm = pytest.importorskip("timm")
    model = create_model(name, node=node, features_only=True)
    wanted = timm.create_model(timms, features_only=True).feature_info
    assert isinstance(model, FeatureNetwork)
    assert model.feature_info.channels() == wanted.channels()
    assert model.feature_info.reduction() == wanted.reduction() == [2, 4, 8, 16, 32]
    with torch.no_grad():
        shapes = [tuple(level.shape) for level in model.eval()(X)]
    sizes = zip(wanted.channels(), wanted.reduction(), strict=True)
    assert shapes == [(2, width, 64 // part, 64 // part) for width, part in sizes]


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto"])
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


def outputs_of(network: nn.Module) -> dict[str, list[Tensor]]:
    """Returns a dictionary that collects the outputs of a network's modules.

    A normalisation with a hook is not fused with the sum that follows, so features may
    differ by rounding.
    """
    outputs: dict[str, list[Tensor]] = {}

    def note(name: str, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.setdefault(name, []).append(output.clone())

    for name, module in network.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: note(name, o))
    return outputs


@pytest.mark.parametrize(
    ("name", "stem", "stages", "widths"),
    [
        # The stem's features at half the size are those before its pooling.
        ("resnet18", "relu", [0, 1, 2, 3], [64, 64, 128, 256, 512]),
        # The last stage of each resolution; the first one has the stem's.
        ("mobilenet_v2", None, [0, 1, 2, 4, 6], [16, 24, 32, 96, 320]),
        ("randwire_small", None, [0, 1, 2], [4, 8, 8, 16, 32]),
    ],
)
def test_features_are_those_inside_the_network(
    name: str, stem: str | None, stages: list[int], widths: list[int]
) -> None:
    small: dict[str, Any] = {"n": 6, "channels": 8}
    settings = small if name.startswith("randwire") else {}
    network = create_model(name, edges="dynamic", num_classes=5, **settings).eval()
    model = FeatureNetwork(network)
    found = model(X)
    assert model.feature_info.channels() == widths
    outputs = outputs_of(network)
    network(X)
    wanted = [] if stem is None else [outputs[f"stem.{stem}"][-1]]
    wanted += [outputs[f"stages.{place}"][0] for place in stages]
    torch.testing.assert_close(found[-len(wanted) :], wanted)
    assert len(found) == 5


@pytest.mark.parametrize("indices", [(0,), (2, 3), [1, 2, 3, 4]])
def test_levels_can_be_chosen_and_nothing_behind_them_runs(indices: Any) -> None:
    network = create_model("resnet18", edges="learned", num_classes=5).eval()
    everything = FeatureNetwork(network)(X)
    model = FeatureNetwork(network, indices)
    outputs = outputs_of(network)
    found = model(X)
    torch.testing.assert_close(found, [everything[i] for i in indices])
    runs = [len(outputs.get(f"stages.{place}", ())) for place in range(4)]
    assert runs == [int(place < max(indices)) for place in range(4)]
    assert not any(name.startswith("head") for name in outputs)
    assert model.feature_info.reduction() == [2 ** (i + 1) for i in indices]
    # Parameters are the network's, under its names.
    own = dict(network.named_parameters())
    assert all(own[name] is each for name, each in model.named_parameters())
    assert {n for n in own if n.startswith("stem")} <= model.state_dict().keys()


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


def test_adjacency_is_taken_and_returned() -> None:
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
