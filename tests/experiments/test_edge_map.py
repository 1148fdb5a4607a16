"""The map of kinds of edges, and the cost of a step."""

from pathlib import Path
from typing import Any

import pytest

from ddw_graph.errors import RunError
from ddw_graph.experiments.axes import Choices
from ddw_graph.experiments.edge_map import TUNING_SEED, edge_map, tuned
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.plan import Plan, label
from ddw_graph.experiments.runner import run_experiment
from ddw_graph.experiments.settings import data_source
from ddw_graph.experiments.spec import Spec
from ddw_graph.experiments.table import table
from ddw_graph.models import create_model
from ddw_graph.training import Run
from ddw_graph.training.data import load_source
from tests.experiments.small import InThisProcess


def spec(folder: Path, **changes: Any) -> Spec:
    (folder / "text.txt").write_text("a b c d e f g h\n" * 60)
    fixed = {
        **{"data": "text", "root": str(folder / "text.txt"), "recipe": "language"},
        **{"epochs": 1, "batch_size": 8},
        **{"depth": 1, "width": 8, "heads": 1, "context": 16, **changes},
    }
    return Spec({}, fixed, edge_map("gpt_tiny", ["attention"]), equal_macs=True)


def test_each_entry_gets_its_best_rates_on_held_out_data(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "trials")

    def run(trials: Spec) -> list[dict[str, Any]]:
        assert trials.axes == {"seed": Choices((TUNING_SEED,))}
        plan = Plan(trials, load_source(data_source(trials.fixed)))
        run_experiment(plan, folder.path, InThisProcess)
        return table(folder)

    whole = spec(tmp_path)
    data = load_source(data_source(whole.fixed))
    chosen, trials = tuned(whole, data, [0.01, 1e-6], [1.0, 0.1], run)
    fixed, routed = (
        [r for r in trials if r["edges"] == e] for e in ("fixed", "attention")
    )
    assert [row["router_lr"] for row in fixed] == [None, None]
    # The second trial of a rate of the edge weights, then the other learning rate.
    tried = {row["router_lr"]: row["test_loss"] for row in routed[:2]}
    best = min(tried, key=tried.__getitem__)
    assert [row["router_lr"] for row in routed] == [1.0, 0.1, best]
    # A rate that changes nothing is worse than one that learns.
    assert [entry.settings.get("router_lr") for entry in chosen.entries] == [None, best]
    assert [entry.settings["learning_rate"] for entry in chosen.entries] == [0.01, 0.01]
    sizes = [Run(folder.run(name)).config["data"] for name in folder.planned()]
    assert len(sizes) == 5
    for held in sizes:
        assert (held["train"], held["test"]) == (768, 96)  # of 864 to train on
        assert held["holdout"] == 96
    for rates in ([], [0.1, 0.1]):
        with pytest.raises(RunError, match="rates must be given, and differ"):
            tuned(whole, None, [0.1], rates, run)
    with pytest.raises(RunError, match="holds out a part of the training data itself"):
        tuned(spec(tmp_path, holdout=100), None, [0.1], [1.0], run)


@pytest.mark.parametrize("model", ["gpt_tiny", "vit_tiny", "randwire_tiny"])
def test_every_network_of_a_map_can_be_built(model: str) -> None:
    settings: dict[str, Any] = {"n": 6, "channels": 4}
    if model != "randwire_tiny":
        settings = {"depth": 6, "width": 8, "heads": 1}
    entries = edge_map(model)
    assert entries[0].reference and not any(entry.reference for entry in entries[1:])
    assert len({label(entry.settings) for entry in entries}) == len(entries) > 6
    for entry in entries:
        create_model(model, **{**entry.settings, **settings})
