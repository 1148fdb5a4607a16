"""A test that takes too much CPU time fails the run, and nothing else counts."""

import sys
from pathlib import Path

import pytest

from tests import cpu_time

BUSY = """
import time
import pytest

def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""


def outcome(
    folder: Path, body: str, monkeypatch: pytest.MonkeyPatch, pace: float = 1.0
) -> int:
    """Runs a module of tests in which 0.1 CPU-seconds are too many, times the pace."""
    monkeypatch.setattr(cpu_time, "LIMIT", 0.1)
    monkeypatch.setattr(cpu_time, "probe", lambda: pace * cpu_time.PROBE_SECONDS)
    (folder / "pytest.ini").write_text(
        "[pytest]\nmarkers =\n  full: a\n  cpu_seconds(limit, reason): b\n"
    )
    (folder / "slow_import.py").write_text(f"{BUSY}\nwork(0.3)\n")
    file = folder / f"{folder.name}.py"  # of a name that no other test imports
    file.write_text(BUSY + body)
    words = [
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-c",
        str(folder / "pytest.ini"),
    ]
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        return pytest.main([*words, str(file)], plugins=[cpu_time.CpuTime()])


@pytest.mark.parametrize(
    "body",
    [
        "def test(): work(0.3)",
        "@pytest.fixture\ndef own(): work(0.3)\ndef test(own): pass",
        "@pytest.mark.cpu_seconds(0.2, reason='x')\ndef test(): work(0.4)",
        "import subprocess, sys\n"
        "def test(): subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'])",
    ],
)
def test_what_takes_too_much_fails(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcome(tmp_path, body, monkeypatch) == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    "body",
    [
        "def test(): pass",
        "def test(): time.sleep(0.3)",
        "@pytest.mark.full\ndef test(): work(0.3)",
        "@pytest.mark.cpu_seconds(0.9, reason='x')\ndef test(): work(0.3)",
        "@pytest.fixture(scope='module')\ndef shared(): work(0.3)\n"
        "def test(shared): pass",
        "def test(): import slow_import",
    ],
)
def test_what_may_take_its_time_passes(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "slow_import", raising=False)
    assert outcome(tmp_path, body, monkeypatch) == pytest.ExitCode.OK


def test_a_slow_machine_has_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "def test(): work(0.3)"
    assert outcome(tmp_path, body, monkeypatch, pace=9) == pytest.ExitCode.OK
