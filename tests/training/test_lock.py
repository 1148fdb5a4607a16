"""A lock is held by the living process that took it, and by nobody else."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ddw_graph.training.lock import _warn, is_locked, lock


def test_a_lock_is_held_once_and_seen_by_others(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not is_locked(path) and not path.exists()
    with lock(path) as taken:
        assert taken and is_locked(path)
        with lock(path, seconds=0.05) as again:
            assert not again
        assert is_locked(path)
        path.chmod(0o444)
        assert is_locked(path)  # who only looks need not write
        path.chmod(0o644)
    assert not is_locked(path)
    with lock(path) as taken:
        assert taken
    with pytest.raises(OSError), lock(tmp_path):
        pass


FORKS = """
import os, sys, time
from pathlib import Path
from ddw_graph.training.lock import lock

with lock(Path(sys.argv[1])) as taken:
    child = os.fork()
    if child:
        print(taken, child, flush=True)
    time.sleep(60)
"""


@pytest.mark.full
def test_a_dead_process_holds_no_lock_nor_does_its_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKS, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        taken, child = process.stdout.readline().split()
        try:
            assert taken == "True" and is_locked(tmp_path / "lock")
            process.kill()
            process.wait()
            assert not is_locked(tmp_path / "lock")
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_file_system_without_locks_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(error: int) -> None:
        def flock(*arguments: object) -> None:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr("fcntl.flock", flock)

    _warn.cache_clear()
    for error in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        refuse(error)
        with lock(tmp_path / ".lock", seconds=0.1) as taken:
            assert taken and not is_locked(tmp_path / ".lock")
    assert caplog.text.count("no locks are kept on this file system") == 1
    _warn.cache_clear()
    refuse(errno.EIO)
    with pytest.raises(OSError), lock(tmp_path / ".lock"):
        pass
