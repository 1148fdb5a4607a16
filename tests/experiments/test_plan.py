"""Networks of an experiment have equal budgets, and differences are paired by seed."""

import json
import statistics
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ddw_graph import create_model
from ddw_graph.cli.ablate import _of_paper
from ddw_graph.cli.compare import entries
from ddw_graph.errors import ModelError, RunError
from ddw_graph.experiments.equal_macs import (
    AIM,
    OWN_WIDTH_TOLERANCE,
    TOLERANCE,
    TotalMacs,
    network_at_budget,
)
from ddw_graph.experiments.plan import Plan, label
from ddw_graph.experiments.settings import ORIGINAL, data_source
from ddw_graph.experiments.spec import spec_of
from ddw_graph.experiments.summary import paired_difference, summary
from ddw_graph.models import from_config
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.data import load_source


def comparison(rows: list[dict[str, Any]], seeds: int = 1, **fixed: Any) -> Plan:
    table = {
        "equal_macs": True,
        "entries": rows,
        "fixed": fixed,
        "axes": {"seed": [*range(seeds)]},
    }
    spec = spec_of(table)
    return Plan(spec, load_source(data_source(spec.fixed)))


@pytest.mark.full
def test_every_default_network_has_the_budget_of_the_first_of_its_seed() -> None:
    whole = comparison(entries((), (), (), dynamic="dynamic"), seeds=3)
    runs = [whole.run(point) for point in whole.points()]
    assert [run.seed for run in runs] == [0] * 4 + [1] * 4 + [2] * 4
    macs = [cost(from_config(run.model), 28).total_macs for run in runs]
    for first in (0, 4, 8):
        assert runs[first].model["channels"] == 16
        of_seed = macs[first : first + 4]
        assert all(abs(value / of_seed[0] - 1) <= TOLERANCE for value in of_seed)
        wirings = {json.dumps(r.model["wirings"]) for r in runs[first : first + 4]}
        assert len(wirings) == 4


def test_original_is_the_backbone_or_a_chain_with_shortcuts() -> None:
    both = [{"wiring": ORIGINAL}, {"wiring": "complete", "edges": "fixed"}]
    small = comparison(both, n=2, channels=6)
    first, _ = [small.run(point).model for point in small.points()]
    assert first["wirings"][0]["generator"] == "resnet" and first["edges"] == "fixed"
    odd = comparison([{"wiring": ORIGINAL, "edges": "learned"}], n=2)
    with pytest.raises(RunError, match="original has fixed edges, got learned"):
        odd.run(odd.first)
    backbone = comparison(both, model="resnet18")
    original, complete = [backbone.run(point).model for point in backbone.points()]
    assert [original["node"], original["edges"]] == ["block", "fixed"]
    assert complete["node"] == "branch"


def test_the_grid_is_every_wiring_with_every_kind() -> None:
    def grid(*words: Any) -> list[str]:
        return [label(row) for row in entries(*words, dynamic="dynamic")]

    both = (("vgg", "ws:k=4,p=0.75"), ("learned", "dynamic:gate=hard"), ())
    assert grid(*both) == [
        "vgg learned",
        "vgg dynamic:gate=hard",
        "ws:k=4,p=0.75 learned",
        "ws:k=4,p=0.75 dynamic:gate=hard",
    ]
    assert grid(("vgg",), (), ()) == ["vgg learned", "vgg dynamic"]
    assert grid((), ("fixed",), ()) == ["complete fixed"]
    closing = "dynamic:gate=hard,bias=1.5,threshold=0.5"
    assert grid((), (), (0.5, 1.0)) == [
        f"complete {closing} budget={budget}" for budget in (0.5, 1.0)
    ]
    assert grid((), ("fixed", closing), (0.5,)) == [
        "complete fixed",
        f"complete {closing} budget=0.5",
    ]


@pytest.mark.parametrize("name", ["table4", "table6", "fig3", "gates"])
def test_ablations_are_plans_with_the_papers_figures(name: str) -> None:
    spec = _of_paper(name, "randwire_tiny")
    first = {"wiring": "complete", "edges": "dynamic"}
    assert spec.equal_macs and spec.title and spec.entries[0].settings == first
    for entry in spec.entries:
        for table, row, column in entry.paper.values():
            assert 50 < paper_figures(table)[row, column] < 100
    if name == "table4":
        grid = entries((), (), (), dynamic="dynamic")
        assert [entry.settings for entry in spec.entries] == grid


@pytest.mark.full
def test_budgets_that_no_width_meets_are_refused() -> None:
    def make(channels: float) -> Network:
        return create_model("randwire_tiny", wiring="vgg", n=2, channels=channels)

    with pytest.raises(ModelError, match="bring a within 3% of 10 MACs"):
        network_at_budget("a", make(16), make, 10, counted=TotalMacs(8))
    both = [{"wiring": "complete", "edges": "dynamic"}, {"wiring": ORIGINAL}]
    near = comparison(both, model="mobilenet_v2")
    macs = [cost(from_config(near.run(p).model), 28).total_macs for p in near.points()]
    assert TOLERANCE < abs(macs[1] / macs[0] - 1) <= OWN_WIDTH_TOLERANCE
    apart = [{"wiring": wiring, "edges": "fixed"} for wiring in ("vgg", "complete")]
    far = comparison(apart, model="mobilenet_v2")
    with pytest.raises(ModelError, match="where their width cannot be chosen"):
        far.run(far.points()[1])


