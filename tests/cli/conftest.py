"""A trained run and its analysis, which all tests of commands share."""

import shutil
from pathlib import Path

import pytest

from tests.cli.command import SHARED, succeeds
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
