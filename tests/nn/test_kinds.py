"""Each kind of edge weights is the formula of its source, and says what it costs."""

from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ddw_graph import Attention, Dynamic, Fixed, Learned, Receiver, Stage, create_model
from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, vgg
from ddw_graph.models import load, prune, save
from ddw_graph.nn.cost import cost
from ddw_graph.nn.edges import edge_settings, edge_text, from_saved, saved_text
from ddw_graph.nn.gates import GATES
from ddw_graph.training.budget_term import check_closing
from tests.nn.test_own_edges import Brightest, ByChannel
from tests.nn.test_stage import KINDS, assert_equals_the_loop, images, lively
from tests.strategies import weighted_wirings

WIDTH = 8


class Attend(nn.Module):
    """A pre-norm branch of causal attention."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.attend = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]).to(x)
        y: Tensor = self.attend(x, x, x, attn_mask=mask, need_weights=False)[0]
        return y


def mlp() -> nn.Module:
    layers = nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH)
    return nn.Sequential(nn.LayerNorm(WIDTH), *layers)


def transformer(edges: Any, **settings: Any) -> Stage:
    """Returns the complete DAG of a Transformer's branches or blocks, all spread."""
    parts = [Attend(), mlp(), Attend(), mlp()]
    stage = Stage(
        complete(len(parts)),
        WIDTH,
        WIDTH,
        channel_axis=-1,
        operation=parts,
        edges=edges,
        **settings,
    )
    return lively(stage).eval()


@pytest.mark.parametrize("edges", KINDS)
def test_edges_by_position_do_not_look_into_the_future(edges: str) -> None:
    stage, x = transformer(edges), images(2, 6, WIDTH)
    later = x.clone()
    later[:, 4:] += 1
    same = torch.equal(stage(x)[:, :4], stage(later)[:, :4])
    by_sample = edges.startswith("dynamic") and "position" not in edges
    assert same != by_sample


SETTINGS = st.one_of(
    st.just(Fixed),
    st.just(Attention),
    st.just(Receiver),
    st.builds(Learned, bias=st.floats(-5, 5)),
    st.builds(Learned, form=st.sampled_from(["sigmoid", "free", "softmax"])),
    st.builds(
        Dynamic,
        bias=st.floats(-5, 5),
        gate=st.sampled_from(GATES),
        threshold=st.floats(-1, 1),
        router_std=st.floats(0, 1),
        per=st.sampled_from(["sample", "position"]),
        norm=st.sampled_from(["none", "rms"]),
    ),
)


@given(settings=SETTINGS)
def test_texts_and_configurations_give_the_settings_back(settings: Any) -> None:
    assert edge_settings(edge_text(settings)) == settings
    assert from_saved(saved_text(settings), None) == settings


def test_each_kind_counts_what_it_takes() -> None:
    # The complete DAG of three nodes: node i feeds 4 - i and node j has j inputs.
    elements, width, positions = 4 * 8 * 8, 4, 8 * 8
    expected = {
        "fixed": [0] * 5,
        "learned": [0] * 5,
        "learned:form=softmax": [0] * 5,
        "dynamic": [elements + width * out for out in (4, 3, 2, 1)] + [0],
        "dynamic:per=position": [elements * out for out in (4, 3, 2, 1)] + [0],
        "attention": [0, 0] + [j * elements for j in (2, 3, 4)],
        "receiver": [0, 0] + [j * elements + j * j * positions for j in (2, 3, 4)],
    }
    for edges, wanted in expected.items():
        model = create_model(
            "randwire_tiny", wiring="complete", n=3, channels=4, edges=edges
        )
        assert list(cost(model, 16).work[0].weighing) == wanted, edges


def test_kinds_that_cannot_close_edges_refuse_budgets_and_lose_none_to_pruning() -> (
    None
):
    for edges in ("learned:form=softmax", "attention", "receiver", "dynamic"):
        with pytest.raises(Exception, match="edges that close in training"):
            check_closing(edge_settings(edges))
    for edges in ("learned:form=free", "attention", "receiver"):
        model = create_model(
            "randwire_tiny", wiring="complete", n=3, channels=4, edges=edges
        ).eval()
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
        if edges == "learned:form=free":  # a weight of 0 closes nothing
            for stage in model.stages:
                stage.weights.logit.data.zero_()  # type: ignore[operator]
        x = torch.randn(2, 3, 16, 16)
        torch.testing.assert_close(prune(model, [x])(x), model(x))


@given(data=st.data(), mean=st.booleans())
def test_fixed_edges_multiply_by_the_weights_of_the_dag(
    data: st.DataObject, mean: bool
) -> None:
    dag = data.draw(weighted_wirings())
    output = "mean" if mean else "sum"
    stage = Stage(dag, 3, 4, stride=2, edges="fixed", output=output)
    stage, x = lively(stage).eval(), images(2, 3, 6, 6)
    assert_equals_the_loop(stage, x)


@pytest.mark.parametrize("edges", [*KINDS, ByChannel])
@given(dag=weighted_wirings(), mean=st.booleans())
def test_edges_start_at_the_weights_of_the_dag(
    edges: Any, dag: nx.DiGraph, mean: bool
) -> None:
    for j in dag if edges == "receiver" else ():
        if len(dag.pred[j]) == 1:
            (i,) = dag.pred[j]
            dag.edges[i, j]["weight"] = 1.0
    output = "mean" if mean else "sum"
    x = images(2, 3, 6, 6)
    adjacencies = []
    for kind in ("fixed", edges):
        stage = Stage(dag, 3, 4, stride=2, edges=kind, output=output).double().eval()
        adjacencies.append(stage(x, return_adjacency=True)[1])
    expected, found = (
        each.flatten(3).mean(-1) if each.ndim > 3 else each for each in adjacencies
    )
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_edges_that_cannot_start_at_the_weights_of_the_dag_say_so() -> None:
    dag = vgg(2)
    dag.edges[1, 2]["weight"] = 0.5
    for edges, words in (
        ("receiver", "a single input the weight 1.* 1 -> 2, which has 0.5"),
        (Brightest, "Brightest has no at_start"),
        (Dynamic(router=lambda c, f: nn.Linear(c, f)), "router of your own"),
    ):
        with pytest.raises(ModelError, match=f"start at the attribute weight.*{words}"):
            Stage(dag, 4, 4, edges=edges, output="sum")


def test_a_network_keeps_the_weights_of_its_dag(tmp_path: Any) -> None:
    dag = vgg(3)
    dag.edges[1, 2]["weight"] = 0.25
    model = create_model("randwire_tiny", wiring=dag, n=3, edges="fixed").eval()
    save(model, tmp_path / "a.safetensors")
    x = torch.randn(2, 3, 16, 16)
    again = load(tmp_path / "a.safetensors")
    torch.testing.assert_close(again(x), model(x))
    assert again(x, return_adjacency=True)[1][0][0, 2, 1] == 0.25
    pruned = prune(model, [x])
    torch.testing.assert_close(pruned(x), model(x))
