"""Trainings that tests share."""

import shutil
from pathlib import Path

import pytest

from tests.training.runs import Stop, StopAt, run


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of an uninterrupted run, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder)
    return folder


@pytest.fixture(scope="package")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the same run after its first epoch."""
    folder = tmp_path_factory.mktemp("runs") / "begun"
    with pytest.raises(Stop):
        run(folder, listeners=[StopAt(2, 1)])
    return folder


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    """Returns a folder with a copy of the finished run, to change."""
    return Path(shutil.copytree(whole, tmp_path / "finished"))


@pytest.fixture
def unfinished(begun: Path, tmp_path: Path) -> Path:
    """Returns a folder with a copy of the unfinished run, to change."""
    return Path(shutil.copytree(begun, tmp_path / "unfinished"))
