"""Subsets hold as many images of each class, and are the same for every run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.data import load_data
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.keys import Key
from ddw_graph.training.loading import batches, training_batches
from ddw_graph.training.subsets import (
    balanced,
    holdout_split,
    labels_of,
    own_order,
    spread_over_classes,
)
from ddw_graph.training.transform import Inputs
from tests.training.photographs import image_folder, shards

LABELS = st.lists(st.integers(0, 2), min_size=0, max_size=40).map(
    lambda more: torch.tensor([0, 1, 2, 0, 1, 2, *more])
)
CLASSES = ["cat", "dog", "cow"]


@given(LABELS, st.integers(1, 60))
def test_subsets_have_as_many_of_each_class(labels: torch.Tensor, count: int) -> None:
    counts = torch.bincount(labels).tolist()
    rest, held = holdout_split(labels, CLASSES, 3)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert torch.bincount(labels[held], minlength=3).tolist() == [1, 1, 1]
    assert rest.tolist() == sorted(rest.tolist())
    before: set[int] = set()
    for each in range(1, min(counts) + 1):
        chosen = balanced(labels, CLASSES, each).tolist()
        assert torch.bincount(labels[chosen]).tolist() == [each] * 3
        assert before < set(chosen)
        assert spread_over_classes(labels, 3 * each).tolist() == chosen
        before = set(chosen)
    spread = spread_over_classes(labels, count).tolist()
    assert len(set(spread)) == min(count, len(labels)) and spread == sorted(spread)
    taken = torch.bincount(labels[spread], minlength=3).tolist()
    for some, whole in zip(taken, counts, strict=True):
        assert some == whole or some >= max(taken) - 1


def test_draws_are_the_same_in_every_release() -> None:
    labels = torch.arange(30) % 3
    assert balanced(labels, CLASSES, 2).tolist() == [2, 3, 19, 22, 27, 29]
    assert holdout_split(labels, CLASSES, 6)[1].tolist() == [1, 8, 9, 18, 22, 26]


@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_class": 301}, r"in \[1, 300\], the images of 'T-shirt/top', got 301"),
        ({"per_class": 251, "holdout": 500}, r"in \[1, 250\]"),
        ({"holdout": 15}, "multiple of the 10 classes, got 15"),
        ({"holdout": -10}, "holdout must be at least 0, got -10"),
        ({"holdout": 3000}, "leave an image of every class, got 3000, and 300 of"),
    ],
)
def test_names_what_it_rejects(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(**options)


def pixels(images: Dataset[Any]) -> set[bytes]:
    return {x.numpy().tobytes() for batch, _ in batches(images, 9) for x in batch}


@pytest.mark.parametrize("write", [image_folder, shards])
def test_every_set_can_be_cut(tmp_path: Path, write: Any) -> None:
    kind = "shards" if write is shards else "folder"

    def load(**options: Any) -> ImageData:
        return load_data(kind, root=tmp_path, image_size=24, **options)

    write(tmp_path)
    whole, cut, rest = load(), load(per_class=2, holdout=4), load(holdout=4)
    for part in (cut.train, cut.test):
        labels = labels_of(part)
        assert labels is not None and torch.bincount(labels).tolist() == [2, 2]
    train, test = pixels(cut.train_inputs()), pixels(cut.test_inputs())
    assert len(train) == len(test) == 4 and not train & test
    assert (train | test) <= pixels(whole.train_inputs())
    assert not test & pixels(whole.test_inputs())
    # Whatever is chosen of the rest.
    assert pixels(rest.test_inputs()) == test
    more = load(per_class=2), load(per_class=3)
    described = [data.as_dict() for data in (whole, cut, rest, *more)]
    assert len({each["digest"] for each in described}) == 5
    assert not {"holdout", "per_class"} & set(described[0])
    assert (described[1]["holdout"], described[1]["per_class"]) == (4, 2)


def test_a_subset_of_shards_keeps_their_order(tmp_path: Path) -> None:
    images = load_data("shards", root=shards(tmp_path), image_size=24)
    some = Subset(Subset(images.train, range(1, 18)), range(1, 17, 2))
    key = Key(0, 1)
    order = own_order(images.train, key)
    assert order is not None
    wanted = [index for index in order.tolist() if index in range(2, 18, 2)]
    dataset = Inputs(some, images.transform)
    labels = torch.cat([y for (_, y), _ in training_batches(dataset, 4, key)])
    whole = labels_of(images.train)
    assert whole is not None and torch.equal(labels, whole[wanted])


def test_labels_are_found_in_any_data_set(tmp_path: Path) -> None:
    labels = torch.tensor([2, 0, 1, 1])
    pairs = TensorDataset(torch.zeros(4, 1), labels)

    class Read(Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return pairs[index]

    folder = load_data("folder", root=image_folder(tmp_path)).train
    for dataset, wanted in (
        (pairs, labels),
        (Read(), labels),
        (Subset(Read(), [3, 0]), labels[[3, 0]]),
        (folder, torch.arange(2).repeat_interleave(6)),
    ):
        found = labels_of(dataset)
        assert found is not None and torch.equal(found, wanted)
    assert labels_of(Read(), read=False) is None
    assert labels_of(TensorDataset(torch.zeros(4))) is None
    assert labels_of(TensorDataset(torch.zeros(4), torch.zeros(4))) is None
