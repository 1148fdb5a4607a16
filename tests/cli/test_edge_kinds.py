"""Your own kinds of edges by name, and those with many weights an edge, in commands."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ddw_graph.nn.edges import IMPORT, KINDS
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run
from tests.analysis.explorer.pages import data_of, stage_of
from tests.cli.command import refused, succeeds
from tests.experiments.small import images

ROOT = Path(__file__).parents[2]

SMALL = ("--wiring", "complete", "--n", 2, "--channels", 4, "--epochs", 1)
FEW = (*SMALL, "--per-class", 4, "--batch-size", 20, "--learning-rate", 1)

OWN = "own_by_channel:start=0.75"

MODULE = '''
from dataclasses import dataclass
import torch
from torch import nn
from ddw_graph import EdgeWeights, edge_kind

class ByChannel(EdgeWeights):
    """Weighs each channel of each edge."""
    def __init__(self, plan, channels, start):
        super().__init__(plan, channels)
        self.weight = nn.ParameterList(
            torch.full((1, len(plan.weighted(i)), channels[i], 1, 1), start)
            for i in range(plan.nodes)
        )
    def outgoing(self, node, x):
        return self.weight[node]
    def macs(self, node, elements):
        return 0

@edge_kind("own_by_channel")
@dataclass(frozen=True)
class Settings:
    start: float = 1.0
    def __call__(self, plan, channels):
        return ByChannel(plan, channels, self.start)
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts a module with a kind of edges where Python and the commands find it."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "own_edges.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
    monkeypatch.setenv(IMPORT, "json,own_edges")
    yield
    KINDS.pop("own_by_channel", None)
    sys.modules.pop("own_edges", None)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("edges", ["attention", "dynamic:per=position", OWN])
def test_tables_and_pages_have_the_mean_of_an_edges_weights(
    edges: str, tmp_path: Path
) -> None:
    run, page = tmp_path / "run", tmp_path / "page.html"
    succeeds("train", *FEW, "--edges", edges, "--out", run)
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["model"]["edges"] == edges
    succeeds("analyze", run)
    succeeds("explore", run, "--samples", 10, "--out", page)
    (row,) = json.loads(succeeds("eval", run, "--json").stdout)["runs"]
    result = json.loads((run / "result.json").read_text())
    assert row["accuracy"] == result["test_accuracy"]
    ((x, labels),) = batches(Run(run).data().test_inputs(), 1000)
    model = Run(run).network()
    with torch.no_grad():
        logits, adjacency = model(x, return_adjacency=True)
    right = (logits.argmax(1) == labels).float().mean().item()
    assert row["accuracy"] == pytest.approx(right, abs=0.011)
    table = pd.read_csv(run / "analysis" / "edges.csv")
    shown = data_of(page.read_text())
    (network,) = shown["networks"]
    for place, matrix in enumerate(adjacency):
        assert matrix[0, 0, 0].numel() > 1  # several weights an edge
        source, target = model.stages[place].plan.ends
        by_sample = matrix[:, target, source].flatten(2).mean(2).double().numpy()
        found = table[table["stage"] == place + 1]
        assert (found["source"].tolist(), found["target"].tolist()) == (source, target)
        np.testing.assert_allclose(found["mean"], by_sample.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found["std"], by_sample.std(0), atol=1e-5)
        logged = [r.mean for r in Run(run).edge_log if r.stage == place + 1]
        np.testing.assert_allclose(logged, by_sample.mean(0), rtol=1e-5)
        _, weights = stage_of(network["stages"][place], 10)
        chosen = by_sample[shown["numbers"]]
        np.testing.assert_allclose(weights, chosen, atol=5e-3)


MISSING = {
    "nowhere": "No module named 'nowhere'",
    "json,./own_edges.py": "'./own_edges.py'",
    "json": f"set {IMPORT}",
    "": f"set {IMPORT}",
}
"""Values of the environment variable that find no kind, with words of the error."""


@pytest.mark.usefixtures("own")
def test_a_kind_that_no_module_names_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, new = tmp_path / "run", tmp_path / "new"
    succeeds("train", *FEW, "--edges", OWN, "--out", run)
    wrong = ("train", *FEW, "--edges", "own_by_channel:end=1", "--out", new)
    refused(*wrong, message="with the keys start, got 'end=1'")
    del KINDS["own_by_channel"]
    commands = (
        ("train", *FEW, "--edges", OWN, "--out", new),
        ("eval", run),
        ("analyze", run, "--overwrite"),
        ("explore", run, "--out", tmp_path / "page.html"),
    )
    for modules, words in MISSING.items():
        monkeypatch.setenv(IMPORT, modules)
        for command in commands:
            refused(*command, message=words)
    assert not new.exists()


@pytest.mark.full
@pytest.mark.usefixtures("own")
def test_processes_find_a_kind_of_your_own(tmp_path: Path) -> None:
    data = ("--data", "folder", "--root", images(tmp_path / "data"), "--image-size", 8)
    kinds = ("--edges", "fixed", "--edges", OWN, "--seeds", 1, "--jobs", 2)
    words = ("compare", *SMALL, *data, "--batch-size", 8, *kinds)
    command = (*words, "--out", tmp_path / "comparison")
    subprocess.run(
        [sys.executable, "-m", "ddw_graph.cli.main", *map(str, command)],
        check=True,
        cwd=ROOT,
    )
    runs = pd.read_csv(tmp_path / "comparison" / "runs.csv")
    assert runs["entry"].tolist() == ["complete fixed", f"complete {OWN}"]
