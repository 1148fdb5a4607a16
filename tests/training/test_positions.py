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
    token_positions,
)

PER_POSITION = "dynamic:per=position,router_std=1,bias=0"


def kept(folder: Path, model: Network, count: int, batch_size: int = 250) -> Collection:
    """Returns the collection of 23 images with the positions of the first ones."""
    images = some_images()
    collection = collect(model, images, folder, classes=CLASSES, batch_size=batch_size)
    return keep_positions(collection, model, images, count, batch_size=batch_size)


@pytest.mark.parametrize("edges", [PER_POSITION, "attention", "learned"])
def test_the_means_that_are_streamed_are_those_of_the_positions(
    tmp_path: Path, edges: str
) -> None:
    model, images = some_model(edges), some_images().tensors[0]
    collection = kept(tmp_path / "a", model, 7)
    with torch.no_grad():
        _, adjacency = model(images[:7], return_adjacency=True)
    assert collection.by_position.samples == 7
    np.testing.assert_array_equal(collection.by_position.inputs, images[:7])
    for place, matrix in enumerate(adjacency):
        weights = collection.positions(place)
        source, target = collection.stages[place].edges.T
        positions = matrix.shape[4:] if matrix[0, 0, 0].numel() > 1 else ()
        exact = matrix[:, target, source].reshape(7, len(source), *positions)
        np.testing.assert_allclose(weights, exact, rtol=1e-5)
        means = weights.reshape(7, len(source), -1).mean(2)
        np.testing.assert_allclose(collection.weights(place)[:7], means, rtol=1e-5)
    weights = collection.positions(0)
    assert (weights.ndim == 4) == (edges != "learned")
    varies = np.ptp(weights.reshape(7, weights.shape[1], -1), 2) > 0
    assert varies.any() == (edges == PER_POSITION)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_the_size_of_batches_does_not_matter(tmp_path: Path, batch_size: int) -> None:
    model = some_model(PER_POSITION)
    one = kept(tmp_path / "a", model, 7)
    other = kept(tmp_path / "b", model, 7, batch_size)
    np.testing.assert_allclose(one.rows(), other.rows(), rtol=1e-4)
    for place in range(3):
        found = other.positions(place)
        np.testing.assert_allclose(one.positions(place), found, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 4, 10])
def test_tokens_are_kept_with_their_weights(tmp_path: Path, batch: int) -> None:
    collection = text_positions(tmp_path / "a", batch)
    (output,) = token_outputs(token_network(), batch=10)
    assert collection.by_position.tokens.tolist() == TOKENS.tolist()
    assert collection.by_position.vocabulary == WORDS
    source, target = collection.stages[0].edges.T
    exact = output.adjacency[0][:, target, source, :, 0]
    np.testing.assert_allclose(collection.positions(0), exact, rtol=1e-5)
    means = collection.positions(0).mean(2)
    np.testing.assert_allclose(collection.weights(0), means, rtol=1e-5)


def test_what_a_model_returned_has_positions_in_memory(tmp_path: Path) -> None:
    model = some_model(PER_POSITION)
    images, labels = some_images().tensors
    with torch.no_grad():
        _, adjacency = model(images, return_adjacency=True)
    found = collection_of(adjacency, model, labels=labels, inputs=images)
    folder = kept(tmp_path / "a", model, 23)
    for place in range(3):
        np.testing.assert_allclose(
            found.positions(place), folder.positions(place), rtol=1e-5
        )
    with pytest.raises(DataError, match="inputs .* 23 samples, got 3"):
        collection_of(adjacency, model, inputs=images[:3])
    with pytest.raises(DataError, match=r"tokens, got inputs of shape \(1, 8, 8\)"):
        _ = found.by_position.tokens
    bare = collection_of(adjacency, model)
    with pytest.raises(DataError, match="analyze RUN --positions") as caught:
        bare.positions(0)
    assert "\n" not in str(caught.value)


def test_positions_are_of_the_collections_network_and_samples(tmp_path: Path) -> None:
    model, images = some_model(PER_POSITION), some_images()
    collection = kept(tmp_path / "a", model, 7)
    with pytest.raises(DataError, match="1 to 23 samples, got 24"):
        keep_positions(collection, model, images, 24)
    with pytest.raises(DataError, match="other wirings"):
        keep_positions(collection, some_model(wiring="er:p=0.3"), images)
    pixels, labels = images.tensors
    others = TensorDataset(pixels, 2 - labels)
    with pytest.raises(DataError, match="must be those of .*, got others"):
        keep_positions(collection, model, others)
    with pytest.raises(DataError, match="must be the 23 of .*, got 22"):
        keep_positions(collection, model, some_images(22))
    memory = collect(model, images, classes=CLASSES)
    with pytest.raises(DataError, match="in memory"):
        keep_positions(memory, model, images)
    # What failed left what was there.
    assert open_collection(tmp_path / "a").by_position.samples == 7
    assert not list((tmp_path / "a").glob(".*"))
    again = keep_positions(collection, model, images, 2)
    assert again.by_position.samples == len(again.positions(2)) == 2
    # Another collection takes their place.
    collect(model, images, tmp_path / "a", classes=CLASSES, overwrite=True)
    with pytest.raises(DataError, match="analyze RUN --positions"):
        _ = open_collection(tmp_path / "a").by_position
    assert not list((tmp_path / "a").glob("positions*"))


def test_all_samples_have_the_same_positions_and_known_tokens() -> None:
    model = token_network()
    long, short = token_outputs(model)[0], token_outputs(model, TOKENS[:, :3])[0]
    pairs = [(each.images, each.adjacency) for each in (long, short)]
    with pytest.raises(DataError, match="the same positions"):
        positions_of(pairs, [stage.plan for stage in model.stages])
    with pytest.raises(DataError, match="must hold tokens from 0 to 2, got 0 to 4"):
        token_positions(model, words=WORDS[:3])
    kept = token_positions(model)
    with pytest.raises(DataError, match="must hold tokens from 0"):
        replace(kept, inputs=kept.inputs - 9)


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


WEIGHTS = np.zeros((10, 6, 6), np.float32)
INPUTS = np.zeros((10, 6), np.int64)
OBJECTS = np.array([{"code": print}] * 10, dtype=object)


def words(*texts: object) -> np.ndarray:
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size - 5),
        lambda path: os.truncate(path, 0),
        lambda path: path.write_bytes(pickle.dumps({"inputs": 1})),
        arrays(**{"stage-1": None}),
        arrays(**{"stage-2": WEIGHTS}),
        arrays(**{"stage-1": OBJECTS}),
        arrays(**{"stage-1": WEIGHTS[:-1]}),
        arrays(**{"stage-1": WEIGHTS[:, :-1]}),
        arrays(**{"stage-1": WEIGHTS.astype(np.float64)}),
        arrays(**{"stage-1": WEIGHTS[:0]}, inputs=INPUTS[:0]),
        arrays(
            **{"stage-1": np.concatenate([WEIGHTS] * 2)},
            inputs=INPUTS[:1].repeat(20, 0),
        ),
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
