"""The command that sweeps, as a user calls it, and as somebody kills it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ddw_graph.experiments.runs import PlannedRun
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.worker import Work
from tests.cli.command import call
from tests.sweeping.small import Here, images, pretend

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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Work]]:
    """Trains in this process, and returns the jobs and the work that are asked for."""
    found: list[tuple[int, Work]] = []

    def place(folder: SweepFolder, jobs: int, work: Work, *, runs: int) -> Here:
        found.append((jobs, work))
        return Here(folder)

    monkeypatch.setattr("ddw_graph.sweeping.executors.LocalExecutor", place)
    return found


def test_makes_the_table_and_the_picture(
    tmp_path: Path, asked: list[tuple[int, Work]]
) -> None:
    path, out = spec(tmp_path, epochs=1, seeds=1), tmp_path / "out"
    listed = call("sweep", path, "--dry-run")
    assert listed.exit_code == 0, listed.output
    names = ["wiring=complete,seed=0", "wiring=vgg,seed=0"]
    assert listed.stdout.split() == names and not out.exists()
    options = ("--jobs", 1, "--json", "--device", "cpu", "--workers", 1)
    steps = ("--checkpoint-steps", 1)
    done = call("sweep", path, "--out", out, *options, *steps)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [row["run"] for row in told["runs"]] == names and told["failed"] == []
    assert asked == [(1, Work("cpu", workers=1, checkpoint_steps=1))]
    table = pd.read_csv(out / "runs.csv")
    assert table["run"].tolist() == names
    assert table["wiring"].tolist() == ["complete", "vgg"]
    numbers = ["test_accuracy", "test_loss", "total_macs", "parameters", "depth"]
    numbers += ["train_seconds", "clustering", "average_path_length", "fan_in"]
    assert table[numbers].notna().all(axis=None)
    assert (out / "graphs.png").read_bytes().startswith(b"\x89PNG")
    status = call("sweep", "--status", out, "--json")
    stands = [(row["run"], row["state"]) for row in json.loads(status.stdout)]
    assert stands == [(name, "finished") for name in names]
    words = call("sweep", "--status", out).stdout
    assert words == "2 finished, 0 running, 0 failed, 0 waiting\n"


@pytest.mark.usefixtures("asked")
def test_reports_what_has_finished_so_far(tmp_path: Path) -> None:
    path, out = spec(tmp_path, epochs=1, seeds=1), tmp_path / "out"
    done = call("sweep", path, "--out", out, "--jobs", 1, "--device", "cpu")
    assert done.exit_code == 0, done.output
    whole = pd.read_csv(out / "runs.csv")
    for name in ("runs.csv", "graphs.png", "runs/wiring=vgg,seed=0/result.json"):
        (out / name).unlink()
    report = call("sweep", "--report", out)
    assert report.exit_code == 0, report.output
    assert report.stdout.startswith("1 finished, 0 running")
    assert (out / "graphs.png").is_file()
    pd.testing.assert_frame_equal(pd.read_csv(out / "runs.csv"), whole[:1])
    told = json.loads(call("sweep", "--report", out, "--json").stdout)
    assert [row["run"] for row in told["runs"]] == ["wiring=complete,seed=0"]
    (out / "runs/wiring=complete,seed=0/result.json").unlink()
    assert call("sweep", "--report", out).stdout.startswith("0 finished")


@pytest.mark.full
def test_what_fails_is_shown_and_the_exit_code_says_so(tmp_path: Path) -> None:
    path = spec(tmp_path, epochs=1, seeds=1, text="learning_rate = [0.05, 1e30]")
    out = tmp_path / "out"
    done = call("sweep", path, "--out", out, "--jobs", 2, "--device", "cpu")
    assert done.exit_code == 1, done.output
    assert done.stdout == "2 finished, 0 running, 2 failed, 0 waiting\n"
    status = call("sweep", "--status", out)
    assert status.stdout.count("must stay finite") == 2
    assert len(pd.read_csv(out / "runs.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs SPEC, a TOML file, or --status or --report with"),
        (("none.toml", "--out", "out"), "none.toml must be readable"),
        (("{spec}",), "needs --out, its folder"),
        (("{spec}", "--status", "out"), "takes a folder, and no SPEC"),
        (("--report", "out", "--dry-run"), "takes a folder, and no SPEC"),
        (("--report", "out", "--status", "out"), "takes a folder, and no SPEC"),
        (("--status", "none"), "must hold sweep.json, got none"),
        (("--report", "none"), "must hold sweep.json, got none"),
        (("{spec}", "--out", "{here}"), "an empty or a new folder"),
        (("{spec}", "--out", "out", "--jobs", "0"), "jobs must be at least 1, got 0"),
        (("{spec}", "--out", "out", "--cpus", "0"), "cpus must be at least 1, got 0"),
        (("{spec}", "--out", "out", "--device", "tpu"), "device must be auto"),
        (
            ("{spec}", "--out", "out", "--executor", "slurm"),
            "needs sbatch and srun, got neither here",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr(PlannedRun, "train", pretend)
    monkeypatch.setenv("PATH", str(tmp_path))
    path = spec(tmp_path, epochs=1, seeds=1)
    monkeypatch.chdir(tmp_path)
    words = {"{spec}": str(path), "{here}": str(tmp_path)}
    result = call("sweep", *(words.get(word, word) for word in arguments))
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    path, out = spec(tmp_path, epochs=1, seeds=1), tmp_path / "out"
    result = call("sweep", path, "--out", out, "--executor", "slurm")
    assert result.exit_code == 2 and "pip install 'ddw_graph[slurm]'" in result.stderr


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.full
@pytest.mark.parametrize("seeds", [2, 6])
def test_a_killed_worker_and_a_killed_driver_cost_no_result_and_double_none(
    tmp_path: Path, seeds: int
) -> None:
    path, out = spec(tmp_path, epochs=25, seeds=seeds), tmp_path / "out"
    words = ("sweep", path, "--out", out, "--jobs", 2, "--device", "cpu")
    command = [sys.executable, "-m", "ddw_graph.cli.main", *map(str, words)]
    folder = SweepFolder(out)
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def running() -> list[str]:
        planned = (out / "sweep.json").exists()
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
    driver.kill()
    driver.wait()
    # Its workers end with it.
    until(lambda: not running(), 30)
    done = {s.run for s in folder.statuses() if s.state == "finished"}
    assert done and len(done) < 2 * seeds
    before = {
        name: (folder.runs / name / "result.json").stat().st_mtime_ns for name in done
    }
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    for name, when in before.items():
        assert (folder.runs / name / "result.json").stat().st_mtime_ns == when
    table = pd.read_csv(out / "runs.csv")
    assert len(table) == 2 * seeds == table["run"].nunique()
    assert (table["epochs"] == 25).all()
    for name in table["run"]:
        log_of_run = pd.read_csv(folder.runs / name / "log.csv")
        assert log_of_run["epoch"].tolist() == list(range(1, 26))
