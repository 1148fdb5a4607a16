"""Weights by position are those that the network returned, from a checked folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from ddw_graph.analysis.collect import collect, keep_positions
from ddw_graph.errors import DataError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.training.collecting import CollectionWriter, collection_of
from ddw_graph.training.collection import Collection, open_collection
from ddw_graph.training.position_writer import position_writer
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
    assert open_collection(tmp_path / "a").kept is None
    assert not list((tmp_path / "a").glob("positions*"))
    assert not (tmp_path / "a" / "inputs.npy").exists()


def test_all_samples_have_the_same_positions_and_known_tokens(tmp_path: Path) -> None:
    model = token_network()
    long, short = token_outputs(model)[0], token_outputs(model, TOKENS[:, :3])[0]
    with pytest.raises(DataError, match="the same positions"):
        with position_writer(tmp_path, model) as writer:
            writer.add(long)
            writer.add(short)
    for outputs, words in (
        (long, WORDS[:3]),
        (long._replace(images=long.images - 9), ()),
    ):
        with pytest.raises(DataError, match="must hold tokens from 0"):
            with position_writer(tmp_path, model, words) as writer:
                writer.add(outputs)
    assert not list(tmp_path.iterdir())


def changed(**change: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | change)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-9],
        lambda _: "[" * 100_000,
        lambda _: "[]",
        changed(version=9),
        changed(samples=11),
        changed(samples=9),
        changed(samples=0),
        changed(samples=float("inf")),
        changed(positions=[]),
        changed(positions=[[6], [6]]),
        changed(positions=[[7]]),
        changed(positions=[[-6]]),
        changed(positions=[["x"]]),
        changed(positions=[[10**30]]),
        changed(positions=6),
        changed(input=[]),
        changed(input=[5]),
        changed(is_integer=False),
        changed(vocabulary=["\ud800"]),
        changed(vocabulary=["a", "b"]),
        changed(vocabulary=7),
    ],
)
def test_damaged_shapes_are_one_line(
    text_folder: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    for path in text_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / "positions.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match="must hold") as caught:
        open_collection(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "a"
    text_positions(folder)
    return folder


def test_positions_are_of_no_more_samples_than_there_are(tmp_path: Path) -> None:
    model = token_network()
    (few,) = token_outputs(model, TOKENS[:4])
    with CollectionWriter(tmp_path / "a", model, cost(model)) as writer:
        writer.add(few)
    with position_writer(tmp_path / "a", model) as positions:
        for output in token_outputs(model):
            positions.add(output)
    with pytest.raises(DataError, match="do not fit the collection"):
        open_collection(tmp_path / "a")


@pytest.mark.parametrize("name", ["positions-1.npy", "inputs.npy"])
def test_damaged_positions_are_one_line_and_run_nothing(
    text_folder: Path, tmp_path: Path, name: str
) -> None:
    for path in text_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    array = tmp_path / name
    whole, good = array.read_bytes(), np.load(array)
    objects = np.array([{"code": print}], dtype=object)
    damages: list[Callable[[], object]] = [
        lambda: os.truncate(array, len(whole) - 5),
        lambda: os.truncate(array, 0),
        lambda: np.save(array, objects, allow_pickle=True),
        lambda: np.save(array, good[:-1]),
        lambda: np.save(array, good.astype(np.float64)),
        lambda: array.write_bytes(whole.replace(b"(10, ", b"(" + b"9" * 17 + b", ")),
        lambda: array.unlink(),
    ]
    if name == "inputs.npy":
        damages.append(lambda: np.save(array, good - 1))
    for damage in damages:
        array.write_bytes(whole)
        damage()
        with pytest.raises(DataError, match=f"{name} must hold") as caught:
            open_collection(tmp_path)
        assert "\n" not in str(caught.value)
