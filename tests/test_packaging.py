"""The way of a new user: what is built installs and answers."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from ddw_graph.training.lock import lock

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.full


def run(*command: str | Path, cwd: Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    # Tests that run side by side would be in each other's way: one tree, one build.
    with lock(
        tmp_path_factory.getbasetemp().parent / "build.lock", seconds=600
    ) as mine:
        assert mine
        # The sdist is built first, and the wheel from it: so both hold what they need.
        run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


def test_the_wheel_holds_one_package_with_its_data(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"ddw_graph", "ddw_graph-0.1.0.dist-info"}
    for data in (
        "ddw_graph/py.typed",
        "ddw_graph/training/fashion_mnist/images.npz",
        "ddw_graph/training/fashion_mnist/LICENSE",
        "ddw_graph/analysis/ddw_graph.mplstyle",
        "ddw_graph/analysis/explorer/page.html",
        "ddw_graph/analysis/explorer/page.css",
        "ddw_graph/analysis/explorer/data.js",
        "ddw_graph/analysis/explorer/samples.js",
        "ddw_graph/analysis/explorer/pictures.js",
        "ddw_graph/analysis/explorer/page.js",
        "ddw_graph/analysis/explorer/demo/model.safetensors",
        "ddw_graph/generators/randwire.py",
        "ddw_graph/cli/main.py",
    ):
        assert data in names
    modules = {name for name in names if name.endswith(".py")}
    source = {
        f"ddw_graph/{path.relative_to(ROOT / folder)}"
        for folder, prefix in (("ddw_graph", ""),)
        for path in (ROOT / folder).rglob("*.py")
    } | {
        f"ddw_graph/{path.relative_to(ROOT)}"
        for folder in ("generators", "cli", "analysis")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert modules == source


def test_the_sdist_holds_files_and_no_links(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    assert any(member.name.endswith("cli/main.py") for member in members)


def test_the_help_needs_nothing_but_click(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    binaries = tmp_path / "empty" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (binaries / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    run(*pip, "click", cwd=tmp_path)
    assert "compare" in run(binaries / "ddw-graph", "--help", cwd=tmp_path)
