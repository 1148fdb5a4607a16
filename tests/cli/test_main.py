"""The command line as a whole: help, failures, and how a process ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner

from ddw_graph.cli import main as main_module
from ddw_graph.cli.main import COMMANDS, main
from ddw_graph.errors import UserError

ROOT = Path(__file__).parents[2]


@contextmanager
def process(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Starts Python with ``code`` in the checkout, and leaves no process behind."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


RUN = "from ddw_graph.cli.main import main; main()"


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_has_a_line_for_each_command(args: list[str]) -> None:
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert f"  {name} " in result.output and line in result.output


HEAVY = """
import sys
from ddw_graph.cli.main import COMMANDS, main
try: {}
finally:
    heavy = {{'torch', 'networkx', 'numpy', 'matplotlib', 'pandas', 'scipy'}}
    print('heavy:', sorted(heavy & set(sys.modules)))
"""
HELP = """[
    main([*words, '--help'], 'ddw-graph', standalone_mode=False)
    for words in [[], *([name] for name in COMMANDS), ['detect', 'train']]
]"""


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    with process(HEAVY.format(HELP)) as run:
        out, err = run.communicate()
    assert out.endswith("heavy: []\n") and not err
    assert all(f"Usage: ddw-graph {name} " in out for name in COMMANDS)
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--learning-rate", "nan"], "learning_rate must be in (0, 1e30], got nan"),
        (["--device", "quantum"], "device must be auto, cpu, cuda, cuda:N, mps or xpu"),
        (["--set", "beta2=2"], "beta2 must be in [0, 1), got 2.0"),
        (["--data", "folder"], "must have a root folder"),
    ],
)
def test_a_bad_setting_fails_before_torch_is_imported(
    args: list[str], message: str
) -> None:
    with process(HEAVY.format("main()"), "train", "--out", "a", *args) as run:
        out, err = run.communicate()
    assert (run.returncode, out) == (2, "heavy: []\n")
    assert message in err and err.count("\n") == 1


def test_a_command_has_the_line_of_the_table_in_its_help() -> None:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None and command.help is not None
        assert command.help.splitlines()[0] == COMMANDS[name]


MEMORY = (
    "memory must hold a batch with its features, and ran out: take a smaller "
    "--batch-size, or train with --set accumulate=2"
)


ENDS: dict[str, tuple[BaseException, int, str]] = {
    "user": (UserError("must be 1,\n  got 2"), 2, "must be 1, got 2"),
    "system": (OSError(28, "No space", "a.json"), 2, "a.json: No space"),
    "bare": (OSError("gone"), 2, "gone"),
    "memory": (MemoryError(), 2, f"{MEMORY} (MemoryError)"),
    "gpu": (
        torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB.\nMore."),
        2,
        f"{MEMORY} (CUDA out of memory)",
    ),
    "cpu": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes. Buy"),
        2,
        f"{MEMORY} (DefaultCPUAllocator: can't allocate memory: 9 bytes)",
    ),
    "interrupt": (KeyboardInterrupt(), 130, "interrupted"),
    # Our own mistakes keep their traceback.
    "bug": (ZeroDivisionError("ours"), 1, ""),
    "tensor": (RuntimeError("shapes differ"), 1, ""),
}


@pytest.mark.parametrize("kind", ENDS)
def test_each_failure_has_its_code(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, code, message = ENDS[kind]

    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(main_module.Commands, "get_command", lambda *_: failing)
    result = CliRunner().invoke(main, ["failing"])
    assert result.exit_code == code
    shown = f"ddw-graph: {message}\n" if message else ""
    assert result.stderr.lstrip("\n") == shown
    assert message or result.exception is error


def test_ctrl_c_ends_a_process_with_130() -> None:
    code = (
        "import signal, time\n"
        # A process that was started in the background ignores it, as its parent does.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ddw_graph.cli import options\n"
        "from ddw_graph.generators import texts\n"
        "def wait(*args, **kwargs):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)\n"
        "texts.from_text = wait\n"
        "from ddw_graph.cli.main import main; main()\n"
    )
    with process(code, "draw", "complete") as run:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()
    assert run.returncode == 130
    assert err.strip() == "ddw-graph: interrupted"


@pytest.mark.parametrize("args", [["--help"], ["draw", "complete", "--n", "400"]])
def test_a_reader_that_has_gone_is_no_failure(args: list[str]) -> None:
    with process(RUN, *args) as run:
        assert run.stdout is not None and run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait() in (0, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", RUN, "draw", "complete"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert run.returncode == 2
    assert run.stderr == "ddw-graph: No space left on device\n"
