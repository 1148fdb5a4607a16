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

import pytest
import torch

from ddw_graph.errors import DataError, RunError
from ddw_graph.models import from_config
from ddw_graph.nn.network import Network
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.images import ArrayImages
from ddw_graph.training.recipe import Recipe, parameter_groups, recipe_named
from ddw_graph.training.run import RunFolder
from ddw_graph.training.train import trained_model
from tests.training.runs import RECIPE, Stop, StopAt, run, weights
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
    model = trained_model(tmp_path / "a")
    assert evaluate(model, data.test).accuracy == result["test_accuracy"]


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
    assert json.loads((tmp_path / "a" / "result.json").read_text()) == result


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
        run(tmp_path / "cut", listener=StopAt(*place))
    torch.randn(5)
    result = run(tmp_path / "cut", resume=True)
    wanted, found = weights(whole), weights(tmp_path / "cut")
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    first = json.loads((whole / "result.json").read_text())
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


def test_a_loss_that_is_not_finite_stops_before_anything_is_written(
    tmp_path: Path,
) -> None:
    data = small_data()
    with pytest.raises(Stop):
        run(tmp_path / "a", data=data, listener=StopAt(2, 1))
    before = (tmp_path / "a" / "checkpoint.pt").read_bytes()
    assert isinstance(data.train, ArrayImages)
    data.train.mean[:] = math.nan
    with pytest.raises(RunError, match="the loss is nan in epoch 2, step 1 of"):
        run(tmp_path / "a", data=data, resume=True)
    assert (tmp_path / "a" / "checkpoint.pt").read_bytes() == before


class DivergeAt(StopAt):
    """Spoils a weight just before a step, behind the back of its loss."""

    def __init__(self, epoch: int, step: int, spoil: Callable[[], None]) -> None:
        super().__init__(epoch, step)
        self.spoil = spoil

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            self.spoil()


def networks_made(monkeypatch: pytest.MonkeyPatch) -> list[Network]:
    """Returns the list to which every network that is trained from now on is added."""
    made: list[Network] = []

    def build(config: dict[str, Any]) -> Network:
        made.append(from_config(config))
        return made[-1]

    monkeypatch.setattr("ddw_graph.training.train.from_config", build)
    return made


def test_the_last_step_of_an_epoch_may_diverge_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = networks_made(monkeypatch)

    def spoil() -> None:
        next(iter(made[-1].parameters())).data.fill_(math.inf)

    listener = DivergeAt(2, 3, spoil)
    with pytest.raises(RunError, match="in epoch 2, the last step; the last"):
        run(tmp_path / "a", listener=listener)
    history = RunFolder(tmp_path / "a").read_checkpoint()["history"]
    assert [row["epoch"] for row in history] == [1]
    monkeypatch.undo()
    assert run(tmp_path / "a", resume=True)["epochs"] == 2


