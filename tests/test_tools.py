"""The scripts in tools/ do what they say, or say why they do not."""

import subprocess
import sys
from pathlib import Path

import pytest

TRY_SLURM = Path(__file__).parents[1] / "tools" / "try_slurm.sh"
BASH = "/bin/bash"


@pytest.mark.skipif(not Path(BASH).exists(), reason="needs bash")
def test_without_slurm_the_trial_is_skipped_with_the_reason() -> None:
    done = subprocess.run(
        [BASH, TRY_SLURM, "/bin/false"],
        # Where Slurm is installed, its Python lacks submitit.
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.startswith("skipped: no ")


@pytest.mark.full
def test_a_sweep_on_a_real_slurm_has_each_result_once() -> None:
    done = subprocess.run(
        [BASH, TRY_SLURM, sys.executable], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    if not done.stdout.startswith("skipped"):
        assert "4 results of 4 runs, 2 attempts at the killed one" in done.stdout
