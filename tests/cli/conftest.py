"""Trained runs and an analysis, which all tests of commands share."""

import shutil
from pathlib import Path

import pytest

from tests.cli.command import SHARED, TINY, succeeds
from tests.training.text import DYNAMIC, text_positions


@pytest.fixture(scope="package")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with its analysis, as arrays and as Parquet."""
    folder = tmp_path_factory.mktemp("analyzed") / "run"
    succeeds("train", *SHARED, "--out", folder)
    succeeds("analyze", folder, "--parquet")
    return folder


@pytest.fixture(scope="package")
def positioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns two analyses of windows of tokens, with weights by position."""
    folder = tmp_path_factory.mktemp("positioned")
    for name, edges in (("dynamic", DYNAMIC), ("learned", "learned")):
        text_positions(folder / name, edges=edges)
    return folder


@pytest.fixture(scope="package")
def trained(analyzed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run without its analysis."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(analyzed, folder, ignore=shutil.ignore_patterns("analysis"))
    return folder


@pytest.fixture(scope="package")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a text of a few sentences."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("the wiring of a network is a graph\n" * 80)
    return path


@pytest.fixture(scope="package")
def text_run(text: Path) -> Path:
    """Returns the run of a language model."""
    out = text.parent / "run"
    edges = "dynamic:per=position,bias=0,gate=none,norm=rms"
    data = ("--data", "text", "--root", text)
    words = (*data, *TINY, "--epochs", 2, "--edges", edges)
    result = succeeds("train", *words, "--out", out)
    assert "nats a token" in result.stdout and "bits a byte" in result.stdout
    return out
