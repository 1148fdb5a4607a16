"""The map of kinds of edges, and the cost of a step."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.experiments.compare import Comparison, Entry
from ddw_graph.experiments.edge_map import (
    FIXED,
    TUNING_SEED,
    edge_map,
    name_of,
    tuned,
)
from ddw_graph.experiments.step_costs import step_costs
from ddw_graph.models import create_model
from ddw_graph.training import Run, recipe_named
from ddw_graph.training.data import DataSource


def comparison(folder: Path, **changes: Any) -> Comparison:
    (folder / "text.txt").write_text("a b c d e f g h\n" * 60)
    settings: dict[str, Any] = {
        "entries": (FIXED, Entry("complete", "attention")),
        "seeds": (0,),
        "recipe": recipe_named("language", epochs=1, batch_size=8),
        "source": DataSource("text", folder / "text.txt"),
        "settings": {"depth": 1, "width": 8, "heads": 1, "context": 16},
    }
    return Comparison(**settings | changes)


def test_each_entry_gets_its_best_rate_on_held_out_data(tmp_path: Path) -> None:
    plan = comparison(tmp_path)
    chosen, trials = tuned(plan, [0.01, 1e-6], [1.0, 0.1], tmp_path / "map", jobs=1)
    # A rate that changes nothing is worse than one that learns.
    assert [entry.learning_rate for entry in chosen.entries] == [0.01, 0.01]
    fixed, routed = ([r for r in trials if r["edges"] == e.edges] for e in plan.entries)
    assert [row["router_lr"] for row in fixed] == [None, None]
    # The second trial of a rate of the edge weights, then the other learning rate.
    tried = {row["router_lr"]: row["test_loss"] for row in routed[:2]}
    best = min(tried, key=tried.__getitem__)
    assert [row["router_lr"] for row in routed] == [1.0, 0.1, best]
    assert [entry.router_lr for entry in chosen.entries] == [None, best]
    assert len(trials) == 5 and {row["seed"] for row in trials} == {TUNING_SEED}
    folder = tmp_path / "map" / "tuning" / "runs"
    sizes = {path: Run(path).config["data"] for path in folder.glob("*/*")}
    assert len(sizes) == 5
    for data in sizes.values():
        assert (data["train"], data["test"]) == (768, 96)  # of 864 to train on
        assert data["holdout"] == 96


def test_rates_must_differ(tmp_path: Path) -> None:
    for rates in ([], [0.1, 0.1]):
        for both in ((rates, [1.0]), ([0.1], rates)):
            with pytest.raises(RunError, match="rates must be given, and differ"):
                tuned(comparison(tmp_path), *both, tmp_path / "map")


@pytest.mark.parametrize("model", ["gpt_tiny", "vit_tiny", "randwire_tiny"])
def test_every_network_of_a_map_can_be_built(model: str) -> None:
    settings: dict[str, Any] = {"n": 6, "channels": 4}
    if model != "randwire_tiny":
        settings = {"depth": 6, "width": 8, "heads": 1}
    entries = edge_map(model).entries
    assert entries[0] == FIXED and len(set(entries)) == len(entries) > 6
    for entry in entries:
        create_model(
            model,
            wiring=entry.wiring,
            edges=entry.edges,
            node=entry.node,
            **settings,
        )
    dense = Entry("complete", "learned:form=free", node="block", learning_rate=1.0)
    assert name_of(dense) == "DenseFormer"


def test_a_map_holds_out_its_own_part(tmp_path: Path) -> None:
    source = DataSource("text", tmp_path / "text.txt", holdout=100)
    plan = comparison(tmp_path, source=source)
    with pytest.raises(RunError, match="holds out a part of the training data itself"):
        tuned(plan, [0.1], [1.0], tmp_path / "map")


def test_kinds_of_ones_choice() -> None:
    assert [entry.edges for entry in edge_map("gpt_tiny", ["learned"]).entries] == [
        "fixed",
        "learned",
    ]


def test_what_a_step_saves_is_counted_exactly() -> None:
    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * self.weight).exp()  # keeps x, and its own result

    batch = torch.zeros(3, 5), torch.zeros(3, dtype=torch.long)
    costs = step_costs({"a": Squares(), "b": Squares()}, batch, rounds=3)
    assert costs["a"]["step_ratio"] == 1 and costs["b"]["step_ratio"] > 0
    # Both, the softmax of the loss, its targets and its weight, in float32 and int64.
    least = 3 * 60 / 1e6
    assert least <= costs["a"]["saved_mb"] == costs["b"]["saved_mb"] < 2 * least
