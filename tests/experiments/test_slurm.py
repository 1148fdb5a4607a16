"""When a job of Slurm has ended, as the executor hears it from Slurm's commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.slurm import SlurmExecutor, SlurmOptions
from ddw_graph.experiments.worker import CRASHED
from ddw_graph.training.run_folder import write_json

COMMANDS = {
    "sbatch": 'echo "Submitted batch job 7"',
    "srun": "true",
    "sacct": '[ -e "$SLURM/state" ] || exit 1; echo "JobID|State|NodeList"; '
    'echo "7|$(cat "$SLURM/state")|one"',
    "squeue": 'cat "$SLURM/queue"',
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files say what Slurm's commands answer."""
    for name, line in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    monkeypatch.setenv("SLURM", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("ddw_graph.experiments.slurm.DELAY", 0)
    (tmp_path / "queue").write_text("7\n")
    return tmp_path


@pytest.mark.parametrize(
    ("state", "in_queue", "active"),
    [
        ("RUNNING", True, True),
        ("COMPLETED", False, False),
        ("CANCELLED by 1000", False, False),
        ("CANCELLED+", False, False),
        ("PREEMPTED", False, False),
        ("PREEMPTED", True, True),
        ("REQUEUED", True, True),
        ("REVOKED", False, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_a_job_ends_when_slurm_has_done_with_it(
    slurm: Path, state: str | None, in_queue: bool, active: bool
) -> None:
    if state is not None:
        (slurm / "state").write_text(state)
    (slurm / "queue").write_text("7\n" if in_queue else "")
    (slurm / "sweep").mkdir()
    executor = SlurmExecutor(ExperimentFolder(slurm / "sweep"), 1, SlurmOptions())
    executor.start(["a"])
    assert executor.active() == ({"a"} if active else set())


def test_new_attempts_wait_until_fewer_run_than_may(slurm: Path) -> None:
    (slurm / "state").write_text("RUNNING")
    (slurm / "sweep").mkdir()
    executor = SlurmExecutor(ExperimentFolder(slurm / "sweep"), 2, SlurmOptions())
    assert executor.room > 100
    executor.start(["a"])
    assert executor.room == 1
    executor.waited_for = {"a", "b", "c"}
    assert executor.room == 0


def test_jobs_of_before_are_asked_for_at_once(slurm: Path) -> None:
    (slurm / "state").write_text("RUNNING")
    (slurm / "sweep" / "slurm").mkdir(parents=True)
    ids = {f"run-{number}": str(number) for number in range(20)}
    write_json(slurm / "sweep" / "slurm" / "jobs.json", ids)
    executor = SlurmExecutor(ExperimentFolder(slurm / "sweep"), 1, SlurmOptions())
    executor.watcher._delay_s = 60
    executor.active()
    assert executor.watcher._num_calls == 1


LIMIT = """
import os, signal, time
from ddw_graph.experiments.slurm import end_at_the_limit

def over(number, frame):
    raise RuntimeError("Job not requeued because: timed-out")

signal.signal(signal.SIGUSR2, over)
end_at_the_limit()
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGUSR2)  # says nothing to who loads images
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
try:
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(60)
except Exception as error:
    print("a bad image:", error)
"""


@pytest.mark.full
def test_the_end_of_a_jobs_time_ends_the_process_wherever_it_is() -> None:
    run = [sys.executable, "-c", LIMIT]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == CRASHED and not ended.stdout
    assert "timed-out" in ended.stderr
