"""Collected weights are the network's, and the statistics are NumPy's."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from ddw_graph import create_model
from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.statistics.edges import edge_table
from ddw_graph.analysis.statistics.samples import sample_table
from ddw_graph.errors import DataError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.training.collecting import collection_of
from ddw_graph.training.collection import Collection, StageEdges, open_collection

CLASSES = ("a", "b", "c")


def collected(
    model: Network, images: TensorDataset, folder: Path | None = None, **options: Any
) -> Collection:
    return collect(model, images, folder, classes=CLASSES, **options)


def some_images(count: int = 23) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    return TensorDataset(images, torch.arange(count) % 3)


def some_model(
    edges: str = "dynamic:router_std=1,bias=0",
    wiring: str = "complete",
    n: int = 4,
    *,
    seed: int = 0,
) -> Network:
    torch.manual_seed(seed)
    return create_model(
        "randwire_tiny",
        wiring=wiring,
        edges=edges,
        n=n,
        channels=4,
        num_classes=3,
        in_channels=1,
    ).eval()


@pytest.mark.parametrize("wiring", ["complete", "er:p=0.3"])
def test_collects_what_the_network_returns(tmp_path: Path, wiring: str) -> None:
    model, images = some_model(wiring=wiring), some_images()
    collected(model, images, tmp_path / "a", batch_size=7)
    x, labels = images.tensors
    with torch.no_grad():
        logits, adjacency = model(x, return_adjacency=True)
    known = {"logits": logits, "labels": labels, "classes": CLASSES}
    expected = collection_of(adjacency, model, **known, image_size=8)
    for found in (open_collection(tmp_path / "a"), collected(model, images)):
        assert found.classes == CLASSES and found.other_macs == expected.other_macs
        for place, stage in enumerate(found.stages):
            np.testing.assert_allclose(
                found.weights(place), expected.weights(place), rtol=1e-5
            )
            source, target = stage.edges.T
            mean = model.stages[place].plan.output == "mean"
            last = stage.nodes - 1
            assert (stage.constant == (mean & ((source == 0) | (target == last)))).all()
        pd.testing.assert_frame_equal(
            sample_table(found), sample_table(expected), rtol=1e-4
        )
    total = cost(model, 8).total_macs
    assert found.column("expected_macs").tolist() == [pytest.approx(total)] * 23


def test_a_network_of_float64_stays_one() -> None:
    model = some_model().double()
    collected(model, some_images(3))
    assert next(model.parameters()).dtype == torch.float64
    with pytest.raises(DataError, match="at least one sample"):
        collected(model, some_images(0))


def stored(
    weights: np.ndarray, constant: list[bool], **columns: np.ndarray
) -> Collection:
    """Returns a collection of one stage with these weights."""
    edges = np.array([(0, 1), (0, 2), (1, 2)])
    ones = np.ones(3, dtype=np.int64)
    stage = StageEdges(3, edges, np.array(constant), ones, ones)
    return Collection((stage,), (weights,), columns, CLASSES)


@given(samples=st.integers(1, 40), shift=st.floats(0, 100))
def test_the_table_of_edges_is_numpys(samples: int, shift: float) -> None:
    generator = np.random.default_rng(samples)
    weights = (shift + generator.random((samples, 3))).astype(np.float32)
    collection = stored(weights, [False] * 3)
    table = edge_table(collection)
    exact = weights.astype(np.float64)
    np.testing.assert_allclose(table["mean"], exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(table["std"], exact.std(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(table["min"], exact.min(0))
    np.testing.assert_array_equal(table["max"], exact.max(0))
    np.testing.assert_allclose(table["open"], (exact > 0).mean(0))


def test_nothing_is_replaced_unasked_and_nothing_else_goes(tmp_path: Path) -> None:
    model, images = some_model(), some_images(3)
    collected(model, images, tmp_path / "a")
    with pytest.raises(DataError, match="--overwrite"):
        collected(model, images, tmp_path / "a")
    collected(model, some_images(5), tmp_path / "a", overwrite=True)
    assert open_collection(tmp_path / "a").samples == 5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="--overwrite"):
        collected(model, images, tmp_path / "mine")
    collected(model, images, tmp_path / "mine", overwrite=True)
    assert open_collection(tmp_path / "mine").samples == 3
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_an_interrupted_collection_leaves_none(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collected(some_model(), some_images(), tmp_path / "a", progress=stop)
    assert list(tmp_path.iterdir()) == []
