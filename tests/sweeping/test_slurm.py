"""When a job of Slurm has ended, as the executor hears it from Slurm's commands."""

from pathlib import Path

import pytest

from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.slurm import SlurmExecutor, SlurmOptions

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
    monkeypatch.setattr("ddw_graph.sweeping.slurm.DELAY", 0)
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
    executor = SlurmExecutor(SweepFolder(slurm / "sweep"), 1, SlurmOptions())
    executor.start(["a"])
    assert executor.active() == ({"a"} if active else set())
