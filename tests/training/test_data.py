"""Every data set is read, from small copies in its own format."""

import pickle
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.data import EMBEDDED, load_data
from ddw_graph.training.loading import batches
from ddw_graph.training.own_data import dataset_data
from ddw_graph.training.recipe import Recipe
from tests.training.idx import write_fashion_mnist
from tests.training.photographs import image_folder


@pytest.mark.usefixtures("all_images")
def test_the_embedded_images_are_balanced_and_normalised() -> None:
    data = load_data()
    for part, each in ((data.train, 300), (data.test, 200)):
        labels = part.tensors[1]  # type: ignore[attr-defined]
        assert torch.bincount(labels).tolist() == [each] * 10
    ((x, _),) = batches(data.train_inputs(), 3000)
    assert x.mean().abs() < 1e-4 and (x.std() - 1).abs() < 1e-3
    assert (EMBEDDED.parent / "LICENSE").read_text().count("MIT License") == 1


def test_the_embedded_images_are_the_first_of_the_full_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/usr/share/datasets/fashion-mnist")
    if not full.exists():
        pytest.skip("needs Debian's package dataset-fashion-mnist")
    script = Path(__file__).parents[2] / "tools" / "embedded_images.py"
    made = runpy.run_path(str(script))
    monkeypatch.setitem(made["main"].__globals__, "TARGET", tmp_path / "again.npz")
    made["main"](full)
    with np.load(tmp_path / "again.npz") as again, np.load(EMBEDDED) as embedded:
        assert set(again.files) == set(embedded.files)
        for key in again.files:
            np.testing.assert_array_equal(again[key], embedded[key])


def test_reads_fashion_mnist_and_names_a_damaged_one(tmp_path: Path) -> None:
    image = np.tile(np.arange(196, dtype=np.uint8), 4).reshape(28, 28)
    parts = {
        prefix: (np.stack([image] * count), np.arange(count, dtype=np.uint8) % 10)
        for prefix, count in (("train", 30), ("t10k", 10))
    }
    write_fashion_mnist(tmp_path, parts)
    data = load_data("fashion_mnist", root=tmp_path)
    assert data.sizes == (30, 10)
    assert (data.channels, data.image_size, len(data.classes)) == (1, 28, 10)
    assert data.test_inputs()[3][1] == 3
    labels = tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    whole = labels.read_bytes()
    for content, message in (
        (whole[:-1] + bytes([77]), r"must be in \[0, 10\), got 0 to 77"),
        (b"", "fashion_mnist could not be read below"),
        (whole[:4] + b"\xff" * 8, "fashion_mnist could not be read below"),
    ):
        labels.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_data("fashion_mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "files", "classes"), [("cifar10", 5, 10), ("cifar100", 1, 100)]
)
def test_reads_cifar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: int, classes: int
) -> None:
    from torchvision import datasets

    base: Any = getattr(datasets, name.upper())
    folder = tmp_path / base.base_folder
    folder.mkdir()
    key = "labels" if classes == 10 else "fine_labels"
    for file, _ in [*base.train_list, *base.test_list]:
        pixels = np.zeros((4, 3072), np.uint8)
        pixels[:, 1:1024] = 255  # red
        pixels[:, 1024::1024] = 9  # the first pixel of the others
        content = {"data": pixels, key: [0, 1, 2, 3]}
        (folder / file).write_bytes(pickle.dumps(content))
    names = {base.meta["key"]: [str(i) for i in range(classes)]}
    (folder / base.meta["filename"]).write_bytes(pickle.dumps(names))
    monkeypatch.setattr(base, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *a: True)
    data = load_data(name, root=tmp_path)
    assert data.sizes == (4 * files, 4)
    assert (data.channels, data.image_size, len(data.classes)) == (3, 32, classes)
    ((pixels, _),) = batches(data.test, 4)
    red, *others = pixels.unbind(1)
    assert (red.flatten(1)[:, 1:] == 255).all()
    assert all(other.sum() == 4 * 9 for other in others)


def test_a_constant_channel_is_named() -> None:
    pixels = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    pixels[:, 1] = 7
    own = TensorDataset(pixels, torch.tensor([0, 1, 0, 1]))
    for train in (own, Subset(own, [0, 1, 2])):
        with pytest.raises(DataError, match="got 7 everywhere in channel 1"):
            dataset_data(train, own)


