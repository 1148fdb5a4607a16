"""Weights by position are those that the network returned, from a checked folder."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from ddw_graph.analysis.collect import collect, keep_positions
from ddw_graph.errors import DataError
from ddw_graph.nn.network import Network
from ddw_graph.training.collecting import collection_of, positions_of
from ddw_graph.training.collection import Collection, open_collection
from tests.analysis.test_collect import CLASSES, some_images, some_model
from tests.training.text import (
    TOKENS,
    WORDS,
    text_positions,
    token_network,
    token_outputs,
)

PER_POSITION = "dynamic:per=position,router_std=1,bias=0"


def kept(folder: Path, model: Network, count: int, batch_size: int = 250) -> Collection:
    """Returns the collection of 23 images with the positions of the first ones."""
    images = some_images()
    collection = collect(model, images, folder, classes=CLASSES, batch_size=batch_size)
    return keep_positions(collection, model, images, count, batch_size=batch_size)


@pytest.mark.parametrize(
    ("edges", "batch_size"),
    [(PER_POSITION, 1), (PER_POSITION, 4), ("attention", 250), ("learned", 250)],
)
def test_positions_are_those_of_the_network_and_their_means_are_collected(
    tmp_path: Path, edges: str, batch_size: int
) -> None:
    model, images = some_model(edges), some_images().tensors[0]
    collection = kept(tmp_path / "a", model, 7, batch_size)
    with torch.no_grad():
        _, adjacency = model(images, return_adjacency=True)
    memory = collection_of(adjacency, model, inputs=images)
    assert collection.by_position.samples == 7
    np.testing.assert_array_equal(collection.by_position.inputs, images[:7])
    for place, matrix in enumerate(adjacency):
        weights = collection.positions(place)
        source, target = collection.stages[place].edges.T
        positions = matrix.shape[4:] if matrix[0, 0, 0].numel() > 1 else ()
        exact = matrix[:7, target, source].reshape(7, len(source), *positions)
        np.testing.assert_allclose(weights, exact, rtol=1e-4)
        np.testing.assert_allclose(memory.positions(place)[:7], exact, rtol=1e-5)
        means = weights.reshape(7, len(source), -1).mean(2)
        np.testing.assert_allclose(collection.weights(place)[:7], means, rtol=1e-4)
    weights = collection.positions(0)
    assert (weights.ndim == 4) == (edges != "learned")
    varies = np.ptp(weights.reshape(7, weights.shape[1], -1), 2) > 0
    assert varies.any() == (edges == PER_POSITION)


@pytest.mark.parametrize("batch", [4, 10])
def test_tokens_are_kept_with_their_weights(tmp_path: Path, batch: int) -> None:
    collection = text_positions(tmp_path / "a", batch)
    (output,) = token_outputs(token_network(), batch=10)
    assert collection.by_position.tokens.tolist() == TOKENS.tolist()
    assert collection.by_position.vocabulary == WORDS
    source, target = collection.stages[0].edges.T
    exact = output.adjacency[0][:, target, source, :, 0]
    np.testing.assert_allclose(collection.positions(0), exact, rtol=1e-5)


def test_positions_are_of_the_collections_network_and_samples(tmp_path: Path) -> None:
    model, images = some_model(PER_POSITION), some_images()
    collection = kept(tmp_path / "a", model, 7)
    pixels, labels = images.tensors
    others = TensorDataset(pixels, 2 - labels)
    memory = collect(model, images, classes=CLASSES)
    for of, network, samples, count, message in (
        (collection, model, images, 24, "1 to 23 samples, got 24"),
        (collection, some_model(wiring="er:p=0.3"), images, 8, "other wirings"),
        (collection, model, others, 8, "must be those of .*, got others"),
        (collection, model, some_images(22), 8, "must be the 23 of .*, got 22"),
        (memory, model, images, 8, "in memory"),
    ):
        with pytest.raises(DataError, match=message):
            keep_positions(of, network, samples, count)
    # What failed left what was there.
    assert open_collection(tmp_path / "a").by_position.samples == 7
    again = keep_positions(collection, model, images, 2)
    assert again.by_position.samples == len(again.positions(2)) == 2
    # Another collection takes their place.
    collect(model, images, tmp_path / "a", classes=CLASSES, overwrite=True)
    with pytest.raises(DataError, match="analyze RUN --positions"):
        _ = open_collection(tmp_path / "a").by_position


def test_all_samples_have_the_same_positions_and_known_tokens() -> None:
    model = token_network()
    plans = [stage.plan for stage in model.stages]
    long, short = token_outputs(model)[0], token_outputs(model, TOKENS[:, :3])[0]
    pairs = [(each.images, each.adjacency) for each in (long, short)]
    with pytest.raises(DataError, match="the same positions"):
        positions_of(pairs, plans)
    with pytest.raises(DataError, match="must hold tokens from 0 to 2, got 0 to 4"):
        positions_of(pairs[:1], plans, WORDS[:3])
    kept = positions_of(pairs[:1], plans, WORDS)
    with pytest.raises(DataError, match="must hold tokens from 0"):
        replace(kept, inputs=kept.inputs - 9)
    with pytest.raises(DataError, match=r"tokens, got inputs of shape \(6, 1\)"):
        _ = replace(kept, inputs=kept.inputs[..., None]).tokens


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "a"
    text_positions(folder)
    return folder


def arrays(**change: np.ndarray | None) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with np.load(path) as file:
            whole = {**file, **change}
        np.savez(path, **{k: v for k, v in whole.items() if v is not None})

    return damage


def words(*texts: object) -> np.ndarray:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


WEIGHTS = np.zeros((10, 6, 6), np.float32)
INPUTS = np.zeros((10, 6), np.int64)
OBJECTS = np.array([{"code": print}] * 10, dtype=object)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size - 5),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(pickle.dumps({"inputs": 1})),
        arrays(**{"stage-1": None}),
        arrays(**{"stage-2": WEIGHTS}),
        arrays(**{"stage-1": OBJECTS}),
        arrays(**{"stage-1": WEIGHTS[:, :-1]}),
        arrays(**{"stage-1": WEIGHTS.astype(np.float64)}),
        arrays(**{"stage-1": WEIGHTS[:0]}, inputs=INPUTS[:0]),
        arrays(**{"stage-1": WEIGHTS.repeat(2, 0)}, inputs=INPUTS.repeat(2, 0)),
        arrays(inputs=INPUTS - 1),
        arrays(inputs=INPUTS.astype(np.int32)),
        arrays(inputs=INPUTS[:, 0]),
        arrays(inputs=OBJECTS),
        arrays(vocabulary=words("a", "b")),
        arrays(vocabulary=words(*"abcd", "\ud800")),
        arrays(vocabulary=words(1, 2, 3, 4, 5)),
        arrays(vocabulary=np.frombuffer(b"[" * 100_000, np.uint8)),
    ],
)
def test_damaged_positions_are_one_line_and_run_nothing(
    text_folder: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(text_folder, tmp_path / "a")
    damage(tmp_path / "a" / "positions.npz")
    collection = open_collection(tmp_path / "a")  # the rest can be read
    with pytest.raises(DataError, match="positions.npz must hold") as caught:
        collection.positions(0)
    assert "\n" not in str(caught.value)
