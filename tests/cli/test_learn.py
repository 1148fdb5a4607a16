"""``ddw-graph learn``."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddw_graph.generators import from_text
from tests.analysis.learning.planted import one_edge_decides, stored
from tests.cli.command import refused, succeeds

ROOT = Path(__file__).parents[2]
SMALL = ("--epochs", 1, "--folds", 2)


def test_classes_are_predicted_from_an_analysis(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "run" / "analysis", 30)
    shown = succeeds("learn", tmp_path / "run", *SMALL).stdout
    assert shown.startswith("class of 30 samples with 3 labels, from 20 edges")
    # The folder of the analysis itself is taken too.
    again = succeeds("learn", tmp_path / "run" / "analysis", *SMALL, "--json")
    found = json.loads(again.stdout)
    assert shown.startswith(found["about"]) and len(found["predictions"]) == 30
    for row in found["summary"]:
        assert f"| {row['model']} | {row['accuracy']:.1f} |" in shown
    correct = succeeds("learn", tmp_path / "run", *SMALL, "--target=correct", "--json")
    right = json.loads(correct.stdout)["predictions"]
    assert {row["target"] for row in right} == {0, 1}


def test_edges_that_never_differ_teach_nothing(tmp_path: Path) -> None:
    dag = from_text("vgg", n=2, seed=0)
    ones = np.ones((9, dag.number_of_edges()))
    stored(tmp_path / "fixed", [dag], [ones], np.arange(9) % 3, lambda i, j: True)
    refused("learn", tmp_path / "fixed", message="must differ between samples, got 3")


@pytest.mark.full
def test_a_process_prints_no_deprecations(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "a", 6)
    code = "from ddw_graph.cli.main import main; main()"
    run = [sys.executable, "-c", code, "learn", str(tmp_path / "a"), "--folds", "40"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("ddw-graph: folds must be")
    assert done.stderr.count("\n") == 1