def test_a_statistic_that_overflows_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No loss of a training tells of it: a batch is normalised by its own."""
    made = networks_made(monkeypatch)

    def spoil() -> None:
        statistics = dict(made[-1].named_buffers())
        next(s for n, s in statistics.items() if n.endswith("running_var")).fill_(
            math.inf
        )

    listener = DivergeAt(2, 2, spoil)
    with pytest.raises(RunError, match="statistic is not in epoch 2, step 2 of 3; the"):
        run(tmp_path / "a", listener=listener, checkpoint_steps=1)
    kept = RunFolder(tmp_path / "a").read_checkpoint()
    assert kept["step"] == 1
    assert all(torch.isfinite(each).all() for each in kept["model"].values())


def test_a_lost_log_and_a_left_draft_do_no_harm(tmp_path: Path, finished: Path) -> None:
    log = (finished / "log.csv").read_text()
    for name in ("log.csv", "result.json"):
        (finished / name).unlink()
    run(finished, resume=True)
    assert (finished / "log.csv").read_text() == log
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
    with pytest.raises(RunError, match="result.json must hold the numbers"):
        run(finished, resume=True)


def test_seeds_fit_the_words_that_they_are_made_of(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"seed must be in \[0, 2\*\*32\), got 4294967296"
    ):
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
    tmp_path: Path, finished: Path
) -> None:
    path = finished / "checkpoint.pt"
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
            trained_model(finished)
    torch.save({"model": Planted(marker)}, path)
    with pytest.raises(RunError, match="must be a whole checkpoint"):
        trained_model(finished)
    assert not marker.exists()
    path.unlink()
    with pytest.raises(RunError, match="must hold checkpoint.pt"):
        trained_model(finished)
    path.mkdir()
    with pytest.raises(RunError, match="must hold checkpoint.pt"):
        trained_model(finished)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=FULL)])
def test_a_flipped_bit_never_passes_for_other_weights(
    finished: Path, seed: int
) -> None:
    path = finished / "checkpoint.pt"
    whole = path.read_bytes()
    before = weights(finished)
    generator = random.Random(seed)
    refused = 0
    for _ in range(75):
        place = generator.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[place] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        try:
            after = trained_model(finished).state_dict()
        except RunError:
            refused += 1
            continue
        # What is left are bytes that nobody reads, such as dates.
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert refused > 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"history": 3}, "must be a checkpoint of this run"),
        ({"history": [{"epoch": 1}] * 9}, "9 epochs of 2"),
        ({"step": -1}, "-1 steps of an epoch"),
        ({"tally": {"loss": 1.0}}, "must be a checkpoint of this run"),
        ({"history": []}, "0 epochs of 2"),
        ({"optimizer": {}}, "must be a checkpoint of this run"),
    ],
)
def test_a_checkpoint_of_odd_parts_is_refused(
    finished: Path, change: dict[str, Any], message: str
) -> None:
    (finished / "result.json").unlink()
    folder = RunFolder(finished)
    folder.write_checkpoint(folder.read_checkpoint() | change)
    with pytest.raises(RunError, match=message):
        run(finished, resume=True)


def test_a_checkpoint_of_another_type_is_refused(finished: Path) -> None:
    folder = RunFolder(finished)
    state = folder.read_checkpoint()
    state["model"] = {
        key: tensor.double() if tensor.is_floating_point() else tensor
        for key, tensor in state["model"].items()
    }
    folder.write_checkpoint(state)
    with pytest.raises(RunError, match="is torch.float64, not torch.float32"):
        trained_model(finished)


def test_a_checkpoint_of_another_network_is_refused(
    tmp_path: Path, finished: Path
) -> None:
    run(tmp_path / "b", config=small_config("learned"))
    os.replace(tmp_path / "b" / "checkpoint.pt", finished / "checkpoint.pt")
    with pytest.raises(RunError, match="weights of this network: Missing key"):
        trained_model(finished)


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
        run(tmp_path / "a", listener=StopAt(2, 2))
    run(tmp_path / "a", resume=True)
    history = RunFolder(tmp_path / "a").read_checkpoint()["history"]
    # 24 images in batches of 10: 3 steps an epoch.
    expected = [RECIPE.learning_rate_at(step, 6) for step in (2, 5)]
    assert [row["learning_rate"] for row in history] == expected


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
    monkeypatch.setattr("ddw_graph.training.run.PATIENCE", 0.0)
    result = RunFolder(finished).result()
    with RunFolder(finished).held():
        with pytest.raises(RunError, match="is being trained by another process"):
            run(finished, resume=True)
    assert run(finished, resume=True) == result
    # Nobody keeps locks there.
    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", _no_locks)
        assert run(finished, resume=True) == result


def test_what_is_started_from_is_of_the_configuration(tmp_path: Path) -> None:
    other = from_config(small_config(edges="learned"))
    with pytest.raises(RunError, match="start must be a network of the same config"):
        run(tmp_path / "run", config=small_config(edges="fixed"), start=other)
    assert not (tmp_path / "run").exists()


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
    assert folder.config() == {"seed": 1}


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
    assert folder.config() == {"seed": 1}
