"""Latencies are of the networks that they name, with thresholds and without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddw_graph import save
from ddw_graph.benchmarks import latency as latency_module
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.benchmarks.latency import latency, paper_rows, without_thresholds
from ddw_graph.deployment import onnx
from ddw_graph.errors import DataError, ExportError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.training.run import Run
from tests.deployment.small import closing_network, noise, small_run
from tests.training.small import small_data

CLOCK = Clock(rounds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("latency") / "run")


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


def test_a_run_is_timed_on_images_as_it_was_trained(
    folder: Path, tmp_path: Path
) -> None:
    data = small_data()
    for place in range(3):
        Image.fromarray(data.test[place][0][0].numpy()).save(tmp_path / f"{place}.png")
    rows = own_rows(model=[str(folder)], images=[str(tmp_path)], batch_size=3)
    off, on = rows[2:]
    assert off["px"] == 8 and off["top1"] is None and 0 <= on["top1"] <= 100
    network = Run(folder).network()
    with torch.no_grad():
        images = torch.stack([data.test_inputs()[place][0] for place in range(3)])
        _, adjacency = network(images, return_adjacency=True)
    macs = cost(network, 8).expected_macs(adjacency).mean().item()
    assert on["macs"] == pytest.approx(macs)


def test_a_saved_network_may_be_compared_with_a_new_one(folder: Path) -> None:
    model = [str(folder / "model.safetensors"), "randwire_tiny"]
    rows = own_rows(model=model, edges=["learned"], batch_size=2, image_size=8)[3:]
    assert all(row["top1"] is None for row in rows)
    assert rows[2]["variant"] == "randwire_tiny, learned"


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
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "net.safetensors"
    save(closing_network(n=2), saved)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    run, images = [str(folder)], [str(tmp_path / "a.png")]
    with pytest.raises(RunError, match="--edges is for new networks"):
        latency(CLOCK, model=run, edges=["fixed"])
    with pytest.raises(RunError, match="on the CPU only, got cuda"):
        latency(Clock(device="cuda"), onnx=True)
    with pytest.raises(DataError, match="need a run, .* got a network without"):
        latency(CLOCK, model=[str(saved)], images=images)
    with pytest.raises(DataError, match="need a run, .* got --image-size"):
        latency(CLOCK, model=run, images=images, image_size=16)
    with pytest.raises(DataError, match="must be 8 at least, got 1"):
        latency(CLOCK, model=run, images=images)
    monkeypatch.setattr(onnx, "missing", lambda: ["onnx"])
    with pytest.raises(ExportError, match="pip install"):
        latency(CLOCK, onnx=True)
