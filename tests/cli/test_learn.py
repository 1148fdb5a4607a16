"""The commands that learn from wirings, as a user calls them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from ddw_graph.generators import from_text
from tests.analysis.learning.planted import one_edge_decides, sources_decide, stored
from tests.cli import command

ROOT = Path(__file__).parents[2]
SMALL = ("--epochs", 1, "--folds", 2)


def call(*arguments: object) -> Result:
    return command.call("learn", *arguments)


def test_classes_are_predicted_from_an_analysis(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "run" / "analysis", 30)
    done = call("classes", tmp_path / "run", *SMALL)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("class of 30 samples with 3 labels, from 20 edges")
    # The folder of the analysis itself is taken too.
    again = call("classes", tmp_path / "run" / "analysis", *SMALL, "--json")
    found = json.loads(again.stdout)
    assert done.stdout.startswith(found["about"]) and len(found["predictions"]) == 30
    for row in found["summary"]:
        assert f"| {row['model']} | {row['score']:.4g} |" in done.stdout
    right = json.loads(
        call(
            "classes", tmp_path / "run", *SMALL, "--target", "correct", "--json"
        ).stdout
    )
    assert {row["target"] for row in right["predictions"]} == {0, 1}


def test_results_are_predicted_from_runs_that_have_finished(tmp_path: Path) -> None:
    folder = sources_decide(tmp_path / "sweep", 8, finished=6)
    done = call("results", folder, *SMALL, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["about"].startswith("test_accuracy of 6 finished runs, from 6 differ")
    assert "fewer than 50 wirings show little" in found["about"]
    assert len(found["predictions"]) == 3 * 6
    names = ["graph network", "ridge regression on graph properties", "mean"]
    assert [row["model"] for row in found["summary"]] == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classes", "none"), "none must hold an analysis"),
        (("classes", "runs"), "must hold an analysis; make one with ddw-graph"),
        (("classes", "fixed"), "some edge must differ between samples, got 3 edges"),
        (("classes", "a", "--folds", "1"), "1 is not in the range x>=2"),
        (("classes", "a", "--folds", "40"), "got folds=40 and 10 of label 0"),
        (("results", "none"), "finished runs of networks, got none in none"),
        (("results", "runs"), "got 8 in 8 finished runs, and folds=5"),
        (("results", "runs", "--target", "speed"), "got 'speed', which runs/run-00-0"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_misuse_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    one_edge_decides(tmp_path / "a", 30)
    dag = from_text("vgg", n=2, seed=0)
    ones = np.ones((9, dag.number_of_edges()))
    stored(tmp_path / "fixed", [dag], [ones], np.arange(9) % 3, lambda i, j: True)
    sources_decide(tmp_path / "runs", 8)
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.full
def test_a_process_prints_no_deprecations(tmp_path: Path) -> None:
    code = "from ddw_graph.cli.main import main; main()"
    run = [sys.executable, "-c", code, "learn", "classes", str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"ddw-graph: {tmp_path} must hold an analysis")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("classes", "-h"), ("results", "-h")]
)
def test_the_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = (
        "import sys\n"
        "from ddw_graph.cli.main import main\n"
        "try: main()\n"
        "finally: print({'torch', 'torch_geometric', 'numpy'} & set(sys.modules))\n"
    )
    run = [sys.executable, "-c", code, "learn", *words]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("set()\n") and not done.stderr
