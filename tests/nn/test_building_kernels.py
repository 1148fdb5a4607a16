"""Kernels are built once, by programs that are told of where they are missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import cpp_extension

from ddw_graph.errors import ModelError
from ddw_graph.nn import kernels
from tests.nn.compiled import need_kernels

BUILD = kernels.load.__wrapped__
"""Loads the kernels, whether this process has done so or not."""


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Lets kernels be built without a compiler, and tells what was built and loaded."""
    seen: list[str] = []

    def build(name: str, *_: Any, build_directory: str, **__: Any) -> None:
        seen.append("built")
        (Path(build_directory) / f"{name}.so").write_text("a library")

    def load(path: str) -> None:
        assert Path(path).read_text() == "a library"
        seen.append("loaded")

    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda p, path=None: p)
    monkeypatch.setattr(cpp_extension, "load", build)
    monkeypatch.setattr(torch.ops, "load_library", load)
    return seen


def test_what_is_built_is_kept(builds: list[str], tmp_path: Path) -> None:
    BUILD()
    assert builds == ["built"]
    BUILD()
    assert builds == ["built", "loaded"]
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.suffix == ".so"


def test_another_compiler_builds_another_library(
    builds: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for compiler in ("g++", "clang++"):
        monkeypatch.setenv("CXX", compiler)
        BUILD()
    assert builds == ["built"] * 2
    assert len([*(tmp_path / "cache").iterdir()]) == 2


def test_says_in_a_line_what_a_compiler_said(
    builds: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("building\nkernels.cpp:1:1: error: no such type\nstopped")

    monkeypatch.setattr(cpp_extension, "load", fail)
    with pytest.raises(
        ModelError, match="built here: kernels.cpp:1:1: error: no such"
    ) as it:
        BUILD()
    assert "\n" not in str(it.value) and not (tmp_path / "cache").exists()


def test_says_which_program_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setenv("CXX", "ccache no-such-compiler")
    with pytest.raises(ModelError, match=r"built by ccache, a C\+\+ compiler such"):
        BUILD()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ModelError, match=r"by no-such-compiler, a C\+\+ compiler such"):
        BUILD()
    monkeypatch.setattr(
        shutil, "which", lambda p, path=None: None if p == "ninja" else p
    )
    with pytest.raises(ModelError, match=r"ninja, which pip install 'ddw_graph\[kern"):
        BUILD()


@pytest.mark.full
def test_what_is_built_needs_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    need_kernels()
    monkeypatch.setattr(shutil, "which", lambda p, path=None: None)
    BUILD()


def test_ninja_is_found_beside_python_and_a_compiler_may_have_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, folder in (("ninja", "venv"), ("g++", "usr")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("#!/bin/sh\n")
        (tmp_path / folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "usr"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    with kernels._builders("g++ -pipe"):
        assert shutil.which("ninja") == str(tmp_path / "venv" / "ninja")
    assert os.environ["PATH"] == str(tmp_path / "usr")


@pytest.mark.full
def test_says_why_a_compiler_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_kernels()
    wrong = tmp_path / "kernels.cpp"
    wrong.write_text("this is no program;\n")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "SOURCE", wrong)
    with pytest.raises(ModelError, match="cannot be built here: .*error:.*this") as it:
        BUILD()
    assert "\n" not in str(it.value)


BUILT = """
import sys
from pathlib import Path
from ddw_graph.nn.kernels import load

load()
# The library, and nothing for which another process would wait.
(built,) = Path(sys.argv[1]).iterdir()
print(built.name, built.stat().st_mtime_ns)
"""


@pytest.mark.full
def test_what_is_built_is_kept_for_the_next_process(tmp_path: Path) -> None:
    need_kernels()
    there = os.environ | {"TORCH_EXTENSIONS_DIR": str(tmp_path)}
    run = [sys.executable, "-W", "ignore", "-c", BUILT, str(tmp_path)]
    first, second = (
        subprocess.run(run, capture_output=True, text=True, check=True, env=there)
        for _ in range(2)
    )
    assert first.stdout == second.stdout and ".so " in first.stdout
