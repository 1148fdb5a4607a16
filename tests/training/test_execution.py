"""How a step is computed changes its numbers by rounding, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.errors import RunError
from ddw_graph.training.classification import Classification
from ddw_graph.training.execution import Execution
from ddw_graph.training.loop import Training, fit
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run_folder import RunFolder
from tests.training import several
from tests.training.runs import Stop, StopAt, run, same, weights
from tests.training.small import small_data

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Weights]:
    """Returns what gives the weights after plain steps with some edges."""

    @cache
    def weights_after(edges: str) -> Weights:
        folder = tmp_path_factory.mktemp("plain") / "run"
        return several.weights_after(folder, edges=edges, epochs=1)

    return weights_after


@pytest.mark.parametrize("edges", ["learned", "dynamic:gate=hard"])
@pytest.mark.parametrize(
    "execution",
    [
        Execution(accumulate=3),
        Execution(accumulate=4),
        Execution(channels_last=True),
        Execution(deterministic=True),
    ],
)
def test_the_weights_are_those_of_a_plain_step(
    tmp_path: Path, plain: Callable[[str], Weights], execution: Execution, edges: str
) -> None:
    other = several.weights_after(
        tmp_path / "other", edges=edges, epochs=1, execution=execution
    )
    several.assert_near(other, plain(edges))


COMPILED = """
import sys
from functools import partial
from pathlib import Path
import torch
from ddw_graph.training.execution import Execution
from tests.training import several

torch.set_num_threads(1)
# The compiler itself takes minutes; what it is handed is what matters here.
torch.compile = partial(torch.compile, backend="aot_eager")
folder = Path(sys.argv[1])
plain = several.weights_after(folder / "plain")
made = several.weights_after(folder / "made", execution=Execution(compile=True))
assert list(made) == list(plain)
several.assert_near(made, plain)
"""


@pytest.mark.full
def test_a_compiled_network_trains_to_the_same_weights(tmp_path: Path) -> None:
    # Where nothing checks the shapes of tensors at run time, which compiles to nothing.
    run = [sys.executable, "-W", "ignore", "-c", COMPILED, str(tmp_path)]
    subprocess.run(run, check=True, cwd=several.ROOT)


def test_an_operation_that_does_not_repeat_is_named() -> None:
    with (
        pytest.raises(RunError, match="^deterministic needs .* got kthvalue CUDA does"),
        Execution(deterministic=True).in_effect(),
    ):
        assert torch.are_deterministic_algorithms_enabled()
        raise RuntimeError(
            "kthvalue CUDA does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'. You can turn it off."
        )
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"execution": Execution(accumulate=6)}, "2 for each of 6 parts .*, got 10"),
        ({"checkpoint_steps": 0}, "checkpoint_steps must be at least 1, got 0"),
    ],
)
def test_steps_that_cannot_be_computed_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.full
def test_a_missing_compiler_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ddw_graph.cli.main", "train", "--device", "cpu"]
    command += "--set compile=true --epochs 1 --per-class 2 --n 2".split()
    places = {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    there = {
        key: value for key, value in os.environ.items() if key not in {"CC", "CXX"}
    }
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")],
        env=there | places,
        cwd=several.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "compile needs a compiler that torch can use here, got No" in done.stderr
    assert done.stderr.count("\n") == 1


def test_mixed_precision_computes_in_it_and_keeps_the_weights(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, _, output: (
            seen.add(output.dtype) if isinstance(module, torch.nn.Conv2d) else None
        )
    )
    try:
        run(tmp_path / "half", execution=Execution(precision="bfloat16"))
    finally:
        handle.remove()
    # Training in half precision, testing in full.
    assert seen == {torch.bfloat16, torch.float32}
    types = {tensor.dtype for tensor in weights(tmp_path / "half").values()}
    assert torch.float32 in types and torch.bfloat16 not in types


@pytest.mark.full
def test_the_scale_of_half_precision_survives(tmp_path: Path) -> None:
    half = Execution(precision="float16")
    run(tmp_path / "whole", execution=half)
    with pytest.raises(Stop):
        stop = StopAt(2, 3)
        run(tmp_path / "cut", execution=half, listeners=[stop], checkpoint_steps=2)
    kept = RunFolder(tmp_path / "cut").read_checkpoint()
    assert kept["step"] == 2 and kept["scaler"]["_growth_tracker"] > 0
    run(tmp_path / "cut", execution=half, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_a_step_is_no_longer_than_the_clipped_gradients(tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=1, batch_size=100, momentum=0.0, weight_decay=0.0, augment=False
    )

    def moved(clip_norm: float) -> float:
        model, before = several.network(), several.network().state_dict()
        folder = tmp_path / str(clip_norm)
        folder.mkdir()
        task = Classification(model, small_data(), replace(recipe, clip_norm=clip_norm))
        fit(Training(task, 0, RunFolder(folder)))
        after = dict(model.named_parameters())
        steps = [(after[name] - before[name]).detach().flatten() for name in after]
        return float(torch.cat(steps).norm())

    assert moved(1e-3) == pytest.approx(0.1 * 1e-3, rel=1e-3)
    assert moved(0.0) == moved(1e6) > 1e-2
