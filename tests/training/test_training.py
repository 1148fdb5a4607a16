"""Training learns, resumes exactly, and never overwrites what is good."""

import json
import math
import os
import pickle
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ddw_graph import save
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.execution import Execution
from ddw_graph.training.loading import batches
from ddw_graph.training.log import Row
from ddw_graph.training.recipe import Recipe, recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder, write_json
from ddw_graph.training.transform import Transform
from tests.training.runs import (
    EVERYTHING,
    RECIPE,
    Stop,
    StopAt,
    run,
    run_in_place,
    same,
    small_network,
    weights,
)
from tests.training.small import small_config, small_data

FULL = pytest.mark.full
DATA = small_data(24, 12)


@pytest.mark.parametrize(
    "edges",
    [
        "dynamic",
        *(
            pytest.param(e, marks=FULL)
            for e in ("fixed", "learned", "dynamic:gate=hard")
        ),
    ],
)
def test_learns(tmp_path: Path, edges: str) -> None:
    recipe = recipe_named("small", epochs=6, batch_size=12)
    config, data = small_config(edges), small_data()
    result = run(tmp_path / "a", config=config, data=data, recipe=recipe)
    assert result["test_accuracy"] > 0.8
    model = Run(tmp_path / "a").network()
    assert evaluate(model, data.test_inputs()).accuracy == result["test_accuracy"]