class Drawn(Dataset[tuple[torch.Tensor, int]]):
    """Samples that are made when they are asked for, as users write them."""

    def __init__(self, kind: torch.dtype) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if not 0 <= index < 12:
            raise IndexError(index)
        values = torch.arange(3 * 8**2).view(3, 8, 8)
        return ((values * (index + 3)) % 251).to(self.kind), index % 3


def test_your_own_data_sets_of_floats_go_to_the_network_unchanged() -> None:
    own = Drawn(torch.float64)
    data = dataset_data(own, Subset(own, [1, 2]))
    assert data.classes == ("0", "1", "2") and data.transform is None
    assert (data.channels, data.image_size, data.sizes) == (3, 8, (12, 2))
    ((x, labels),) = batches(data.test_inputs(), 9)
    assert torch.equal(x, torch.stack([own[1][0], own[2][0]]))
    assert labels.tolist() == [1, 2]
    with pytest.raises(DataError, match="augment needs 8-bit images"):
        data.train_inputs(Recipe())
    other = dataset_data(Subset(own, [0, 1, 2]), own)
    assert other.digest != data.digest == dataset_data(own, Subset(own, [1, 2])).digest


def test_your_own_data_sets_of_bytes_are_normalised_like_arrays() -> None:
    own = Drawn(torch.uint8)
    arrays = TensorDataset(
        torch.stack([own[i][0] for i in range(12)]), torch.arange(12) % 3
    )
    found, wanted = (dataset_data(part, part) for part in (own, arrays))
    assert found.transform == wanted.transform


class Same(Dataset[Any]):
    """One sample several times."""

    def __init__(self, image: Any, label: Any = 0, count: int = 3) -> None:
        self.sample, self.count = (image, label), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.sample


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Same(torch.zeros(3, 8, 8), count=0), "must have at least one image, got none"),
        (Same(torch.zeros(3, 8, 6)), r"\(channels, size, size\) .* \(3, 8, 6\)"),
        (Same(torch.zeros(3, 8, 8).long()), "got torch.int64"),
        (Same(torch.zeros(3, 8, 8).byte()), r"alike, got torch.uint8 .* after .*float"),
        (Same(torch.zeros(1, 8, 8)), r"alike, got .* \(1, 8, 8\) after .* \(3, 8, 8\)"),
        (Same(Image.new("L", (8, 8))), "tensor and its class, got .'Image', 'int'.;"),
        (Same(torch.zeros(3, 8, 8), "cat"), "must be an integer .*, got 'cat'"),
        (Same(torch.zeros(3, 8, 8), torch.tensor(1).int()), "got torch.int32"),
        (Same(torch.zeros(3, 8, 8), 3), r"must be in \[0, 3\), got 3 to 3"),
    ],
)
def test_samples_of_another_kind_are_refused(part: Same, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset_data(Drawn(torch.float32), part)


def test_data_of_the_same_name_has_another_digest(tmp_path: Path) -> None:
    first, again = (
        load_data("folder", root=image_folder(tmp_path / name), image_size=24)
        for name in "ab"
    )
    assert (first.classes, first.channels, first.image_size) == (("a", "b"), 3, 24)
    ((x, labels),) = batches(first.test_inputs(), 4)
    assert x.shape == (4, 3, 24, 24) and labels.tolist() == [0, 0, 1, 1]
    assert first.as_dict() == again.as_dict()
    Image.new("RGB", (9, 9)).save(tmp_path / "b" / "val" / "a" / "2.png")
    other = load_data("folder", root=tmp_path / "b", image_size=24)
    assert other.digest != first.digest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, "fashion_mnist_mini, text, fashion_mnist, cifar10"),
        ({"name": "cifar10"}, "must have a root folder, got root=None"),
        ({"root": Path("x")}, "has no root"),
        ({"name": "cifar10", "root": Path("nowhere")}, "not be read below nowhere"),
        ({"image_size": 8}, "image_size=8 is for data folder and shards, got fashion"),
        ({"bad_images": "skip"}, "skip is for data folder and shards, got fashion"),
        ({"download": True}, "is for data fashion_mnist and .*, got fashion_mnist_min"),
        ({"name": "text", "per_class": 3}, "per_class=3 is for data"),
    ],
)
def test_names_what_it_rejects(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(**arguments)
