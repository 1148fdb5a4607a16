"""The command that trains, in several processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddw_graph.training.execution import Execution
from ddw_graph.training.run import Run
from tests.cli.command import call

QUICK = ("--wiring", "complete:n=2", "--channels", "4", "--epochs", "1")


@pytest.mark.full
@pytest.mark.usefixtures("all_images")  # which the processes that it starts have
def test_torchrun_starts_the_same_command(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    launch += ["-m", "ddw_graph.cli.main", "train", *QUICK, "--processes", "2"]
    launch += ["--batch-size", "100", "--json", "--out", str(tmp_path / "two")]
    done = subprocess.run(launch, capture_output=True, text=True, check=True)
    # The process that leads prints, and no other.
    result = json.loads(done.stdout)
    run = Run(tmp_path / "two")
    assert result == run.result and result["test_accuracy"] > 0.2
    assert run.config["execution"] == {**Execution().as_dict(), "processes": 2}
    assert run.network().config == run.config["model"]
    alone = call(
        *("train", *QUICK, "--batch-size", "100", "--resume"),
        *("--out", tmp_path / "two"),
    )
    assert alone.exit_code == 2 and "execution" in alone.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--processes", "2"), "2 processes were asked for, got 1"),
        (("--precision", "int8"), "precision must be one of float32, bfloat16"),
        (("--checkpoint-steps", "0"), "checkpoint_steps must be at least 1, got 0"),
        (("--timeout", "0"), "timeout must be in (0, 1000000], got 0.0"),
    ],
)
def test_a_mistake_is_one_line(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = call("train", *QUICK, *options, "--out", tmp_path / "a")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and message in result.stderr
    assert not (tmp_path / "a").exists()
