"""Latencies are of the networks that they name, with thresholds and without."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.benchmarks import latency as latency_module
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.benchmarks.latency import latency, paper_rows, without_thresholds
from ddw_graph.deployment import onnx
from ddw_graph.errors import DataError, ExportError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.training.data import load_data
from ddw_graph.training.run import Run
from tests.deployment.small import closing_network, noise, small_run

CLOCK = Clock(rounds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load_data(per_class=2)
    folder = tmp_path_factory.mktemp("latency") / "run"
    return small_run(folder, data, num_classes=10, n=2)


def own_rows(**options: Any) -> list[Row]:
    """Returns the rows of latency without the paper's."""
    return latency(CLOCK, **options)[: -len(paper_rows())]


def test_new_networks_are_timed_with_thresholds_and_without() -> None:
    rows = own_rows(model=["randwire_tiny"], batch_size=4, image_size=16)
    kinds = ("fixed", "thresholds off", "thresholds on")
    assert len(rows) == 6
    for row, kind in zip(rows, 2 * kinds, strict=True):
        assert row["variant"].startswith("randwire_tiny, ")
        assert row["variant"].endswith(kind) and row["px"] == 16
        assert (row["open_edges"] < 0.9) == (kind == "thresholds on")
    cases = [row["case"] for row in rows]
    assert cases == 3 * ["pytorch, batch 1"] + 3 * ["pytorch, batch 4"]
    assert all(row["ms_per_image"] == row["ms"] / 4 for row in rows[3:])
    assert rows[5]["macs"] < rows[4]["macs"] and rows[0]["ratio"] == 1


def test_a_network_without_thresholds_closes_nothing() -> None:
    network, x = closing_network(), noise(4)
    with torch.no_grad():
        before = network(x)
        free = without_thresholds(network)
        _, opened = free(x, return_adjacency=True)
        _, closed = network(x, return_adjacency=True)
        for stage, ours, theirs in zip(network.stages, opened, closed, strict=True):
            edges = 4 * stage.dag.number_of_edges()
            assert ours.count_nonzero() == edges > theirs.count_nonzero()
        assert torch.equal(network(x), before)
    # Nothing is compared either, which would take time.
    assert not any(stage.weights.can_close for stage in free.stages)


def test_a_run_is_timed_on_its_test_images(folder: Path) -> None:
    saved = str(folder / "model.safetensors")
    rows = own_rows(model=[str(folder), saved, "randwire_tiny"], batch_size=3)
    assert all(row["px"] == 28 for row in rows)
    off, on, _, again, new, *_ = rows[len(rows) // 2 :]
    assert off["top1"] is None and 0 <= on["top1"] <= 100 and again["top1"] is None
    run = Run(folder)
    images = torch.stack([run.data().test_inputs()[place][0] for place in range(3)])
    with torch.no_grad():
        _, adjacency = run.network()(images, return_adjacency=True)
    macs = cost(run.network(), 28).expected_macs(adjacency).mean().item()
    assert on["macs"] == again["macs"] == pytest.approx(macs)
    assert new["variant"] == "randwire_tiny, fixed"
    with pytest.raises(DataError, match="at least, got 100"):
        latency(CLOCK, model=[str(folder)], batch_size=101)
    noise_of = own_rows(model=[str(folder)], batch_size=3, image_size=16)
    assert noise_of[0]["px"] == 16


@pytest.mark.full
def test_onnxruntime_computes_the_same_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"model": [str(folder)], "batch_size": 2, "onnx": True}
    rows = own_rows(**options)
    assert [row["case"] for row in rows[::2]] == [
        f"{engine}, batch {batch}"
        for batch in (1, 2)
        for engine in ("pytorch", "onnxruntime")
    ]
    assert [row["ratio"] for row in rows[::2]] == [1, 1, 1, 1]
    session = onnx.session

    def other(*arguments: Any, **options: Any) -> Any:
        opened = session(*arguments, **options)

        class Off:
            get_inputs = opened.get_inputs

            def run(self, *arguments: Any) -> list[Any]:
                return [array + 1 for array in opened.run(*arguments)]

        return Off()

    monkeypatch.setattr(latency_module, "session", other)
    with pytest.raises(ExportError, match="in the logits of 2 images"):
        latency(CLOCK, **options)


def test_what_cannot_be_timed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match="--edges is for new networks"):
        latency(CLOCK, model=[str(folder)], edges=["fixed"])
    with pytest.raises(RunError, match="on the CPU only, got cuda"):
        latency(Clock(device="cuda"), onnx=True)
    monkeypatch.setattr(onnx, "missing", lambda: ["onnx"])
    with pytest.raises(ExportError, match="pip install"):
        latency(CLOCK, onnx=True)
