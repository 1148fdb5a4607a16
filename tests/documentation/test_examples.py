"""The examples run, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.documentation.commands import ROOT

NEEDS = {
    "own_loop": "torch",
    "lightning_module": "lightning",
    "hf_trainer": "transformers",
    "accelerate_loop": "accelerate",
    "fsdp2": "torch",
    "peft_edges": "peft",
    "skorch_search": "skorch",
    "int8": "torchao",
}
FOLDER = ROOT / "docs" / "examples"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def test_each_example_is_run_by_a_test() -> None:
    # run_onnx is, of an exported network, by the tests of exports.
    assert {path.stem for path in FOLDER.glob("*.py")} == NEEDS.keys() | {"run_onnx"}


@pytest.mark.full
@pytest.mark.parametrize("name", NEEDS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    if find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}")
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    start = TORCHRUN if name == "fsdp2" else ()
    run = subprocess.run(
        [sys.executable, *start, str(FOLDER / f"{name}.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


@pytest.mark.full
def test_a_script_of_timm_sees_the_networks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, timm\n"
        "print(timm.create_model(sys.argv[1], num_classes=3).num_classes, __name__)\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "ddw_graph.timm", str(script), "ddw_randwire_tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.stdout == "3 __main__\n", run.stderr
