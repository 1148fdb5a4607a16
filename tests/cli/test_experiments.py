"""The commands that run experiments, as users call them and as somebody kills them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.planned_run import Work
from ddw_graph.models.paper import paper_figures
from tests.cli.command import SMALL, refused, succeeds
from tests.experiments.small import InThisProcess, images

ROOT = Path(__file__).parents[2]


def spec(folder: Path, *, epochs: int, seeds: int, text: str = "") -> Path:
    path = folder / "sweep.toml"
    path.write_text(
        f"""
        [fixed]
        data = "folder"
        root = "{images(folder / "images")}"
        image_size = 8
        n = 2
        channels = 4
        batch_size = 6
        epochs = {epochs}
        [axes]
        wiring = ["complete", "vgg"]
        seed = {list(range(seeds))}
        {text}
        """
    )
    return path


def test_a_sweep_makes_table_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int | None, Work, int | None]] = []

    def place(folder: ExperimentFolder, jobs: int, work: Work, **more: Any) -> Any:
        asked.append((jobs, work, more["threads"]))
        return InThisProcess(folder, jobs, work)

    monkeypatch.setattr("ddw_graph.experiments.processes.ProcessExecutor", place)
    path, out = spec(tmp_path, epochs=1, seeds=1), tmp_path / "out"
    listed = succeeds("sweep", path, "--dry-run")
    names = ["wiring=complete,seed=0", "wiring=vgg,seed=0"]
    assert listed.stdout.split() == names and not out.exists()
    options = ("--jobs", 1, "--json", "--device", "cpu", "--workers", 1)
    steps = ("--checkpoint-steps", 1, "--threads", 2)
    printed = json.loads(succeeds("sweep", path, "--out", out, *options, *steps).stdout)
    assert [row["run"] for row in printed["runs"]] == names and printed["failed"] == []
    assert asked == [(1, Work("cpu", workers=1, checkpoint_steps=1), 2)]
    table = pd.read_csv(out / "runs.csv")
    assert table["run"].tolist() == names
    assert table["wiring"].tolist() == table["entry"].tolist() == ["complete", "vgg"]
    numbers = ["test_accuracy", "test_loss", "total_macs", "parameters", "depth"]
    numbers += ["train_seconds", "clustering", "average_path_length", "fan_in"]
    assert table[numbers].notna().all(axis=None)
    states = json.loads(succeeds("status", out, "--json").stdout)
    assert [(row["run"], row["state"]) for row in states] == [
        (name, "finished") for name in names
    ]
    words = succeeds("status", out).stdout
    assert words == "2 finished, 0 running, 0 failed, 0 waiting\n"
    # The report is a function of the folder, of the runs that have finished.
    for name in ("runs.csv", "accuracy.png", "runs/wiring=vgg,seed=0/result.json"):
        (out / name).unlink()
    printed = json.loads(succeeds("report", out, "--json").stdout)
    assert [row["run"] for row in printed["runs"]] == names[:1]
    assert (out / "accuracy.png").is_file()
    pd.testing.assert_frame_equal(pd.read_csv(out / "runs.csv"), table[:1])
    (out / "runs/wiring=complete,seed=0/result.json").unlink()
    assert json.loads(succeeds("report", out, "--json").stdout)["runs"] == []


def test_compares_two_kinds_of_edges(tmp_path: Path) -> None:
    pair = ("--edges", "fixed", "--edges", "learned", "--seeds", 2)
    shared = ("--wiring", "resnet", "--set", "learning_rate=0.03", "--set", "beta2=0.9")
    small = ("compare", *SMALL, "--n", 1, *shared, *pair)
    out = tmp_path / "c"
    lines = succeeds(*small, "--out", out).stdout.strip().splitlines()
    assert len(lines) == 4 and lines[2].startswith("| resnet fixed | 2 |")
    runs = pd.read_csv(out / "runs.csv")
    assert runs["entry"].tolist() == 2 * ["resnet fixed", "resnet learned"]
    assert (abs(runs["total_macs"] / runs["total_macs"][0] - 1) <= 0.03).all()
    table = pd.read_csv(out / "summary.csv")
    means = 100 * runs.groupby("entry")["test_accuracy"].mean()
    assert (table.set_index("entry")["accuracy"] - means).abs().max() < 1e-9
    assert (table["inference_ms"] > 0).all()
    by_seed = runs.pivot(index="seed", columns="entry", values="test_accuracy")
    difference = 100 * (by_seed["resnet learned"] - by_seed["resnet fixed"]).mean()
    assert table["difference"][1] == pytest.approx(difference)
    name = "wiring=resnet,edges=learned,seed=0"
    drawn = ("accuracy", "curves", "wirings", "edge_weights")
    assert {path.stem for path in out.glob("*.png")} == {
        *(*drawn, f"mean-{name}", f"std-{name}")
    }
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/model.*")}
    assert len(kept) == 4
    config = json.loads((out / "runs" / name / "config.json").read_text())["config"]
    recipe = config["recipe"]
    assert (recipe["learning_rate"], recipe["beta2"]) == (0.03, 0.9)
    # Other entries join those that are there.
    grown = ("--edges", "fixed", "--edges", "learned:form=free", "--seeds", 1, "--json")
    more = succeeds("compare", *SMALL, "--n", 1, *shared, *grown, "--out", out)
    found = json.loads(more.stdout)
    assert [row["seeds"] for row in found["summary"]] == [2, 2, 1]
    # Without a cost, and without a result of the reference's first seed.
    report = json.loads((out / "report.json").read_text())
    del report["costs"]["resnet learned"]
    (out / "report.json").write_text(json.dumps(report))
    (out / "runs" / "wiring=resnet,edges=fixed,seed=0" / "result.json").unlink()
    again = json.loads(succeeds("report", out, "--json").stdout)["summary"]
    assert [row["entry"] for row in again][0] == "resnet fixed"
    assert [row["inference_ms"] is None for row in again] == [False, True, False]
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    refused(*small, "--out", out, "--epochs", 2, message="fixed.epochs is 1 there")


def test_ablations_of_a_folder_share_their_runs(tmp_path: Path) -> None:
    out = tmp_path / "ablations"
    words = (*SMALL, "--seeds", 1, "--out", out, "--json")
    first = json.loads(succeeds("ablate", "fig3", *words).stdout)
    assert [row["entry"] for row in first["summary"]] == [
        f"complete dynamic{bias}" for bias in ("", ":bias=0", ":bias=-3")
    ]
    ours = paper_figures("table6")["ResNet-50", "dynamic"]
    assert first["summary"][0]["paper, ResNet-50"] == ours
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/model.*")}
    second = json.loads(succeeds("ablate", "gates", *words).stdout)
    assert [row["entry"].partition("gate=")[2] for row in second["summary"]] == [
        *("", "hard", "eq5", "none")
    ]
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert len(list(out.glob("runs/*"))) == 6
    report = (out / "gates" / "report.md").read_text()
    assert report.startswith("# Gates") and "eq5" in report
    # Each report can be written again, and is about its own entries.
    again = json.loads(succeeds("report", out / "fig3", "--json").stdout)
    assert again["summary"] == first["summary"]


def test_instances_of_an_experiment_are_tested(tmp_path: Path) -> None:
    trained, out = tmp_path / "trained", tmp_path / "tested"
    pair = ("--edges", "dynamic", "--edges", "dynamic:router_std=1,bias=0.0")
    succeeds("compare", *SMALL, *pair, "--seeds", 2, "--out", trained)
    result = succeeds("instances", trained, "--out", out)
    assert result.stdout.count("instance-aware: ") == 2
    assert {path.name for path in out.iterdir()} == {
        *("wirings.csv", "variation.csv", "summary.csv", "report.md", "tested"),
        *("wirings.png", "variation.png"),
    }
    entries = ["complete dynamic", "complete dynamic:bias=0,router_std=1"]
    wirings = pd.read_csv(out / "wirings.csv")
    assert wirings["entry"].unique().tolist() == entries and len(wirings) == 16
    own = wirings[wirings["wiring"] == "own"].set_index(["entry", "seed"])
    runs = pd.read_csv(trained / "runs.csv").set_index(["entry", "seed"])
    assert (own["accuracy"] - runs["test_accuracy"]).abs().max() == 0
    assert (own["changed"] == 0).all()
    variation = pd.read_csv(out / "variation.csv")
    assert len(variation) == 12 and variation["image_share"].between(0, 1).all()
    # One run of them alone is tested the same, and adds nothing.
    run = next(trained.glob("runs/*"))
    again = json.loads(succeeds("instances", run, "--out", out, "--json").stdout)
    assert len(again["wirings"]) == 16
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "report.md").write_text("mine")
    taken = ("instances", run, "--out", tmp_path / "own")
    refused(*taken, message="needs an empty or a new folder")
    # A draft that a killed process left is not in the way.
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / ".result.json.1.tmp").write_text("")
    succeeds("instances", run, "--out", tmp_path / "draft")
    other = tmp_path / "other"
    shutil.copytree(run, other)
    content = json.loads((other / "config.json").read_text())
    content["source"]["holdout"] = 500
    (other / "config.json").write_text(json.dumps(content))
    both = ("instances", run, other, "--out", tmp_path / "t")
    refused(*both, message=f"got holdout 500 of {other}")


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.full
@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [(signal.SIGINT, 130, "ddw-graph: interrupted\n"), (signal.SIGKILL, -9, "")],
)
def test_a_killed_worker_and_a_killed_driver_cost_no_result_and_double_none(
    tmp_path: Path, sent: signal.Signals, code: int, words: str
) -> None:
    seeds = 4
    path, out = spec(tmp_path, epochs=25, seeds=seeds), tmp_path / "out"
    options = ("sweep", path, "--out", out, "--jobs", 2, "--device", "cpu")
    command = [sys.executable, "-m", "ddw_graph.cli.main", *map(str, options)]
    folder = ExperimentFolder(out)
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            # A shell that runs the tests in the background has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def running() -> list[str]:
        planned = (out / "runs.json").exists()
        return [
            status.run
            for status in (folder.statuses() if planned else ())
            if status.state == "running" and status.epochs
        ]

    until(lambda: len(running()) > 0)
    victim = running()[0]
    os.kill(folder.attempt(victim).pid, signal.SIGKILL)
    # A worker that was killed is known, and its run is tried again.
    until(lambda: folder.attempt(victim).number == 2)
    until(lambda: any(s.state == "finished" for s in folder.statuses()))
    until(lambda: len(running()) > 0)
    driver.send_signal(sent)
    assert driver.wait() == code
    assert (tmp_path / "log").read_text().endswith(words)
    # Its workers end with it.
    until(lambda: not running(), 30)
    done = {s.run for s in folder.statuses() if s.state == "finished"}
    assert done and len(done) < 2 * seeds
    before = {
        name: (folder.run(name) / "result.json").stat().st_mtime_ns for name in done
    }
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    for name, when in before.items():
        assert (folder.run(name) / "result.json").stat().st_mtime_ns == when
    table = pd.read_csv(out / "runs.csv")
    assert len(table) == 2 * seeds == table["run"].nunique()
    assert (table["epochs"] == 25).all()
    for name in table["run"]:
        log_of_run = pd.read_csv(folder.run(name) / "log.csv")
        assert log_of_run["epoch"].tolist() == list(range(1, 26))
