"""A training that tests share."""

import shutil
from pathlib import Path

import pytest

from tests.training.runs import run


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of an uninterrupted run, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder)
    return folder


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """Returns a folder with a copy of that run, to change."""
    return Path(shutil.copytree(whole, tmp_path / "finished"))
