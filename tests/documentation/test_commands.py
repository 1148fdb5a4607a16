"""Every command that the documentation shows is run, page by page, made small.

Minutes: run with ``-m full``, one page with ``-k deploy``.
"""

import glob
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ddw_graph.cli.main import main
from tests.documentation.commands import PAGES, ROOT, Command, blocks, commands
from tests.documentation.small import (
    APPENDED,
    BEFORE,
    BETWEEN,
    LAUNCHERS,
    NOT_RUN,
    ONCE,
    appended,
    embedded,
    fashion,
    fits,
)
from tests.experiments.small import InThisProcess
from tests.training.idx import write_fashion_mnist

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CI = (ROOT / ".ci" / "run").read_text()
SHOWN = [command for page in PAGES for command in commands(page)]
BIN = Path(sys.executable).parent
DONE: set[tuple[str, ...]] = set()
"""Commands of ``ONCE`` that this process has run."""

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        (ROOT / "PKG-INFO").exists(), reason="an unpacked sdist has no pages"
    ),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of tiny data and of the runs that pages take for granted."""
    folder = tmp_path_factory.mktemp("kept")
    write_fashion_mnist(folder / "data", fashion())
    embedded(folder / "images.npz")
    for name, options in (
        ("ddw", "--edges dynamic:bias=0"),
        ("ddw-1", "--edges dynamic:bias=0 --seed 1"),
        ("half", "--budget 0.5 --router-lr 3"),
    ):
        out = str(folder / name)
        words = ("ddw-graph", "train", *options.split(), "--out", out)
        call([*words[1:], *appended(Command("", words), folder / "data")])
    call(["prune", str(folder / "half")])
    return folder


def call(words: list[str]) -> None:
    """Runs ``ddw-graph`` in this process."""
    done = CliRunner().invoke(main, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"ddw-graph {' '.join(words)}\n{done.output}"


def run(command: Command, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a command in the current folder, with what makes it small behind it."""
    words = list(command.words)
    if any(fits(key, command.words) for key in NOT_RUN):
        return
    program = Path(words[0]).name
    if program == "pip" and words[:2] == ["pip", "install"]:
        assert words[2] == "-e", command
        for name in words[3:]:
            extra = name.removeprefix(".[").removesuffix("]")
            assert extra in EXTRAS["optional-dependencies"], command
    elif program == "ddw-graph":
        words[0] = program  # a page may say in which environment it is
        small = Command(command.page, tuple(words))
        if any(fits(key, small.words) for key in ONCE):
            if small.words in DONE:
                return
            DONE.add(small.words)
        files = [name for word in words[1:] for name in globbed(word)]
        call([*files, *appended(small, kept / "data")])
    elif program == "python" and words[0] == program:
        options = appended(command, kept / "data")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [*words[1:], *options])
            patch.setattr("ddw_graph.training.data.EMBEDDED", kept / "images.npz")
            try:
                runpy.run_path(words[1], run_name="__main__")
            except SystemExit as end:
                assert not end.code, command
    elif any(fits(key, command.words) for key in LAUNCHERS):
        launch(command, kept)
    else:  # what sets an environment up, and checks: CI's own
        assert str(command) in CI or " ".join(command.words) in CI, (
            f"{command.page}: {command} is run by no test and not by CI"
        )


def launch(command: Command, kept: Path) -> None:
    """Runs a command that is started several times."""
    start = command.words.index("ddw-graph")
    ours = Command(command.page, command.words[start:])
    words = [*ours.words, *appended(ours, kept / "data")]
    key = next(key for key in LAUNCHERS if fits(key, command.words))
    behind = LAUNCHERS[key]
    if behind is None:
        call(words[1:])
        return
    launcher = [*command.words[: start - 1], *behind.split(), command.words[start - 1]]
    assert shutil.which(launcher[0], path=BIN), launcher[0]
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [BIN / launcher[0], *launcher[1:], *words],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def globbed(word: str) -> list[str]:
    """Returns what a shell makes of a word with ``*`` in it."""
    return sorted(glob.glob(word)) if "*" in word else [word]


@pytest.mark.full
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_every_command_of_a_page_runs(
    page: str, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "ddw_graph.experiments.processes.ProcessExecutor", InThisProcess
    )
    for put in BEFORE.get(page, ()):
        put(tmp_path, kept)
    for command in commands(page):
        for (other, key), act in BETWEEN.items():
            if other == page and fits(key, command.words):
                act(tmp_path, kept)
        run(command, kept, monkeypatch)
        torch.set_num_threads(1)


@pytest.mark.full
@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize(
    ("page", "text"), [(page, text) for page in PAGES for text in blocks(page, "toml")]
)
def test_every_sweep_of_a_page_is_one(page: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    call(["sweep", str(path), "--dry-run"])


def test_every_entry_of_the_tables_is_of_a_command() -> None:
    def shown(key: str) -> bool:
        words = key.split()
        return any(
            fits(key, command.words[start:])
            for command in SHOWN
            for start in range(len(command.words))
            if command.words[start].endswith(words[0])
        )

    unused = [key for key in (*APPENDED, *LAUNCHERS, *NOT_RUN) if not shown(key)]
    unused += [page for page in BEFORE if page not in PAGES]
    for page, key in BETWEEN:
        fitting = [c for c in SHOWN if c.page == page and fits(key, c.words)]
        unused += [] if fitting else [key]
    assert not unused
