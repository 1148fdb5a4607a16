"""Logs are read as they were written, by every listener alike; damage is named."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddw_graph.errors import RunError
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.edge_log import read_edge_log, write_edge_log
from ddw_graph.training.loading import batches
from ddw_graph.training.log import Row, read_log
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.tensorboard import TensorBoard
from tests.training.runs import run
from tests.training.small import small_config, small_data

CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    first = {"epoch": 1, **{name: 1 / 7 + k for k, name in enumerate(CURVES)}}
    history = [first, first | {"epoch": 2, "train_macs_share": 0.5}]
    RunFolder(tmp_path).write_log(history)
    assert read_log(tmp_path) == history


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "epoch or more, got none"),
        ("epoch,train_loss\n", "epoch or more, got none"),
        ("epoch,test_loss\n1,0.5\n", "it lacks train_loss"),
        ("epoch,{}\n1,1,1,1,1\n1,1,1,1,1\n", "do not count from 1"),
        ("epoch,{}\n1,1,1,nan,1\n", "not finite"),
        ("epoch,{}\n1,1,1", "must be a whole log"),
        ("epoch,{}\n1,1,1,1,1,9\n", "must be a whole log"),
        ("epoch,{}\n1,1,1,1,\udcff\n", "must be a whole log"),
        (None, "must hold log.csv"),
    ],
)
def test_a_damaged_log_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        filled = text.replace("{}", ",".join(CURVES))
        (tmp_path / "log.csv").write_bytes(filled.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=message) as caught:
        read_log(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch,stage\n1,1\n",
        "{}1,1,0\n",
        "{}1,1,0,1,nan,0\n",
        "{}1,1,0,1,0.5,0\n2,1,0,1,0.5,0\n2,1,0,2,0.5,0\n",
        "{}2,1,0,1,0.5,0\n1,1,0,1,0.5,0\n",
    ],
)
def test_a_damaged_log_of_edges_is_named(tmp_path: Path, text: str) -> None:
    header = "epoch,stage,source,target,mean,std\n"
    (tmp_path / "wiring.csv").write_text(text.format(header))
    with pytest.raises(RunError, match="wiring.csv must be a whole log"):
        read_edge_log(tmp_path)


@pytest.mark.parametrize("edges", ["dynamic:bias=0,router_std=1", "learned", "fixed"])
def test_the_log_of_edges_is_the_adjacency_after_each_epoch(
    tmp_path: Path, edges: str
) -> None:
    run(tmp_path / "a", config=small_config(edges))
    if edges == "fixed":
        with pytest.raises(RunError, match="must hold wiring.csv"):
            read_edge_log(tmp_path / "a")
        return
    rows = read_edge_log(tmp_path / "a")
    assert [row.epoch for row in rows] == [1] * 30 + [2] * 30
    images = batches(small_data(24, 12).test_inputs(), 12)
    (output,) = outputs(Run(tmp_path / "a").network(), images)
    for row in rows[30:]:
        weights = output.adjacency[row.stage - 1][:, row.target, row.source].double()
        assert row.mean == pytest.approx(weights.mean().item(), rel=1e-5)
        std = weights.std(correction=0).item()
        assert row.std == pytest.approx(std, rel=1e-3, abs=1e-6)
    assert (np.mean([row.std for row in rows]) > 1e-3) == (edges != "learned")


def test_a_resumed_run_has_each_epoch_of_edges_once(
    whole: Path, unfinished: Path
) -> None:
    # As if it had ended between the log of edges and the checkpoint.
    ahead = [row._replace(epoch=2, mean=0.5) for row in read_edge_log(whole)[:30]]
    write_edge_log(unfinished, ahead)
    run(unfinished, resume=True)
    found = (unfinished / "wiring.csv").read_bytes()
    assert found == (whole / "wiring.csv").read_bytes()


class Calls:
    """Keeps what a listener is called with."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def step(self, *place: Any) -> None:
        self.seen.append(place)

    def epoch(self, row: Row) -> None:
        self.seen.append(row)


@pytest.fixture
def every_4th(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("ddw_graph.training.tensorboard.LOG_STEPS", 4)


def scalars(folder: Path, tag: str) -> list[tuple[int, Any]]:
    """Returns steps and values of a tag, as TensorBoard reads them."""
    module = "tensorboard.backend.event_processing.event_accumulator"
    events = pytest.importorskip(module).EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.mark.usefixtures("every_4th")
def test_tensorboard_has_the_log_and_every_nth_step(tmp_path: Path) -> None:
    quick, board = recipe_named("small", epochs=2, batch_size=8), tmp_path / "r" / "tb"
    one, other = Calls(), Calls()
    with TensorBoard(board) as listener:
        run(tmp_path / "r", recipe=quick, listeners=[one, listener, other])
    assert one.seen == other.seen and len(one.seen) == 2 * (3 + 1)
    steps = [place for place in one.seen if isinstance(place, tuple)]
    assert scalars(board, "step/loss") == [(4, pytest.approx(steps[3][3]))]
    log = read_log(tmp_path / "r")
    for tag in ("test/accuracy", "train/loss", "learning_rate"):
        wanted = [pytest.approx(row[tag.replace("/", "_")]) for row in log]
        assert scalars(board, tag) == list(enumerate(wanted, start=1))


@pytest.mark.usefixtures("every_4th")
def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path: Path) -> None:
    # The second run resumes after step 5, the first ended after step 9.
    for first, last, loss in ((1, 9, 1.0), (6, 16, 2.0)):
        with TensorBoard(tmp_path) as board:
            for step in range(first, last + 1):
                board.step(1, step, 20, loss)
    wanted = [(4, 1.0), (8, 2.0), (12, 2.0), (16, 2.0)]
    assert scalars(tmp_path, "step/loss") == wanted


def test_without_the_extra_it_is_one_line(
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
