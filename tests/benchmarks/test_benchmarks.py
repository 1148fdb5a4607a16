"""What is compared, that it takes turns, and that counts are exact."""

import copy
from typing import Any

import pytest
import torch

from ddw_graph import Stage, create_model
from ddw_graph.benchmarks import clock as clock_module
from ddw_graph.benchmarks.acts import (
    inference,
    noise,
    settle,
    training_step,
    wiring_figures,
)
from ddw_graph.benchmarks.clock import Clock
from ddw_graph.benchmarks.growth import growth
from ddw_graph.benchmarks.networks import networks, variants
from ddw_graph.benchmarks.skipping import opened, random_half, skipping
from ddw_graph.errors import ModelError, RunError
from ddw_graph.generators import complete
from ddw_graph.nn.cost import cost
from ddw_graph.nn.skipping import computed
from tests.deployment.small import closing_network
from tests.deployment.small import noise as grey_noise

CLOCK = Clock(rounds=1)
SMALL: dict[str, Any] = {"model": ["randwire_tiny"], "image_size": 8, "batch_size": 2}


def test_variants_take_turns_and_ratios_are_of_the_same_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[str] = []
    acts = {name: lambda name=name: ran.append(name) for name in "ab"}
    rows = Clock(rounds=3).rows("subject", "case", acts, {"b": {"macs": 7}})
    assert ran == [*"ab"] * 5  # two rounds warm up
    assert [row["ratio"] for row in rows[:1]] == [1] and rows[1]["macs"] == 7
    # A machine that slows down: the ratio to a network itself is 1, to half of it 2.
    slower = {"a": [1.0, 10.0, 100.0], "b": [1.0, 10.0, 100.0], "c": [2.0, 20.0, 400.0]}
    monkeypatch.setattr(clock_module, "paired_times", lambda *_, **__: slower)
    _, same, twice = CLOCK.rows("subject", "case", acts)
    assert (same["ratio"], same["ratio_low"], same["ratio_high"]) == (1, 1, 1)
    assert (twice["ratio"], twice["ratio_low"], twice["ratio_high"]) == (2, 2, 3)
    assert twice["ms"] == 20_000


def test_a_settled_network_has_the_statistics_of_the_batch() -> None:
    stage, x = Stage(complete(3), 4, 4), 5 + 3 * torch.randn(4, 4, 6, 6)
    settle(stage, x)
    norms = [m for m in stage.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not stage.training and all(norm.momentum == 0.1 for norm in norms)
    other = copy.deepcopy(stage).train()
    torch.testing.assert_close(stage(x), other(x), rtol=0.05, atol=0.05)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RunError, match=r"1 images of 8 px.*--batch-size"):
        settle(create_model("randwire_tiny"), torch.randn(1, 3, 8, 8))
    vit = create_model("vit_tiny", depth=1, width=8, heads=1, image_size=28)
    with pytest.raises(RunError, match="must be 28, the network's own, got 8"):
        noise(vit, 2, 8, default=None)
    with pytest.raises(RunError, match="give --image-size"):
        noise(create_model("randwire_tiny"), 2, None, default=None)
    gpt = create_model("gpt_tiny", depth=1, width=8, heads=1, context=4)
    with pytest.raises(RunError, match="got a language model"):
        noise(gpt, 2, None, default=8)


def test_a_step_trains_and_inference_keeps_no_gradients() -> None:
    torch.manual_seed(0)
    model, x = create_model("randwire_tiny", n=2, channels=4), torch.randn(2, 3, 16, 16)
    before = copy.deepcopy(model.state_dict())
    training_step(model, x)()
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert model.training and len(changed) > len(list(model.parameters())) / 2
    output = inference(model, x)()
    assert isinstance(output, torch.Tensor) and output.is_inference()
    assert not model.training


def test_open_edges_and_macs_are_counted() -> None:
    static = create_model("randwire_tiny", n=6, channels=4, edges="fixed").eval()
    found = wiring_figures(static, torch.ones(2, 3, 8, 8))
    assert found == {"open_edges": 1, "macs": cost(static, 8).total_macs}
    closing, grey = closing_network(n=2).eval(), grey_noise(4)
    found = wiring_figures(closing, grey)
    _, adjacency = closing(grey, return_adjacency=True)
    edges = sum(len(stage.plan.edges) for stage in closing.stages)
    count = sum(int((matrix != 0).sum()) for matrix in adjacency)
    assert found["open_edges"] == pytest.approx(count / (4 * edges))
    assert count < 4 * edges and found["macs"] < cost(closing, 28).total_macs
    assert found == wiring_figures(closing, grey, adjacency)


