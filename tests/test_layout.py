"""The folders beside ddw_graph/ are its subpackages, and only that."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_folder_is_listed() -> None:
    found = {
        ".".join((package, *init.parent.relative_to(ROOT / folder).parts))
        for package, folder in SETUPTOOLS["package-dir"].items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(found) == sorted(SETUPTOOLS["packages"])


@pytest.mark.skipif(
    (ROOT / "ddw_graph" / "cli").is_file() or (ROOT / "PKG-INFO").exists(),
    reason="cloned without symlinks, or an unpacked sdist",
)
def test_links_match_the_mapping() -> None:
    for package, folder in SETUPTOOLS["package-dir"].items():
        seen = ROOT.joinpath(*package.split("."))
        assert seen.resolve() == (ROOT / folder).resolve()


def modules_after(code: str) -> set[str]:
    run = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_no_global_names() -> None:
    names = modules_after("import ddw_graph.cli.main")
    assert not {"generators", "cli", "analysis"} & names


def test_generators_and_the_package_import_no_torch() -> None:
    names = modules_after("import ddw_graph; ddw_graph.generators.complete(3)")
    assert "networkx" in names
    assert not {"torch", "matplotlib", "pandas"} & names


def test_rooms_import_only_from_the_rooms_above() -> None:
    """Each room's modules import no room that stands below it in this order."""
    order = ["wiring", "generators", "nn", "models", "training", "detection"]
    order += ["experiments", "deployment", "analysis", "benchmarks", "cli"]
    homes = {"generators": ROOT, "analysis": ROOT, "cli": ROOT}
    for place, room in enumerate(order):
        below = tuple(f"ddw_graph.{name}" for name in order[place + 1 :])
        for file in (homes.get(room, ROOT / "ddw_graph") / room).rglob("*.py"):
            lines = [line.split() for line in file.read_text().splitlines()]
            imported = [w[1] for w in lines if w[:1] in (["from"], ["import"])]
            wrong = [name for name in imported if name.startswith(below)]
            assert not wrong, f"{file} imports {wrong}"


def test_nothing_is_loaded_unsafely() -> None:
    import ast

    banned = {"eval", "exec", "compile_command"}
    for folder in set(SETUPTOOLS["package-dir"].values()):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    names = {alias.name for alias in node.names}
                    names.add(getattr(node, "module", None) or "")
                    unsafe = "pickle dill joblib yaml InMemoryDataset OnDiskDataset"
                    assert not set(unsafe.split()) & names, file
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                options = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert called not in banned, (file, called)
                if called == "torch.load":
                    assert options.get("weights_only") == "True", file
                if called == "np.load":
                    assert options.get("allow_pickle") == "False", file
