"""Training learns, resumes exactly, and never overwrites what is good."""

import errno
import json
import math
import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddw_graph import save
from ddw_graph.errors import DataError, RunError
from ddw_graph.models import from_config
from ddw_graph.nn.cost import cost
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.launch import train
from ddw_graph.training.loading import batches
from ddw_graph.training.recipe import Recipe, parameter_groups, recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from tests.training.runs import (
    RECIPE,
    Stop,
    StopAt,
    run,
    run_in_place,
    small_network,
    weights,
)
from tests.training.small import small_config, small_data

FULL = pytest.mark.full


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


def test_writes_configuration_log_and_result(tmp_path: Path) -> None:
    result = run(tmp_path / "a")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["config"]["recipe"]["epochs"] == 2
    assert config["config"]["seed"] == 0
    assert config["environment"]["torch"] == torch.__version__
    edges = config["config"]["model"]["wirings"][0]["edge_list"]
    assert len(edges) == 10
    log = (tmp_path / "a" / "log.csv").read_text().splitlines()
    assert len(log) == 3 and log[0].startswith("epoch,learning_rate,train_loss")
    kept = json.loads((tmp_path / "a" / "result.json").read_text())
    assert len(kept.pop("model_sha256")) == 64 and kept == result
    assert not (tmp_path / "a" / "checkpoint.pt").exists()


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, whole: Path) -> None:
    for name, seed in (("b", 0), ("c", 1)):
        torch.randn(7)  # what was drawn before must not matter
        run(tmp_path / name, seed=seed)
    a, b, c = map(weights, (whole, tmp_path / "b", tmp_path / "c"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


@pytest.mark.parametrize("place", [(1, 2), (2, 1), (2, 3)])
def test_resumed_equals_uninterrupted(
    tmp_path: Path, whole: Path, place: tuple[int, int]
) -> None:
    with pytest.raises(Stop):
        run(tmp_path / "cut", listeners=[StopAt(*place)])
    torch.randn(5)
    result = run(tmp_path / "cut", resume=True)
    wanted, found = weights(whole), weights(tmp_path / "cut")
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    first = Run(whole).result or {}
    assert first | {"train_seconds": 0} == result | {"train_seconds": 0}


@pytest.mark.full
def test_a_killed_training_goes_on(tmp_path: Path, whole: Path) -> None:
    code = (
        "from pathlib import Path; import sys; import torch; torch.set_num_threads(1);"
        "from ddw_graph.nn import aggregation; aggregation.SMALL = 0;"  # as here
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
    wanted, found = weights(whole), weights(tmp_path / "cut")
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)


class DivergeAt(StopAt):
    """Spoils a weight just before a step, behind the back of its loss."""

    def __init__(self, epoch: int, step: int, spoil: Callable[[], None]) -> None:
        super().__init__(epoch, step)
        self.spoil = spoil

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            self.spoil()


def test_a_loss_that_is_not_finite_stops_before_anything_is_written(
    tmp_path: Path,
) -> None:
    network, train = run_in_place(tmp_path / "a", checkpoint_steps=1)

    def spoil() -> None:
        next(iter(network.parameters())).data.fill_(math.inf)

    # It is called during the second step, so that the third one diverges.
    with pytest.raises(RunError, match="statistic is not in epoch 2, step 1 of 3"):
        train(listeners=[DivergeAt(2, 1, spoil)])
    kept = RunFolder(tmp_path / "a").read_checkpoint()
    assert len(kept["history"]) == 1 and kept["step"] == 0
    network, train = run_in_place(tmp_path / "b")
    with pytest.raises(RunError, match="the loss is nan in epoch 2, step 3 of 3"):
        train(listeners=[DivergeAt(2, 1, spoil)])
    kept = RunFolder(tmp_path / "b").read_checkpoint()
    assert len(kept["history"]) == 1
    assert all(torch.isfinite(each).all() for each in kept["model"].values())


def test_other_statistics_of_the_images_are_another_run(unfinished: Path) -> None:
    data = small_data(24, 12)
    assert data.transform is not None
    other = data.with_transform(replace(data.transform, mean=(0.4,)))
    with pytest.raises(RunError, match="data.transform.mean is .* there, and"):
        run(unfinished, resume=True, data=other)


def test_the_last_step_of_an_epoch_may_diverge_too(tmp_path: Path) -> None:
    network, train = run_in_place(tmp_path / "a")

    def spoil() -> None:
        next(iter(network.parameters())).data.fill_(math.inf)

    with pytest.raises(RunError, match="in epoch 2, the last step; the last"):
        train(listeners=[DivergeAt(2, 3, spoil)])
    history = RunFolder(tmp_path / "a").read_checkpoint()["history"]
    assert [row["epoch"] for row in history] == [1]
    assert run(tmp_path / "a", resume=True)["epochs"] == 2


def test_a_statistic_that_overflows_is_not_kept(tmp_path: Path) -> None:
    """No training loss shows it: a batch is normalised by its own."""
    network, train = run_in_place(tmp_path / "a", checkpoint_steps=1)

    def spoil() -> None:
        statistics = dict(network.named_buffers())
        next(s for n, s in statistics.items() if n.endswith("running_var")).fill_(
            math.inf
        )

    with pytest.raises(RunError, match="statistic is not in epoch 2, step 2 of 3; the"):
        train(listeners=[DivergeAt(2, 2, spoil)])
    kept = RunFolder(tmp_path / "a").read_checkpoint()
    assert kept["step"] == 1
    assert all(torch.isfinite(each).all() for each in kept["model"].values())


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


def test_other_images_of_the_same_name_are_refused(finished: Path) -> None:
    for other, message in (
        (small_data(36, 12), "data.train is 24 there, and 36"),
        (replace(small_data(24, 12), digest="1"), "data.digest is '0' there, and '1'"),
    ):
        with pytest.raises(RunError, match=message):
            run(finished, resume=True, data=other)


def test_a_last_image_alone_joins_the_batch_before(tmp_path: Path) -> None:
    recipe = recipe_named("small", epochs=1, batch_size=10)
    run(tmp_path / "a", data=small_data(train=31), recipe=recipe)


@pytest.mark.parametrize("content", ["{}", "[]", "null", "3", '{"epochs": "many"}'])
def test_a_damaged_result_is_named(finished: Path, content: str) -> None:
    (finished / "result.json").write_text(content)
    with pytest.raises(RunError, match="result.json must hold numbers"):
        run(finished, resume=True)


def test_seeds_fit_the_words_that_they_are_made_of(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"in \[0, 2\*\*32\), got 4294967296"):
        run(tmp_path / "a", seed=2**32)


def test_a_folder_of_another_run_is_refused(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(RunError, match="already holds a run; resume it with --resume"):
        run(finished)
    for change, message in (
        ({"seed": 1}, "seed is 0 there, and 1 was asked for"),
        ({"recipe": recipe_named("small", epochs=9)}, "recipe.*there, and"),
        ({"config": small_config("learned")}, "model.* there, and"),
    ):
        with pytest.raises(RunError, match=message):
            run(finished, resume=True, **change)
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


def test_a_finished_run_is_read_without_its_training_state(
    tmp_path: Path, finished: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("config.json", "result.json", "model.safetensors"):
        (shared / name).write_bytes((finished / name).read_bytes())
    run = Run(shared)
    found = evaluate(run.network(), small_data(24, 12).test_inputs())
    assert run.result is not None
    assert found.loss == run.result["test_loss"]


def test_a_run_keeps_the_wirings_of_its_last_evaluation(whole: Path) -> None:
    run, images = Run(whole), small_data(24, 12).test_inputs()
    (output,) = outputs(run.network(), batches(images, 12))
    price = cost(run.network(), 8)
    kept = run.analysis
    assert kept.classes == ("a", "b", "c") and kept.samples == 12
    for place, (stage, matrix) in enumerate(
        zip(run.network().stages, output.adjacency, strict=True)
    ):
        sources, targets = stage.plan.ends
        wanted = matrix[:, targets, sources].numpy()
        assert np.array_equal(kept.weights(place), wanted)
    assert kept.column("prediction").tolist() == output.logits.argmax(1).tolist()
    macs = price.expected_macs(output.adjacency)
    np.testing.assert_allclose(kept.column("expected_macs"), macs, rtol=1e-6)
    assert run.result is not None
    assert run.result["expected_macs"] == pytest.approx(macs.mean().item())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": 3}, "must be a checkpoint of this run"),
        ({"history": [{"epoch": 1}] * 9}, "9 epochs of 2"),
        ({"step": -1}, "-1 steps of an epoch"),
        ({"step": 1, "tally": {"loss": 1.0}}, "its sums are incomplete"),
        ({"history": []}, "0 epochs of 2"),
        ({"optimizer": {}}, "must be a checkpoint of this run"),
    ],
)
def test_a_checkpoint_of_odd_parts_is_refused(
    unfinished: Path, change: dict[str, Any], message: str
) -> None:
    folder = RunFolder(unfinished)
    folder.write_checkpoint(folder.read_checkpoint() | change)
    with pytest.raises(RunError, match=message):
        run(unfinished, resume=True)


def test_a_checkpoint_of_another_network_is_refused(unfinished: Path) -> None:
    folder = RunFolder(unfinished)
    other = small_network(edges="learned").state_dict()
    folder.write_checkpoint(folder.read_checkpoint() | {"model": other})
    with pytest.raises(RunError, match="weights of this network: Missing key"):
        Run(unfinished).network()


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(epochs=10, learning_rate=0.2, warmup_epochs=1)
    rates = [recipe.learning_rate_at(step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0.02 * (step + 1) for step in range(10)])
    assert rates[10] == 0.2 and rates[55] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_the_log_tells_the_learning_rate_of_each_epochs_last_step(
    tmp_path: Path,
) -> None:
    with pytest.raises(Stop):
        run(tmp_path / "a", listeners=[StopAt(2, 2)])
    run(tmp_path / "a", resume=True)
    # 24 images in batches of 10: 3 steps an epoch.
    expected = [RECIPE.learning_rate_at(step, 6) for step in (2, 5)]
    found = [row["learning_rate"] for row in Run(tmp_path / "a").log]
    assert found == expected


def test_thresholds_and_router_biases_take_no_weight_decay() -> None:
    model = from_config(small_config())
    recipe = Recipe(weight_decay=0.1, router_lr=10)
    network, routers, undecayed = parameter_groups(model, recipe)
    assert (network["weight_decay"], network["scale"]) == (0.1, 1)
    assert (routers["weight_decay"], routers["scale"]) == (0.1, 10)
    assert (undecayed["weight_decay"], undecayed["scale"]) == (0, 10)
    by_id = {id(p): name for name, p in model.named_parameters()}
    names = {by_id[id(p)].rsplit(".", 1)[1] for p in undecayed["params"]}
    assert names == {"bias", "threshold"}
    grouped = [p for group in (network, routers, undecayed) for p in group["params"]]
    assert {id(p) for p in grouped} == set(by_id) and len(grouped) == len(by_id)


def test_randwires_recipe_is_the_papers() -> None:
    recipe = recipe_named("randwire", epochs=250)
    assert (recipe.learning_rate, recipe.momentum) == (0.1, 0.9)
    assert recipe.weight_decay == 5e-5
    assert (recipe.batch_size, recipe.label_smoothing, recipe.epochs) == (256, 0.1, 250)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, r"in \(0, 1e30\], got 0.0"),
        ({"learning_rate": math.inf}, r"in \(0, 1e30\], got inf"),
        ({"weight_decay": math.inf}, "finite and at least 0, got inf"),
        ({"batch_size": 2**40}, "in .1, 2..31., got"),
        ({"learning_rate": math.nan}, r"in \(0, 1e30\], got nan"),
        ({"warmup_epochs": 101.0}, r"\[0, epochs\], got 101.0"),
        ({"label_smoothing": 2.0}, r"\[0, 1\], got 2.0"),
        ({"speed": 2}, "a recipe has no speed"),
    ],
)
def test_names_the_value_that_it_rejects(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        recipe_named("randwire", **changes)


def test_two_processes_do_not_train_in_one_folder(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddw_graph.training.run_folder.PATIENCE", 0.0)
    result = Run(finished).result
    with RunFolder(finished).exclusive():
        with pytest.raises(RunError, match="is being trained by another process"):
            run(finished, resume=True)
    assert run(finished, resume=True) == result
    # Nobody keeps locks there.
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", _no_locks)
        assert run(finished, resume=True) == result


def test_the_weights_to_start_from_tell_runs_apart(finished: Path) -> None:
    with pytest.raises(RunError, match="weights is '.*' there, and '.*' was asked"):
        train(
            small_network(small_config(drop_path=0.3, dropout=0.2), seed=1),
            small_data(24, 12),
            RECIPE,
            seed=0,
            folder=finished,
            resume=True,
        )


def _no_locks(file: int, kind: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_two_processes_that_begin_at_once_have_one_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "a")
    exists = Path.exists

    def other_comes_first(path: Path) -> bool:
        found = exists(path)
        if path.name == "config.json" and not found:
            monkeypatch.undo()
            folder.start({"seed": 1}, resume=False)
        return found

    monkeypatch.setattr(Path, "exists", other_comes_first)
    with pytest.raises(RunError, match="an empty or a new folder"):
        folder.start({"seed": 2}, resume=False)
    assert folder.content()["config"] == {"seed": 1}


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
