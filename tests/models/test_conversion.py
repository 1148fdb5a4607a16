"""Other edge weights, the same function."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ddw_graph import Dynamic, Stage, convert, create_model, load, save
from ddw_graph.errors import ModelError
from ddw_graph.generators import complete
from ddw_graph.nn.network import Network
from tests.nn.test_own_edges import ByChannel
from tests.nn.test_stage import KINDS, images, lively


def network(edges: str, wiring: str = "ws:k=2,p=0.75") -> Network:
    model = create_model(
        "randwire_tiny", wiring=wiring, n=5, channels=4, edges=edges
    ).double()
    for stage in model.stages:
        lively(stage)
    return model.eval()


@pytest.mark.parametrize("wiring", ["complete", "ws:k=2,p=0.75"])
@pytest.mark.parametrize("edges", [*KINDS, ByChannel])
def test_fixed_edges_become_any_kind(edges: Any, wiring: str, tmp_path: Path) -> None:
    model, x = network("fixed", wiring), images(2, 3, 16, 16)
    before = model.state_dict()
    new = convert(model, edges=edges)
    torch.testing.assert_close(new(x), model(x), rtol=1e-10, atol=1e-10)
    assert model.state_dict().keys() == before.keys()
    save(new, tmp_path / "a.safetensors")
    own = None if isinstance(edges, str) else edges
    torch.testing.assert_close(load(tmp_path / "a.safetensors", edges=own)(x), new(x))


def test_weights_have_the_networks_precision() -> None:
    stage = Stage(complete(2), 4, 4, edges="fixed", operation=lambda *_: nn.Tanh())
    model = Network(nn.Conv2d(3, 4, 1), [stage], nn.Flatten()).double()
    new, x = convert(model, edges="receiver"), images(2, 3, 5, 5)
    torch.testing.assert_close(new(x), model(x))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dynamic:gate=psi", "dynamic:gate=hard"),
        ("dynamic:gate=hard,norm=rms", "dynamic:norm=rms"),
        ("learned", "learned:form=free"),
        ("attention", "attention"),
    ],
)
def test_a_kind_becomes_itself_with_other_settings(old: str, new: str) -> None:
    x = images(2, 3, 16, 16)
    for model in (network(old), convert(network("fixed"), edges=old)):
        for stage in model.stages:
            for parameter in stage.weights.parameters():
                parameter.data += 0.1
        other = convert(model, edges=new)
        torch.testing.assert_close(other(x), model(x), rtol=1e-10, atol=1e-10)
        assert not other.training and next(other.parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dynamic", "learned"),
        ("dynamic", "dynamic:gate=none"),
        ("learned:form=free", "learned"),
        ("attention", "receiver"),
        ("dynamic", "fixed"),
    ],
)
def test_what_cannot_keep_the_function_is_refused_by_name(old: str, new: str) -> None:
    with pytest.raises(ModelError, match=f"^{old} edges cannot become {new} edges"):
        convert(network(old), edges=new)


def test_a_start_that_is_not_neutral_is_refused() -> None:
    with pytest.raises(ModelError, match="needs open edges"):
        convert(network("fixed"), edges=Dynamic(bias=-3.0, threshold=0.5))