def test_networks_are_relative_to_the_first() -> None:
    rows = networks(CLOCK, **SMALL, edges=["fixed", "dynamic"])
    label = "randwire_tiny, batch 2, 8 px"
    assert [(row["case"], row["variant"]) for row in rows] == [
        (f"{label}: {act}", edges)
        for act in ("inference", "training step")
        for edges in ("fixed", "dynamic")
    ]
    assert [row["ratio"] for row in rows[::2]] == [1, 1]
    assert rows[0]["open_edges"] == 1 and 0 < rows[2]["saved_mb"] < rows[3]["saved_mb"]
    with pytest.raises(ModelError, match="got 'nonsense'"):
        variants("nonsense", ["fixed"])


def test_compiled_networks_have_cases_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[torch.nn.Module] = []

    def compiled(model: torch.nn.Module, *, fullgraph: bool) -> torch.nn.Module:
        made.append(model)
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    rows = networks(CLOCK, **SMALL, edges=["fixed"], compile=True)
    cases = [row["case"].partition(": ")[2] for row in rows]
    acts = ("inference", "training step")
    assert cases == [f"{act}{form}" for act in acts for form in ("", ", compiled")]
    assert len(made) == 1


def test_growth_counts_edges_and_memory() -> None:
    rows = growth(CLOCK, nodes=(4, 6), batch_size=2, image_size=4)
    assert [row["variant"] for row in rows] == 2 * ["4 nodes", "6 nodes"]
    assert [row["edges"] for row in rows] == 2 * [6, 15]
    small, large = rows[2:]
    assert 0 < small["saved_mb"] < large["saved_mb"]
    assert all(r["us_per_edge"] == 1e3 * r["ms"] / r["edges"] for r in rows)


def test_half_of_the_nodes_that_compute_are_closed() -> None:
    stage = Stage(complete(7), 4, 4)
    closed = random_half(stage.plan, 5)
    assert closed.sum(1).tolist() == [3] * 5 and not closed[:, [0, 8]].any()
    assert not (closed == closed[0]).all()
    matrix = opened(stage.plan, closed)
    kept = ~(closed[:, :, None] | closed[:, None, :])
    assert torch.equal(matrix != 0, kept & torch.ones(9, 9).tril(-1).bool())
    torch.testing.assert_close(matrix.sum(2)[:, 8], torch.ones(5))


def test_closed_nodes_are_skipped_and_open_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples_computed: list[int] = []
    timed: list[int] = []

    def counted(operation: Any, x: Any, samples: Any, *more: Any) -> Any:
        samples_computed.append(len(x if samples is None else samples))
        return computed(operation, x, samples, *more)

    def once(acts: Any, **_: Any) -> dict[str, list[float]]:
        for act in acts.values():
            samples_computed.clear()
            act()
            timed.append(sum(samples_computed))
        return {name: [1.0] for name in acts}

    monkeypatch.setattr("ddw_graph.nn.stage.computed", counted)
    monkeypatch.setattr(clock_module, "paired_times", once)
    rows = skipping(CLOCK, **SMALL | {"batch_size": 4})
    # Three stages of two nodes, one of them closed: for one image, and for four.
    assert timed == [6, 3, 24, 12, 12]
    assert [row["case"] for row in rows] == [
        f"randwire_tiny, batch {batch}, 8 px" for batch in (1, 1, 4, 4, 4)
    ]
    columns = ("variant", "ms", "ratio", "ratio_low", "ratio_high")
    assert all({*columns, "open_edges", "macs"} <= row.keys() for row in rows)
    # Of the 6 edges between 4 nodes 3 are left between 3 of them.
    assert [row["open_edges"] for row in rows] == [1, 0.5, 1, 0.5, 0.5]
    assert rows[1]["macs"] < rows[0]["macs"]
