"""Latencies are of the networks that they name, timed in turn, an image each."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddw_graph import save
from ddw_graph.benchmarking import latency as latency_module
from ddw_graph.benchmarking.latency import (
    CLOSING,
    Latency,
    latency,
    without_thresholds,
)
from ddw_graph.benchmarking.measurement import Run
from ddw_graph.benchmarking.report import QUICK
from ddw_graph.benchmarking.spread import spread
from ddw_graph.deployment import onnx
from ddw_graph.errors import DataError, ExportError, RunError
from tests.deployment.small import closing_network, noise, small_run
from tests.training.small import small_data

RUN = Run(rounds=3, warmup=0)
SMALL: dict[str, Any] = {"names": ["randwire_tiny"], "wiring": "complete:n=3"}
SMALL |= {"size": 16, "batch": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("latency") / "run")


def known(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets acts take known times: the first 1 s, the second 2 s and so on."""
    asked: list[str] = []

    def times(acts: Mapping[str, Any], **_: object) -> dict[str, list[float]]:
        for act in acts.values():
            act()
        asked.extend(acts)
        return {name: [place + 1.0] * 3 for place, name in enumerate(acts)}

    monkeypatch.setattr(latency_module, "paired_times", times)
    return asked


def key(row: Latency) -> tuple[Any, ...]:
    return row.edges.partition(":")[0], row.thresholds, row.engine, row.batch


def test_each_network_is_timed_with_thresholds_and_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = known(monkeypatch)
    found = latency(RUN, **SMALL, edges=["fixed", CLOSING], engines=["pytorch"])
    rows = [("fixed", None), ("dynamic", "off"), ("dynamic", "on")]
    wanted = [(*row, "pytorch", batch) for row in rows for batch in (1, 4)]
    assert [key(row) for row in found] == wanted and len(asked) == 6
    # The time of a batch is shared by its images; ratios are those of whole batches,
    # each to the first network's of the same batch.
    assert [row.seconds.median for row in found] == [1, 0.5, 3, 1, 5, 1.5]
    assert [row.ratio.median for row in found] == [1, 1, 3, 2, 5, 3]
    assert all(row.open_edges == 1 for row in found[:4])
    assert all(0.3 < row.open_edges < 0.9 for row in found[4:])
    for off, on in zip(found[2:4], found[4:], strict=True):
        assert on.macs < off.macs
    assert found[0].model == "randwire_tiny" and found[0].size == 16


@pytest.mark.full
def test_onnxruntime_computes_the_same_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known(monkeypatch)
    small = SMALL | {"wiring": "complete:n=1", "size": 8}
    found = latency(RUN, **small, edges=[CLOSING])
    assert [key(row)[1:] for row in found] == [
        (thresholds, engine, batch)
        for thresholds in ("off", "on")
        for batch in (1, 4)
        for engine in ("pytorch", "onnxruntime")
    ]
    session = onnx.session

    def other(*arguments: Any, **options: Any) -> Any:
        opened = session(*arguments, **options)

        class Off:
            def run(self, *arguments: Any) -> list[Any]:
                return [array + 1 for array in opened.run(*arguments)]

        return Off()

    monkeypatch.setattr(latency_module, "session", other)
    with pytest.raises(ExportError, match="in the logits of 4 images"):
        latency(RUN, **small, edges=[CLOSING])


def test_a_network_without_thresholds_closes_nothing() -> None:
    network = closing_network()
    x = noise(4)
    with torch.no_grad():
        before = network(x)
        free = without_thresholds(network)
        _, opened = free(x, return_adjacency=True)
        _, closed = network(x, return_adjacency=True)
    for stage, ours, theirs in zip(network.stages, opened, closed, strict=True):
        edges = 4 * stage.dag.number_of_edges()
        assert ours.count_nonzero() == edges > theirs.count_nonzero()
    with torch.no_grad():
        assert torch.equal(network(x), before)


