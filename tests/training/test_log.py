"""A log is the same in each of its forms, and a damaged one is named."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from ddw_graph.errors import RunError
from ddw_graph.training.log import Row, read_log
from ddw_graph.training.loop import Listener
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.tensorboard import TensorBoard
from tests.training.runs import run

CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def row(epoch: int, **more: float) -> Row:
    values = {name: epoch / 7 + place for place, name in enumerate(CURVES)}
    return {"epoch": epoch, **values, **more}


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = [row(1), row(2, train_macs_share=0.5)]
    RunFolder(tmp_path).write_log(history)
    assert read_log(tmp_path) == history


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "epoch or more, got none"),
        ("epoch,train_loss\n", "epoch or more, got none"),
        ("epoch,test_loss\n1,0.5\n", "it lacks train_loss"),
        ("epoch,{}\n2,1,1,1,1\n", "do not count from 1"),
        ("epoch,{}\n1,1,1,1,1\n1,1,1,1,1\n", "do not count from 1"),
        ("epoch,{}\n1,1,1,nan,1\n", "not finite"),
        ("epoch,{}\n1,1,1,x,1\n", "could not convert string"),
        ("epoch,{}\n1,1,1", "must be a whole log"),
        ("epoch,{}\n1,1,1,1,1,9\n", "must be a whole log"),
        ("epoch,{}\n1,1,1,1,\udcff\n", "must be a whole log"),
    ],
)
def test_a_damaged_log_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "log.csv"
    filled = text.replace("{}", ",".join(CURVES))
    path.write_bytes(filled.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=message) as caught:
        read_log(tmp_path)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(RunError, match="must hold log.csv"):
        read_log(tmp_path)


class Heard:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.told.append((epoch, step, steps, loss))

    def epoch(self, row: Row) -> None:
        self.told.append(row)


def test_every_listener_is_called_alike(tmp_path: Path) -> None:
    one, other = Heard(), Heard()
    assert isinstance(one, Listener)
    run(tmp_path / "r", listeners=[one, other])
    assert one.told == other.told and len(one.told) == 2 * (3 + 1)


def test_tensorboard_tells_the_log_and_every_nth_step(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    quick = recipe_named("small", epochs=2, batch_size=8)
    heard = Heard()
    with TensorBoard(tmp_path / "r" / "tensorboard", every=4) as board:
        run(tmp_path / "r", recipe=quick, listeners=[board, heard])
    events = accumulator.EventAccumulator(str(tmp_path / "r" / "tensorboard"))
    events.Reload()
    steps = [told for told in heard.told if isinstance(told, tuple)]
    single = [(event.step, event.value) for event in events.Scalars("step/loss")]
    assert [step for step, _ in single] == [4]
    assert [v for _, v in single] == pytest.approx([steps[3][3]])
    log = read_log(tmp_path / "r")
    for tag, name in (
        ("test/accuracy", "test_accuracy"),
        ("train/loss", "train_loss"),
        ("learning_rate", "learning_rate"),
    ):
        told = [(event.step, event.value) for event in events.Scalars(tag)]
        assert told == [(k, pytest.approx(e[name])) for k, e in enumerate(log, start=1)]


def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    # The second run goes on after step 5, the first was ended after step 9.
    for first, last, loss in ((1, 9, 1.0), (6, 16, 2.0)):
        with TensorBoard(tmp_path, every=4) as board:
            for made in range(first, last + 1):
                board.step(1, made, 20, loss)
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    single = [(event.step, event.value) for event in events.Scalars("step/loss")]
    assert single == [(4, 1.0), (8, 2.0), (12, 2.0), (16, 2.0)]


def test_without_the_extra_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith(("torch.utils.tensorboard", "tensorboard")):
            raise ModuleNotFoundError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(RunError, match=r"pip install 'ddw_graph\[tensorboard\]'"):
        TensorBoard(tmp_path)
    monkeypatch.undo()
    with pytest.raises(RunError, match="log_steps must be at least 1, got 0"):
        TensorBoard(tmp_path, every=0)
