"""A disk that is full costs a run nothing but the steps since its last checkpoint."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ddw_graph.training.run_folder import RunFolder
from tests.training.runs import Stop, StopAt, run, weights


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small file system, on Linux")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint(disk: Path, whole: Path) -> None:
    folder = disk / "run"
    with pytest.raises(Stop):
        run(folder, listeners=[StopAt(2, 1)])
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError) as full:
        while True:
            file.write(bytes(1024))
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left") as error:
        run(folder, resume=True)
    # The user's own name for the file, not that of a draft; and no draft stays.
    named = Path(error.value.filename)
    assert named in (folder / "log.csv", folder / "checkpoint.pt")
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]
    assert len(RunFolder(folder).read_checkpoint()["history"]) == 1
    filler.unlink()
    run(folder, resume=True)
    resumed, wanted = weights(folder), weights(whole)
    assert all(torch.equal(resumed[name], wanted[name]) for name in wanted)
