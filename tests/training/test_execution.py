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
from ddw_graph.training.recipe import Recipe, recipe_named
from ddw_graph.training.run_folder import RunFolder
from tests.training import several
from tests.training.runs import Stop, StopAt, run, weights
from tests.training.small import small_config, small_data


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], dict[str, torch.Tensor]]:
    """Returns what gives the weights after plain steps with some edges."""

    @cache
    def weights_after(edges: str) -> dict[str, torch.Tensor]:
        folder = tmp_path_factory.mktemp("plain") / "run"
        return several.weights_after(folder, edges=edges, epochs=1)

    return weights_after


@pytest.mark.parametrize("edges", ["learned", "dynamic", "dynamic:gate=hard"])
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
    tmp_path: Path,
    plain: Callable[[str], dict[str, torch.Tensor]],
    execution: Execution,
    edges: str,
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
from ddw_graph.nn import aggregation
from ddw_graph.training.execution import Execution
from tests.training import several

torch.set_num_threads(1)
aggregation.SMALL = 0
# The compiler itself takes minutes; what it is handed is what matters here.
torch.compile = partial(torch.compile, backend="aot_eager")
folder = Path(sys.argv[1])
plain = several.weights_after(folder / "plain")
made = several.weights_after(folder / "made", execution=Execution(compile=True))
assert list(made) == list(plain)
for name in plain:
    torch.testing.assert_close(made[name], plain[name], rtol=0, atol=1e-10)
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


def test_parts_of_less_than_two_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="2 for each of 6 parts .*, got 10"):
        run(
            tmp_path / "run",
            recipe=recipe_named("small", batch_size=10),
            execution=Execution(accumulate=6),
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.full
def test_a_missing_compiler_is_told_in_one_line(tmp_path: Path) -> None:
    words = [
        "train",
        "--set",
        "compile=true",
        "--epochs",
        "1",
        "--per-class",
        "2",
        "--n",
        "2",
    ]
    command = [sys.executable, "-m", "ddw_graph.cli.main", *words, "--device", "cpu"]
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
    seen: list[torch.dtype] = []

    def watch(module: Any, inputs: Any, output: torch.Tensor) -> None:
        seen.append(output.dtype)

    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda m, i, o: watch(m, i, o) if isinstance(m, torch.nn.Conv2d) else None
    )
    recipe = recipe_named("small", epochs=6, batch_size=12)
    half = Execution(precision="bfloat16")
    try:
        result = run(
            tmp_path / "half",
            config=small_config(),
            data=small_data(),
            recipe=recipe,
            execution=half,
        )
    finally:
        handle.remove()
    assert result["test_accuracy"] > 0.8
    # Training in half precision, testing in full.
    assert {torch.bfloat16, torch.float32} == set(seen)
    types = {tensor.dtype for tensor in weights(tmp_path / "half").values()}
    assert torch.float32 in types and torch.bfloat16 not in types


@pytest.mark.full
def test_the_scale_of_half_precision_survives(tmp_path: Path) -> None:
    half = Execution(precision="float16")
    run(tmp_path / "whole", execution=half)
    with pytest.raises(Stop):
        run(
            tmp_path / "cut",
            execution=half,
            listeners=[StopAt(2, 3)],
            checkpoint_steps=2,
        )
    kept = RunFolder(tmp_path / "cut").read_checkpoint()
    assert kept["step"] == 2 and kept["scaler"]["_growth_tracker"] > 0
    run(tmp_path / "cut", execution=half, resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_step_is_no_longer_than_the_clipped_gradients(tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=1,
        batch_size=100,
        learning_rate=0.1,
        momentum=0.0,
        weight_decay=0.0,
        augment=False,
        clip_norm=1e-3,
    )

    def moved(recipe: Recipe, name: str) -> float:
        model, before = several.network(), several.network().state_dict()
        (tmp_path / name).mkdir()
        task = Classification(model, small_data(), recipe)
        fit(Training(task, 0, RunFolder(tmp_path / name)))
        after = dict(model.named_parameters())
        steps = [(after[name] - before[name]).detach().flatten() for name in after]
        return float(torch.cat(steps).norm())

    assert moved(recipe, "clipped") == pytest.approx(0.1 * 1e-3, rel=1e-3)
    assert moved(replace(recipe, clip_norm=0.0), "free") > 1e-2
    assert moved(replace(recipe, clip_norm=1e6), "loose") > 1e-2


def test_a_checkpoint_is_written_after_steps_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="checkpoint_steps must be at least 1, got 0"):
        run(tmp_path / "a", checkpoint_steps=0)
