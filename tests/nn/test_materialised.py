"""What a stage computes does not depend on how it was made, nor on what traces it."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ddw_graph.generators import complete, watts_strogatz
from ddw_graph.nn.stage import Stage
from tests.nn.test_stage import KINDS, images, lively

UNCHECKED: dict[str, Any] = {"check_trace": False}
"""PyTorch compares two traces by the names of variables, which checks of types change;
the tests compare what they compute."""
SOME = ("fixed", "dynamic", "attention")


def made(edges: str, neutral: bool = False) -> Stage:
    """Returns a stage of some edges."""
    dag = watts_strogatz(8, k=4, p=0.75, seed=1)
    own = dag.edges if neutral else None
    return Stage(dag, 4, 4, edges=edges, output="sum", neutral=own).double().eval()


def spread(edges: str, neutral: bool = False) -> Stage:
    """Returns one with other thresholds at each receiver, some edges closed."""
    return lively(made(edges, neutral)).eval()


def results(stage: Any, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return [stage(x), *stage(x, return_adjacency=True)]


@pytest.mark.parametrize(
    ("edges", "neutral"),
    [
        (edges, neutral)
        for edges in KINDS
        for neutral in (False, True)
        # Whose edges are closed at the start, or are mixed.
        if not neutral or ("threshold" not in edges and edges != "sinkhorn")
    ],
)
def test_a_stage_that_is_made_without_data_and_loaded_is_the_same(
    edges: str, neutral: bool
) -> None:
    stage, x = spread(edges, neutral), images(3, 4, 6, 6)
    with torch.device("meta"):
        empty = made(edges, neutral)
    assert all(parameter.is_meta for parameter in empty.parameters())
    empty = empty.to_empty(device="cpu")
    for tensor in (*empty.parameters(), *empty.buffers()):
        tensor.data.fill_(7)  # what was there before
    empty.load_state_dict(stage.state_dict())
    torch.testing.assert_close(results(empty, x), results(stage, x))


class Both(nn.Module):
    """Returns the output and the adjacency of a stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, adjacency = self.stage(x, return_adjacency=True)
        return y, adjacency


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "edges",
    [pytest.param(e, marks=() if e in SOME else pytest.mark.full) for e in KINDS],
)
def test_a_trace_follows_the_edges_that_other_images_close(edges: str) -> None:
    stage = Both(spread(edges))
    first = 5 * images(3, 4, 6, 6) + torch.linspace(-1, 1, 4)[:, None, None]
    second = -first
    closed = [stage(x)[1] == 0 for x in (first, second)]
    if edges in ("dynamic:gate=hard", "dynamic:gate=eq5", "dynamic:gate=psi"):
        assert not torch.equal(*closed)  # other edges close
    with torch.no_grad():
        traced = torch.jit.trace(stage, first, **UNCHECKED)  # type: ignore[no-untyped-call]
        for x in (first, second):
            torch.testing.assert_close(traced(x), stage(x))


@pytest.mark.parametrize(
    "edges",
    [pytest.param(e, marks=() if e in SOME else pytest.mark.full) for e in KINDS],
)
def test_with_gradients_a_stage_is_exported_for_any_batch_and_size(edges: str) -> None:
    stage = Both(lively(Stage(complete(2), 4, 4, edges=edges)).eval())
    names = {0: "batch", 2: "height", 3: "width"}
    sizes = {axis: torch.export.Dim(name) for axis, name in names.items()}
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(
            stage, (images(2, 4, 6, 7),), dynamic_shapes=(sizes,)
        )
    run: Any = program.module()
    for shape in ((1, 4, 6, 7), (5, 4, 6, 7), (2, 4, 9, 5)):
        x = images(*shape)
        torch.testing.assert_close(run(x), stage(x))


def test_a_mode_without_data_leaves_nothing_behind() -> None:
    stage, x = spread("dynamic"), images(2, 4, 6, 6)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        y, _ = stage(mode.from_tensor(x), return_adjacency=True)
    wanted = results(spread("dynamic"), x)
    assert y.shape == wanted[0].shape
    torch.testing.assert_close(results(stage, x), wanted)


def test_an_index_that_was_made_in_inference_mode_can_be_learned_with() -> None:
    stage = spread("dynamic").train()
    with torch.inference_mode():
        stage(images(2, 4, 6, 6), return_adjacency=True)
    y, adjacency = stage(images(2, 4, 6, 6), return_adjacency=True)
    (y.sum() + adjacency.sum()).backward()
    threshold: Any = stage.weights.threshold
    assert threshold.grad.ne(0).any()