def test_what_does_not_go_with_the_task_is_refused_when_it_is_planned() -> None:
    text = comparison([{"edges": "fixed"}], data="text", depth=1, width=8, heads=1)
    images = comparison([{"edges": "dynamic"}], n=2)
    for plan, settings, words in (
        (text, {"mixup": 0.5}, "mixup is for images"),
        (text, {"budget": 0.5}, "budget is for images"),
        (images, {"budget": 0.5}, "gate=hard, got dynamic"),
        (images, {"accumulate": 17}, "batch_size must be at least 34"),
    ):
        with pytest.raises(RunError, match=words):
            plan.run({**plan.first, **settings})


def test_the_rates_of_the_first_network_are_no_part_of_the_budget() -> None:
    plans = [
        comparison([{"edges": "fixed", "learning_rate": r}], n=2) for r in (1e-3, 0.1)
    ]
    assert plans[0].shared() == plans[1].shared()
    assert plans[0].shared() != comparison([{"edges": "learned"}], n=2).shared()


@pytest.mark.full
def test_what_is_alike_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[Network] = []

    def spy(model: Network, image_size: int) -> NetworkCost:
        counts.append(model)
        return cost(model, image_size)

    monkeypatch.setattr("ddw_graph.experiments.equal_macs.cost", spy)
    counted = TotalMacs(8)

    def total(**changes: Any) -> int:
        settings = {"wiring": "er:p=0.5", "n": 3, "channels": 5.0, **changes}
        model = create_model("randwire_tiny", **settings)
        found = counted(model)
        assert found == cost(model, 8).total_macs
        return found

    first = total()
    assert total(channels=5.02) == first and len(counts) == 1  # the same whole channels
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"edges": "learned"},
        {"transition": "input"},
        {"channels": 6.0},
        {"n": 4},
        {"num_classes": 10},
        # Parameters of the same shapes, and more edges.
        {"wiring": "resnet", "edges": "fixed", "transition": "input"},
        {"wiring": "complete", "edges": "fixed", "transition": "input"},
    ]
    for number, change in enumerate(others, start=2):
        total(**change)
        assert len(counts) == number, change


@pytest.mark.full
def test_the_search_ends_where_no_network_is_closer() -> None:
    counted = TotalMacs(28)
    tried: list[float] = []

    def make(channels: float) -> Network:
        tried.append(channels)
        settings: dict[str, Any] = {"wiring": "er:p=0.2", "edges": "learned", "seed": 1}
        settings |= {"in_channels": 1, "num_classes": 10, "channels": channels}
        model: Network = create_model("randwire_tiny", **settings)
        return model

    budget = 2_217_440
    model = network_at_budget("a", make(16), make, budget, counted=counted)
    off = abs(counted(model) / budget - 1)
    assert AIM < off <= TOLERANCE and len(tried) < 15
    found = model.config["channels"]  # type: ignore[index]
    near = (counted(make(found + step / 20)) for step in range(-5, 6))
    assert min(abs(macs / budget - 1) for macs in near) >= off


def test_the_interval_is_students() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random(7), generator.random(7)
    found = paired_difference(a.tolist(), b.tolist())
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(float((a - b).mean()))
    alone = paired_difference([1.0], [3.0])
    assert (alone.mean, alone.low, alone.high) == (-2.0, None, None)


def test_the_summary_pairs_by_seed_where_both_have_a_run() -> None:
    costs = ("parameters", "total_macs", "expected_macs", "train_seconds")
    accuracy = {"a": [0.7, 0.8, 0.9], "b": [0.72, 0.81, 0.93, 0.1]}
    rows = [
        {
            "entry": entry,
            "seed": seed,
            "test_accuracy": accuracy[entry][seed],
            **dict.fromkeys(costs, 1.0),
        }
        for entry, seeds in (("a", (2, 0, 1)), ("b", (1, 2, 0, 3)))
        for seed in seeds
    ]
    first, second = summary(rows)
    assert first["accuracy"] == pytest.approx(80) and first["difference"] is None
    assert second["difference"] == pytest.approx(2.0)
    assert second["accuracy_std"] == pytest.approx(statistics.stdev([72, 81, 93, 10]))
    expected = paired_difference([72, 81, 93], [70, 80, 90])
    assert second["difference_low"] == pytest.approx(expected.low)
    first, second = summary(rows, "b")
    assert (first["entry"], first["difference"], first["seeds"]) == ("b", None, 4)
    assert second["difference"] == pytest.approx(-2)