def test_writes_configuration_log_and_result(whole: Path) -> None:
    content = json.loads((whole / "config.json").read_text())
    config = content["config"]
    assert (config["recipe"]["epochs"], config["seed"]) == (2, 0)
    assert content["environment"]["torch"] == torch.__version__
    assert len(config["model"]["wirings"][0]["edge_list"]) == 10
    log = (whole / "log.csv").read_text().splitlines()
    assert len(log) == 3 and log[0].startswith("epoch,learning_rate,train_loss")
    kept = json.loads((whole / "result.json").read_text())
    assert len(kept.pop("model_sha256")) == 64 and kept == Run(whole).result
    assert not (whole / "checkpoint.pt").exists()


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, whole: Path) -> None:
    for name, seed in (("b", 0), ("c", 1)):
        torch.randn(7)  # what was drawn before must not matter
        run(tmp_path / name, seed=seed)
    a, b, c = map(weights, (whole, tmp_path / "b", tmp_path / "c"))
    assert same(a, b) and not same(a, c)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of an uninterrupted run with everything on."""
    folder = tmp_path_factory.mktemp("runs") / "everything"
    run(folder, recipe=EVERYTHING)
    return folder


def without_times(rows: list[Row]) -> list[Row]:
    return [row | {"data_seconds": 0, "train_seconds": 0} for row in rows]


@pytest.mark.parametrize(
    ("recipe", "place", "options"),
    [
        (RECIPE, (1, 2), {}),
        (RECIPE, (2, 1), {}),
        (EVERYTHING, (1, 2), {"checkpoint_steps": 1}),
        (EVERYTHING, (2, 3), {"checkpoint_steps": 1}),
        pytest.param(EVERYTHING, (2, 3), {}, marks=FULL),
        *(
            pytest.param(
                EVERYTHING, place, {"checkpoint_steps": 1, "workers": 1}, marks=FULL
            )
            for place in ((1, 3), (2, 2))
        ),
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path,
    whole: Path,
    everything: Path,
    recipe: Recipe,
    place: tuple[int, int],
    options: dict[str, Any],
) -> None:
    cut, wanted = tmp_path / "cut", whole if recipe is RECIPE else everything
    with pytest.raises(Stop):
        run(cut, recipe=recipe, listeners=[StopAt(*place)], **options)
    if "checkpoint_steps" in options:
        # The step after which it stopped was not yet kept.
        kept = RunFolder(cut).read_checkpoint()
        assert (len(kept["history"]) + 1, kept["step"] + 1) == place
    torch.randn(5)  # what was drawn before must not matter
    result = run(cut, recipe=recipe, resume=True)
    assert same(weights(wanted), weights(cut))
    first = Run(wanted).result or {}
    assert first | {"train_seconds": 0} == result | {"train_seconds": 0}
    assert without_times(Run(wanted).log) == without_times(Run(cut).log)
    assert (cut / "wiring.csv").read_bytes() == (wanted / "wiring.csv").read_bytes()
    rates = [recipe.learning_rate_at(step, 6) for step in (2, 5)]
    assert [row["learning_rate"] for row in Run(cut).log] == rates


@pytest.mark.full
def test_a_killed_training_resumes(tmp_path: Path, whole: Path) -> None:
    code = (
        "from pathlib import Path; import sys; import torch; torch.set_num_threads(1);"
        "from tests.training.runs import run;"
        "run(Path(sys.argv[1]), resume=True)"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(tmp_path / "cut")]
    process = subprocess.Popen(command, cwd=root)
    checkpoint = tmp_path / "cut" / "checkpoint.pt"
    until = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.001)
    process.kill()
    process.wait()
    run(tmp_path / "cut", resume=True)
    assert same(weights(whole), weights(tmp_path / "cut"))


class DivergeAt(StopAt):
    """Spoils a weight or a statistic just before a step, unseen by its loss."""

    def __init__(self, place: tuple[int, int], network: nn.Module, name: str) -> None:
        super().__init__(*place)
        self.network, self.name = network, name

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            tensors = self.network.state_dict().items()
            next(t for n, t in tensors if n.endswith(self.name)).fill_(math.inf)


@pytest.mark.parametrize(
    ("recipe", "place", "name", "every", "message"),
    [
        (RECIPE, (2, 1), "weight", None, "the loss is nan in epoch 2, step 3 of 3"),
        (RECIPE, (2, 1), "weight", 1, "statistic is not in epoch 2, step 1 of 3"),
        # No training loss shows a statistic: a batch is normalised by its own.
        (RECIPE, (2, 2), "running_var", 1, "statistic is not in epoch 2, step 2 of 3"),
        (RECIPE, (2, 3), "weight", None, "in epoch 2, the last step; the last"),
        # The average was updated before: it stays finite.
        (EVERYTHING, (2, 3), "weight", None, "in epoch 2, the last step; the last"),
    ],
)
def test_what_is_not_finite_stops_before_anything_is_written(
    tmp_path: Path,
    recipe: Recipe,
    place: tuple[int, int],
    name: str,
    every: int | None,
    message: str,
) -> None:
    folder = tmp_path / "a"
    network, train = run_in_place(folder, recipe=recipe, checkpoint_steps=every)
    with pytest.raises(RunError, match=message):
        train(listeners=[DivergeAt(place, network, name)])
    kept = RunFolder(folder).read_checkpoint()
    assert len(kept["history"]) == 1 and kept["step"] == (every or 0) * (place[1] - 1)
    assert all(torch.isfinite(each).all() for each in kept["model"].values())
    assert run(folder, recipe=recipe, resume=True)["epochs"] == 2


def test_a_lost_log_and_a_left_draft_do_no_harm(
    tmp_path: Path, unfinished: Path
) -> None:
    log = (unfinished / "log.csv").read_text()
    (unfinished / "log.csv").unlink()
    run(unfinished, resume=True)
    assert (unfinished / "log.csv").read_text().startswith(log)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".config.json.0a1b2c3d.tmp").write_text("{")
    run(tmp_path / "b")


@pytest.mark.parametrize("content", ["[]", "null", '{"epochs": "many"}'])
def test_a_damaged_result_is_named(finished: Path, content: str) -> None:
    (finished / "result.json").write_text(content)
    with pytest.raises(RunError, match="result.json must hold numbers"):
        run(finished, resume=True)


def test_seeds_fit_the_words_that_they_are_made_of(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"in \[0, 2\*\*32\), got 4294967296"):
        run(tmp_path / "a", seed=2**32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed is 0 there, and 1 was asked for"),
        ({"initial": 1}, "weights is '.*' there, and '.*' was asked for"),
        ({"config": small_config("learned")}, "model.* there, and"),
        ({"execution": Execution(precision="bfloat16")}, "precision is 'float32'"),
        ({"data": replace(DATA, digest="1")}, "data.digest is '0' there, and '1'"),
        (
            {"data": DATA.with_transform(Transform(1, 8, 8, (0.4,), (0.2,)))},
            "data.transform.mean is .* there, and",
        ),
    ],
)
def test_a_folder_of_another_run_is_refused(
    finished: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        run(finished, resume=True, **change)


def test_a_folder_that_holds_something_is_refused(
    tmp_path: Path, finished: Path
) -> None:
    with pytest.raises(RunError, match="already holds a run; resume it with --resume"):
        run(finished)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").touch()
    with pytest.raises(RunError, match="empty or a new folder"):
        run(tmp_path / "b")
    with pytest.raises(RunError, match="got the file"):
        run(tmp_path / "b" / "letter.txt")


def test_a_network_that_does_not_fit_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="takes 3 classes, the images of .* have 2"):
        run(tmp_path / "a", data=small_data(classes=2))
    with pytest.raises(DataError, match="takes 3 channels, .* have 1"):
        run(tmp_path / "a", config=small_config(in_channels=3))
    assert not (tmp_path / "a").exists()


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_damaged_checkpoint_is_one_clear_error(
    tmp_path: Path, unfinished: Path
) -> None:
    path = unfinished / "checkpoint.pt"
    whole = path.read_bytes()
    marker = tmp_path / "marker"
    for content in (
        *(whole[:size] for size in range(0, len(whole), len(whole) // 20)),
        b"",
        b"\x80\x02}q\x00.",
        pickle.dumps(Planted(marker)),
        pickle.dumps({"model": Planted(marker)}),
    ):
        path.write_bytes(content)
        with pytest.raises(RunError, match="checkpoint"):
            Run(unfinished).network()
    torch.save({"model": Planted(marker)}, path)
    with pytest.raises(RunError, match="more than tensors, numbers and text$"):
        Run(unfinished).network()  # and not torch's advice to load it all the same
    assert not marker.exists()
    path.unlink()
    with pytest.raises(RunError, match="or checkpoint.pt"):
        Run(unfinished).network()
    path.mkdir()
    with pytest.raises(RunError, match="or checkpoint.pt"):
        Run(unfinished).network()


@pytest.mark.filterwarnings("ignore::ddw_graph.errors.UnfinishedWarning")
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=FULL)])
def test_a_flipped_bit_never_passes_for_other_weights(
    unfinished: Path, seed: int
) -> None:
    path = unfinished / "checkpoint.pt"
    whole = path.read_bytes()
    before = weights(unfinished)
    generator = random.Random(seed)
    refused = 0
    for _ in range(75):
        place = generator.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[place] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        try:
            after = weights(unfinished)
        except RunError:
            refused += 1
            continue
        # What is left are bytes that nobody reads, such as dates.
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert refused > 25


@pytest.mark.parametrize("kind", ["flipped", "cut", "swapped", "missing"])
def test_a_network_that_the_run_did_not_write_is_noticed(
    finished: Path, kind: str
) -> None:
    path = finished / "model.safetensors"
    content = path.read_bytes()
    if kind == "swapped":  # whole, and of the same configuration
        other = Run(finished).network()
        torch.nn.init.zeros_(next(other.parameters()))
        save(other, path, overwrite=True)
    elif kind == "missing":
        path.unlink()
    else:
        place = len(content) - 9
        changed = bytes([content[place] ^ 1]) + content[place + 1 :]
        path.write_bytes(content[:place] + (changed if kind == "flipped" else b""))
    for reads in (Run(finished).network, Run(finished).check_trained):
        with pytest.raises(RunError, match="model.safetensors must be"):
            reads()


def test_a_finished_run_is_read_from_its_files(tmp_path: Path, whole: Path) -> None:
    for name in ("config.json", "result.json", "model.safetensors"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    run, images = Run(tmp_path), small_data(24, 12).test_inputs()
    network, result = run.network(), run.result or {}
    assert evaluate(network, images).loss == result["test_loss"]
    (output,) = outputs(network, batches(images, 12))
    kept = Run(whole).analysis
    assert kept.classes == ("a", "b", "c") and kept.samples == 12
    for place, stage in enumerate(network.stages):
        sources, targets = stage.plan.ends
        wanted = output.adjacency[place][:, targets, sources].numpy()
        assert np.array_equal(kept.weights(place), wanted)
    assert kept.column("prediction").tolist() == output.logits.argmax(1).tolist()
    macs = cost(network, 8).expected_macs(output.adjacency)
    np.testing.assert_allclose(kept.column("expected_macs"), macs, rtol=1e-6)
    assert result["expected_macs"] == pytest.approx(macs.mean().item())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("history", 3, "must be a checkpoint of this run"),
        ("optimizer", {}, "must be a checkpoint of this run"),
        ("trained", None, "must be a checkpoint of this run: 'trained'"),
        ("model", None, "weights of this network: Missing key"),
    ],
)
def test_a_checkpoint_of_odd_parts_is_refused(
    unfinished: Path, key: str, value: Any, message: str
) -> None:
    folder, recipe = RunFolder(unfinished), RECIPE
    state = folder.read_checkpoint()
    if key == "model":
        value = small_network(edges="learned").state_dict()
    if key == "trained":  # averaged weights need it
        recipe = replace(RECIPE, ema_decay=0.5)
        content = folder.content()
        content["config"]["recipe"] = recipe.as_dict()
        write_json(folder.config_path, content)
    folder.write_checkpoint(state | {key: value} if value is not None else state)
    with pytest.raises(RunError, match=message):
        run(unfinished, recipe=recipe, resume=True)


def test_two_processes_do_not_train_in_one_folder(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddw_graph.training.run_folder.PATIENCE", 0.0)
    result = Run(finished).result
    with RunFolder(finished).exclusive():
        with pytest.raises(RunError, match="is being trained by another process"):
            run(finished, resume=True)
    assert run(finished, resume=True) == result


def test_what_another_process_began_a_moment_ago_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "a")

    def other_comes_first(path: Path, **options: Any) -> None:
        monkeypatch.undo()
        folder.start({"seed": 1}, resume=False)

    monkeypatch.setattr(Path, "mkdir", other_comes_first)
    with pytest.raises(RunError, match="another configuration: seed is 1 there, and 2"):
        folder.start({"seed": 2}, resume=True)
    assert folder.content()["config"] == {"seed": 1}
