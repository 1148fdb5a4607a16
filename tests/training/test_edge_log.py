"""The log of edges is what the network's adjacency is after each epoch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddw_graph.errors import RunError
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.edge_log import read_edge_log, write_edge_log
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run
from tests.training.runs import Stop, StopAt, run
from tests.training.small import small_config, small_data

DYNAMIC = "dynamic:bias=0,router_std=1"


def test_the_last_epoch_is_the_trained_networks(tmp_path: Path) -> None:
    run(tmp_path / "a", config=small_config(DYNAMIC))
    rows = read_edge_log(tmp_path / "a")
    assert [row.epoch for row in rows] == [1] * 30 + [2] * 30
    images = batches(small_data(24, 12).test_inputs(), 12)
    (output,) = outputs(Run(tmp_path / "a").network(), images)
    adjacency = output.adjacency
    for row in rows[30:]:
        weights = adjacency[row.stage - 1][:, row.target, row.source].double()
        assert row.mean == pytest.approx(weights.mean().item(), rel=1e-5)
        std = weights.std(correction=0).item()
        assert row.std == pytest.approx(std, rel=1e-3, abs=1e-6)
    assert np.mean([row.std for row in rows[30:]]) > 1e-3


def test_learned_edges_deviate_by_nothing_and_fixed_ones_have_no_log(
    tmp_path: Path,
) -> None:
    run(tmp_path / "a", config=small_config("learned"))
    rows = read_edge_log(tmp_path / "a")
    assert len(rows) == 60 and max(row.std for row in rows) < 1e-6
    run(tmp_path / "b", config=small_config("fixed"))
    with pytest.raises(RunError, match="must hold wiring.csv"):
        read_edge_log(tmp_path / "b")


def test_a_resumed_run_has_each_epoch_once(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path / "cut", listeners=[StopAt(2, 1)])
    # As if it had ended between the log of edges and the checkpoint.
    first = read_edge_log(whole)[:30]
    ahead = [replace(row, epoch=2, mean=0.5) for row in first]
    write_edge_log(tmp_path / "cut", ahead)
    run(tmp_path / "cut", resume=True)
    found = (tmp_path / "cut" / "wiring.csv").read_bytes()
    assert found == (whole / "wiring.csv").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch,stage\n1,1\n",
        "{}1,1,0\n",
        "{}1,1,0,1,x,0\n",
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
