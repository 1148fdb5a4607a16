"""The commands that learn from wirings, as a user calls them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result

from ddw_graph.generators import from_text
from ddw_graph.sweeping.plan import SweepPlan
from ddw_graph.sweeping.settings import data_source
from ddw_graph.sweeping.spec import read_spec
from ddw_graph.sweeping.sweep import run_sweep
from tests.analysis.learning.planted import one_edge_decides, sources_decide, stored
from tests.cli import command
from tests.cli.test_sweep import spec
from tests.sweeping.small import Here

ROOT = Path(__file__).parents[2]
SMALL = ("--epochs", 1, "--hidden", 4, "--folds", 2, "--repeats", 1)


def call(*arguments: object) -> Result:
    return command.call("learn", *arguments)


def test_classes_are_told_from_an_analysis(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "run" / "analysis", 30)
    out = tmp_path / "out"
    done = call("classes", tmp_path / "run", *SMALL, "--out", out)
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert said[0].startswith("30 samples of 3 classes; 20 edges differ")
    assert "2 folds, each with 15 held out; networks of width 4" in said[0]
    for model in ("majority class", "nearest class mean", "logistic regression"):
        assert model in done.stdout
    assert said[-1].startswith("the graph network ")
    report = (out / "report.md").read_text()
    assert report.startswith("# Classes from wirings") and said[2] in report
    assert len(pd.read_csv(out / "predictions.csv")) == 30
    assert len(pd.read_csv(out / "folds.csv")) == 2 * 4
    assert pd.read_csv(out / "summary.csv")["model"].tolist()[0] == "graph network"
    # The folder of the analysis itself is taken too, and says the same.
    inside = tmp_path / "run" / "analysis"
    again = call("classes", inside, *SMALL, "--json")
    told = json.loads(again.stdout)
    assert (told["samples"], told["classes"], told["edges"]) == (30, 3, 20)
    found = pd.read_csv(out / "summary.csv")["accuracy"]
    assert [row["accuracy"] for row in told["summary"]] == pytest.approx(list(found))


def test_results_are_told_from_a_sweep_that_has_not_ended(tmp_path: Path) -> None:
    sweep = sources_decide(tmp_path / "sweep", 12, finished=9)
    out = tmp_path / "out"
    done = call("results", sweep, *SMALL, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("9 of 12 runs have finished, and count\n")
    words = "test_accuracy of 9 finished runs of 12, with 9 wirings that differ"
    assert words in done.stdout and "So few say little." in done.stdout
    assert words in (out / "report.md").read_text()
    assert pd.read_csv(out / "predictions.csv")["run"].nunique() == 9
    told = json.loads(call("results", sweep, *SMALL, "--json").stdout)
    assert (told["runs"], told["planned"], told["wirings"]) == (9, 12, 9)
    assert [row["model"] for row in told["summary"]] == [
        "graph network",
        "linear in clustering and path length",
        "linear in the number of edges",
        "mean",
    ]


@pytest.mark.full
def test_the_time_of_a_sweeps_networks_is_measured(tmp_path: Path) -> None:
    text = 'wiring = ["complete", "vgg", "resnet", "er:p=0.5"]\nseed = [0]'
    path = spec(tmp_path, epochs=1, seeds=1)
    words = path.read_text().split("[axes]")[0]
    path.write_text(f"{words.replace('n = 2', 'n = 4')}\n[axes]\n{text}")
    checked = read_spec(path)
    plan = SweepPlan(checked, data_source(checked.fixed).load())
    run_sweep(plan, tmp_path / "s", Here)
    out = tmp_path / "out"
    target = ("--target", "inference_ms")
    done = call("results", tmp_path / "s", *target, *SMALL, "--out", out)
    assert done.exit_code == 0, done.output
    assert "It was measured twice, and the two correlate by" in done.stdout
    found = pd.read_csv(out / "predictions.csv")
    assert len(found) == 4 and (found["target"] > 0).all()
    assert found["target"].nunique() > 1


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "a", 30)
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    (out / "letter.txt").write_text("dear")
    done = call("classes", tmp_path / "a", *SMALL, "--out", out)
    assert done.exit_code == 2 and "replace it with --overwrite" in done.stderr
    assert (out / "report.md").read_text() == "mine"
    assert len(list(out.iterdir())) == 2
    done = call("classes", tmp_path / "a", *SMALL, "--out", out, "--overwrite")
    assert done.exit_code == 0, done.output
    assert (out / "letter.txt").read_text() == "dear"
    assert (out / "report.md").read_text().startswith("# Classes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classes", "none"), "none must hold an analysis"),
        (("classes", "sweep"), "must hold an analysis; make one with ddw-graph"),
        (("classes", "fixed"), "some edge must differ between samples, got 3 edges"),
        (("classes", "a", "--folds", "1"), "1 is not in the range x>=2"),
        (("classes", "a", "--folds", "40"), "got folds=40 and 10 of class 0"),
        (("classes", "a", "--device", "tpu"), "device must be auto"),
        (("results", "none"), "must hold sweep.json, got none"),
        (("results", "a"), "must hold sweep.json, got a"),
        (("results", "sweep"), "got 8 of 8 finished runs, and folds=5"),
        (("results", "sweep", "--target", "speed"), "got 'speed', which run-0 lacks"),
        (("results", "waiting"), "must hold finished runs, got none of 3"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    one_edge_decides(tmp_path / "a", 30)
    dag = from_text("vgg", n=2, seed=0)
    labels = np.arange(9) % 3
    ones = np.ones((9, dag.number_of_edges()))
    stored(tmp_path / "fixed", [dag], [ones], labels, lambda i, j: True)
    sources_decide(tmp_path / "sweep", 8)
    sources_decide(tmp_path / "waiting", 3, finished=0)
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.full
def test_a_process_says_nothing_of_deprecations(tmp_path: Path) -> None:
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