def test_a_run_is_timed_as_it_was_trained_on_images_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch)
    data = small_data()
    for place in range(3):
        Image.fromarray(data.test[place][0][0].numpy()).save(tmp_path / f"{place}.png")
    options: dict[str, Any] = {"batch": 3, "engines": ["pytorch"]}
    found = latency(RUN, names=[str(folder)], images=[str(tmp_path)], **options)
    off, on = found[1], found[3]
    assert (off.size, off.batch, on.thresholds) == (8, 3, "on")
    assert off.top1 is None and 0 <= (on.top1 or -1) <= 100
    from ddw_graph.nn.cost import cost
    from ddw_graph.training.run import Run

    network = Run(folder).network()
    with torch.no_grad():
        images = torch.stack([data.test_inputs()[place][0] for place in range(3)])
        _, adjacency = network(images, return_adjacency=True)
    macs = cost(network, 8).expected_macs(adjacency).mean().item()
    assert on.macs == pytest.approx(macs)


def test_what_is_relative_to_the_first_network_is_so_across_networks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch)
    options: dict[str, Any] = {"batch": 3, "engines": ["pytorch"]}
    both = [str(folder), str(folder / "model.safetensors")]
    rows = latency(RUN, names=both, **options)
    assert [row.top1 for row in rows[4:]] == [None] * 4
    assert [row.ratio.median for row in rows] == [1, 1, 3, 2, 5, 3, 7, 4]


def test_edges_are_of_new_networks_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch)
    options: dict[str, Any] = {"batch": 3, "engines": ["pytorch"]}
    mixed = [str(folder), "randwire_tiny"]
    rows = latency(RUN, names=mixed, edges=["learned"], wiring="vgg:n=2", **options)
    kinds = [row.edges.split(":")[0] for row in rows[::2]]
    assert kinds == ["dynamic", "dynamic", "learned"]


def test_says_what_is_wrong(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = str(folder)
    saved = tmp_path / "net.safetensors"
    save(closing_network(n=2), saved)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    images = [str(tmp_path / "a.png")]
    for options, words in (
        ({"names": [run], "engines": ["abacus"]}, "pytorch, onnxruntime, got abacus"),
        ({"names": [run], "edges": ["fixed"]}, "--edges and --wiring are for new"),
        ({"names": [run], "wiring": "complete"}, "--edges and --wiring are for new"),
    ):
        with pytest.raises(RunError, match=words):
            latency(RUN, **options)
    cuda = Run(device="cuda")
    with pytest.raises(RunError, match="onnxruntime is timed on the CPU alone, got cu"):
        latency(cuda, engines=["onnxruntime"])
    pytorch: dict[str, Any] = {"engines": ["pytorch"], "images": images}
    with pytest.raises(DataError, match="need a run, which has"):
        latency(RUN, names=[str(saved)], **pytorch)
    with pytest.raises(DataError, match="must be 8 at least, got 1"):
        latency(RUN, names=[run], **pytorch)
    with pytest.raises(DataError, match="transformed to 8 px, got 16"):
        latency(RUN, names=[run], size=16, **pytorch)
    monkeypatch.setattr(onnx, "missing", lambda: ["onnx"])
    monkeypatch.setattr(latency_module, "missing", lambda: ["onnx"])
    with pytest.raises(ExportError, match="pip install"):
        latency(RUN, engines=["onnxruntime"])
    # Unasked, it is left out and that is said.
    known(monkeypatch)
    said: list[str] = []
    small = QUICK["latency"] | {"edges": ("fixed",), "wiring": "complete:n=1"}
    found = latency(Run(rounds=1, progress=said.append), **small)
    assert {row.engine for row in found} == {"pytorch"}
    assert said[0].startswith("onnxruntime is left out")


def test_times_are_those_of_the_clock() -> None:
    small = SMALL | {"wiring": "complete:n=1", "size": 8}
    found = latency(RUN, **small, edges=["fixed"], engines=["pytorch"])
    assert all(0 < row.seconds.low <= row.seconds.median for row in found)
    assert asdict(found[0])["ratio"] == asdict(spread([1.0]))
