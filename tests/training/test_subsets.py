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
    held_out,
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


@given(LABELS)
def test_held_out_and_rest_are_the_set_without_overlap(labels: torch.Tensor) -> None:
    rest, held = held_out(labels, CLASSES, 3)
    assert sorted([*rest.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert torch.bincount(labels[held], minlength=3).tolist() == [1, 1, 1]
    assert rest.tolist() == sorted(rest.tolist())


@given(LABELS)
def test_a_subset_is_balanced_and_lies_within_larger_ones(labels: torch.Tensor) -> None:
    fewest = int(torch.bincount(labels).min())
    before: set[int] = set()
    for count in range(1, fewest + 1):
        chosen = balanced(labels, CLASSES, count)
        assert torch.bincount(labels[chosen]).tolist() == [count] * 3
        assert before < set(chosen.tolist())
        before = set(chosen.tolist())


def test_draws_are_what_they_were_in_every_release() -> None:
    labels = torch.arange(30) % 3
    assert balanced(labels, CLASSES, 2).tolist() == [2, 3, 19, 22, 27, 29]
    assert held_out(labels, CLASSES, 6)[1].tolist() == [1, 8, 9, 18, 22, 26]
    assert spread_over_classes(labels, 6).tolist() == [2, 3, 19, 22, 27, 29]


@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_class": 301}, r"in \[1, 300\], the images of 'T-shirt/top', got 301"),
        ({"per_class": -1}, "got -1"),
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


def counts(images: Dataset[Any]) -> list[int]:
    labels = labels_of(images)
    assert labels is not None
    return torch.bincount(labels).tolist()


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_every_set_can_be_cut(tmp_path: Path, kind: str) -> None:
    write = image_folder if kind == "folder" else shards

    def load(**options: Any) -> ImageData:
        return load_data(kind, root=tmp_path, image_size=24, **options)

    write(tmp_path)
    whole, cut = load(), load(per_class=2, holdout=4)
    assert counts(cut.train) == counts(cut.test) == [2, 2]
    train, test = pixels(cut.train_inputs()), pixels(cut.test_inputs())
    assert len(train) == len(test) == 4 and not train & test
    assert (train | test) <= pixels(whole.train_inputs())
    assert not test & pixels(whole.test_inputs())
    # Whatever is chosen of the rest.
    assert pixels(load(holdout=4).test_inputs()) == test
    described = [
        data.as_dict()
        for data in (whole, cut, load(holdout=4), load(per_class=2), load(per_class=3))
    ]
    assert len({each["digest"] for each in described}) == 5
    assert "holdout" not in described[0] and "per_class" not in described[0]
    assert (described[1]["holdout"], described[1]["per_class"]) == (4, 2)
    assert cut.as_dict() == load(per_class=2, holdout=4).as_dict()


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
    assert own_order(Subset(TensorDataset(labels), [0]), key) is None


def test_labels_are_found_in_any_data_set(tmp_path: Path) -> None:
    labels = torch.tensor([2, 0, 1, 1])
    held = TensorDataset(torch.zeros(4, 1), labels)

    class Read(Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return held[index]

    folder = load_data("folder", root=image_folder(tmp_path)).train
    for dataset, wanted in (
        (held, labels),
        (Read(), labels),
        (Subset(Read(), [3, 0]), labels[[3, 0]]),
        (folder, torch.arange(2).repeat_interleave(6)),
    ):
        found = labels_of(dataset)
        assert found is not None and torch.equal(found, wanted)
    assert labels_of(Read(), read=False) is None
    assert labels_of(TensorDataset(torch.zeros(4))) is None
    assert labels_of(TensorDataset(torch.zeros(4), torch.zeros(4))) is None


@given(LABELS, st.integers(1, 60))
def test_a_spread_holds_so_many_images_and_of_each_class_as_many_as_can_be(
    labels: torch.Tensor, count: int
) -> None:
    chosen = spread_over_classes(labels, count)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    assert chosen.tolist() == sorted(chosen.tolist())
    there = torch.bincount(labels, minlength=3)
    taken = torch.bincount(labels[chosen], minlength=3)
    for some, all_of_it in zip(taken.tolist(), there.tolist(), strict=True):
        assert some == all_of_it or some >= max(taken.tolist()) - 1
    each, rest = divmod(count, 3)
    if not rest and each <= min(there.tolist()):
        assert chosen.tolist() == balanced(labels, CLASSES, each).tolist()
