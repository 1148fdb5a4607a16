"""A collection is what the network returned, in memory and from a folder."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from ddw_graph import Stage, create_model
from ddw_graph.errors import DataError, ModelError
from ddw_graph.generators import complete
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.collecting import collection_of, from_rows, sample_rows
from ddw_graph.training.collection import COLUMNS, Collection, open_collection
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.world import World
from tests.training.text import TOKENS, text_collection, token_network, token_outputs

CLASSES = ("a", "b", "c")
IMAGES = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10) % 3
DYNAMIC = "dynamic:router_std=1,bias=0"


def network(edges: str = DYNAMIC) -> Network:
    torch.manual_seed(0)
    model: Network = create_model(
        "randwire_tiny",
        wiring="complete",
        edges=edges,
        n=3,
        channels=4,
        num_classes=3,
        in_channels=1,
    )
    return model


def written(folder: Path, model: Network) -> Collection:
    price = cost(model, 8)
    batches = zip(torch.split(IMAGES, 4), torch.split(LABELS, 4), strict=True)
    rows = (sample_rows(output, model, price) for output in outputs(model, batches))
    from_rows(rows, model, price, CLASSES).write(folder)
    return open_collection(folder)


@pytest.mark.parametrize("edges", [DYNAMIC, "dynamic:per=position", "learned"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_folder_holds_what_the_network_returned(
    tmp_path: Path, edges: str, dtype: torch.dtype
) -> None:
    model = network(edges).to(dtype)
    one = written(tmp_path / "run" / "analysis", model)
    assert all(array.dtype == np.float32 for array in one.arrays)
    assert open_collection(tmp_path / "run").folder == one.folder  # within its run
    with torch.no_grad():
        logits, adjacency = model.eval()(IMAGES.to(dtype), return_adjacency=True)
    other = collection_of(
        adjacency, model, logits=logits, labels=LABELS, classes=CLASSES, image_size=8
    )
    assert (one.samples, one.classes) == (other.samples, other.classes)
    assert one.other_macs == other.other_macs > 0
    if dtype == torch.bfloat16:  # in which batches of other sizes differ visibly
        return
    for place, (stage, twin) in enumerate(zip(one.stages, other.stages, strict=True)):
        for value, same in zip(vars(stage).values(), vars(twin).values(), strict=True):
            np.testing.assert_array_equal(value, same)
        np.testing.assert_allclose(
            one.weights(place), other.weights(place), rtol=1e-4, atol=1e-6
        )
    for name in COLUMNS:
        np.testing.assert_allclose(one.column(name), other.column(name), rtol=1e-4)


def test_what_is_there_is_replaced_when_asked_and_only_that(tmp_path: Path) -> None:
    collection = written(tmp_path / "a", network())
    for name in ("samples.parquet", "positions.npz", "stage-9.npy", "mine.txt"):
        (tmp_path / "a" / name).touch()
    with pytest.raises(DataError, match="exists; replace it with --overwrite"):
        collection.write(tmp_path / "a")
    with pytest.raises(DataError, match="needs a folder, got the file"):
        collection.write(tmp_path / "a" / "mine.txt", overwrite=True)
    collection.write(tmp_path / "a", overwrite=True)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    stages = {f"stage-{place}.npy" for place in (1, 2, 3)}
    assert names == {"collection.json", "samples.csv", "mine.txt", *stages}
    np.testing.assert_array_equal(
        open_collection(tmp_path / "a").rows(), collection.rows()
    )


def test_samples_must_have_what_a_collection_keeps() -> None:
    model, text = network(), token_network()
    (images,) = outputs(model, [IMAGES])
    with pytest.raises(DataError, match="samples and labels"):
        sample_rows(images, model, cost(model, 8))
    (windows,), (labelled,) = (
        token_outputs(text, batch=10),
        outputs(model, [(IMAGES, LABELS)]),
    )
    for output, of, classes, message in (
        (windows, text, CLASSES, "with classes needs label .*, got 2 numbers"),
        (labelled, model, (), "without classes needs loss .*, got 4 numbers"),
    ):
        price = cost(of, 8)
        with pytest.raises(DataError, match=message):
            from_rows([sample_rows(output, of, price)], of, price, classes)


def test_samples_without_classes_have_losses_only(tmp_path: Path) -> None:
    collection = text_collection(tmp_path / "a")
    assert (collection.samples, collection.classes) == (10, ())
    assert list(collection.columns) == ["loss", "expected_macs"]
    (output,) = token_outputs(token_network(), batch=10)
    assert output.labels is not None
    chosen = output.logits.log_softmax(-1).gather(2, output.labels[..., None])
    losses = -chosen[..., 0].double().mean(1)
    np.testing.assert_allclose(collection.column("loss"), losses, rtol=1e-5)
    means = output.adjacency[0][:, 1:, 0].mean((2, 3))
    np.testing.assert_allclose(collection.weights(0)[:, :3], means, rtol=1e-5)
    with pytest.raises(DataError, match="have no classes"):
        collection.column("label")


@dataclass(frozen=True)
class Share(World):
    """One of several processes that run one after another, the last one first."""

    totals: dict[torch.Size, torch.Tensor] = field(default_factory=dict)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        values += self.totals.get(values.shape, torch.zeros(()))
        self.totals[values.shape] = values.clone()
        return values


@pytest.mark.parametrize("size", [1, 2, 4])
def test_several_processes_write_what_one_does(tmp_path: Path, size: int) -> None:
    model = token_network()
    totals: dict[torch.Size, torch.Tensor] = {}
    windows = TensorDataset(TOKENS, TOKENS.roll(-1, 1))
    for rank in reversed(range(size)):
        world = Share(rank, size, totals=totals)
        evaluate(model, windows, batch_size=4, world=world, collection=tmp_path / "a")
    found, alone = open_collection(tmp_path / "a"), text_collection(tmp_path / "b")
    np.testing.assert_allclose(found.rows(), alone.rows(), rtol=1e-5)
    for name in ("loss", "expected_macs"):
        np.testing.assert_allclose(found.column(name), alone.column(name), rtol=1e-5)


def test_a_user_gives_what_is_known() -> None:
    stage = Stage(complete(2), 4, 4, edges="dynamic")
    _, adjacency = stage(torch.rand(5, 4, 6, 6), return_adjacency=True)
    collection, labels = collection_of(adjacency, stage), torch.tensor([0, 2, 1, 0, 0])
    assert (collection.samples, collection.classes) == (5, ())
    with pytest.raises(DataError, match="label"):
        collection.column("label")
    labelled = collection_of(adjacency, stage, labels=labels)
    assert labelled.classes == ("0", "1", "2")
    assert labelled.column("label").tolist() == labels.tolist()
    with pytest.raises(DataError, match="labels .* 5 samples, got 4"):
        collection_of(adjacency, stage, labels=labels[:4])
    with pytest.raises(DataError, match="from 0 to 1, got 2 as label"):
        collection_of(adjacency, stage, labels=labels, classes=("a", "b"))
    with pytest.raises(ModelError, match="image_size"):
        collection_of(adjacency, stage, image_size=6)
    assert collection_of(adjacency[:0], stage).samples == 0


STAGE = {
    **{"nodes": 3, "edges": [[0, 1]], "constant": [False]},
    **{"node_macs": [0, 1, 0], "edge_macs": [1]},
}
HEADER = ",".join(COLUMNS) + "\n"


def changed(**change: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("collection.json", lambda text: text[:-9]),
        ("collection.json", lambda _: "[" * 100_000),
        ("collection.json", lambda _: "[]"),
        ("collection.json", changed(version=9)),
        ("collection.json", changed(samples=float("inf"))),
        ("collection.json", changed(samples=9)),
        ("collection.json", changed(stages=[])),
        ("collection.json", changed(classes=["a", "b"])),
        ("collection.json", changed(classes=["a", "b", "\ud800"])),
        ("collection.json", changed(stages=[STAGE | {"edges": [[0, 9]]}])),
        ("collection.json", changed(stages=[STAGE | {"edges": [[0, 10**30]]}])),
        ("collection.json", changed(stages=[STAGE | {"nodes": 10**9}])),
        ("collection.json", changed(stages=[STAGE | {"edge_macs": []}])),
        ("samples.csv", lambda _: ""),
        ("samples.csv", lambda text: text[: len(text) // 2]),
        ("samples.csv", lambda text: text + text),
        ("samples.csv", lambda _: "loss,expected_macs\n" + "1,1\n" * 10),
        ("samples.csv", lambda _: HEADER + "7,0,1,1\n" * 10),
        ("samples.csv", lambda _: HEADER + "0.5,0,1,1\n" * 10),
        ("samples.csv", lambda _: HEADER + "0,0,nan,1\n" * 10),
        ("samples.csv", lambda _: HEADER + "0,x,1,1\n" * 10),
        ("samples.csv", lambda _: HEADER + "0,0,1\n" * 10),
        ("samples.csv", lambda _: "\udcff"),
    ],
)
def test_damage_is_one_line(
    tmp_path: Path, name: str, change: Callable[[str], str]
) -> None:
    written(tmp_path / "a", network())
    path = tmp_path / "a" / name
    path.write_text(change(path.read_text()), errors="surrogateescape")
    with pytest.raises(DataError, match=r"must hold") as caught:
        open_collection(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_damaged_arrays_are_one_line_and_run_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    written(folder, network())
    array = folder / "stage-2.npy"
    whole = array.read_bytes()
    objects = np.array([{"code": print}], dtype=object)
    for damage in (
        lambda: os.truncate(array, len(whole) - 5),
        lambda: os.truncate(array, 60),
        lambda: os.truncate(array, 0),
        lambda: np.save(array, objects, allow_pickle=True),
        lambda: np.save(array, np.zeros((2, 2), np.float32)),
        lambda: np.save(array, np.load(folder / "stage-1.npy").astype(np.float64)),
        lambda: array.write_bytes(whole.replace(b"(10, ", b"(" + b"9" * 17 + b", ")),
        lambda: array.unlink(),
    ):
        array.write_bytes(whole)
        damage()
        with pytest.raises(DataError, match=r"stage-2.npy must hold") as caught:
            open_collection(folder)
        assert "\n" not in str(caught.value)
