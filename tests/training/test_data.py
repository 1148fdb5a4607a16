"""Every data set is read, from small copies in its own format."""

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import Augmentation
from ddw_graph.training.data import EMBEDDED, load_data
from ddw_graph.training.folder import ImageFolder
from ddw_graph.training.loading import batches
from ddw_graph.training.own_data import array_data, dataset_data
from ddw_graph.training.subsets import labels_of
from tests.training.idx import write_fashion_mnist


@pytest.mark.usefixtures("all_images")
def test_the_embedded_images_are_balanced_and_normalised() -> None:
    data = load_data()
    for part, each in ((data.train, 300), (data.test, 200)):
        labels = labels_of(part)
        assert labels is not None and torch.bincount(labels).tolist() == [each] * 10
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


def fashion_mnist(root: Path) -> None:
    image = np.tile(np.arange(196, dtype=np.uint8), 4).reshape(28, 28)
    write_fashion_mnist(
        root,
        {
            prefix: (np.stack([image] * count), np.arange(count, dtype=np.uint8) % 10)
            for prefix, count in (("train", 30), ("t10k", 10))
        },
    )


def test_reads_fashion_mnist(tmp_path: Path) -> None:
    fashion_mnist(tmp_path)
    data = load_data("fashion_mnist", root=tmp_path)
    assert data.sizes == (30, 10)
    assert (data.channels, data.image_size, len(data.classes)) == (1, 28, 10)
    assert data.test_inputs()[3][1] == 3


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
    assert (red.flatten(1)[:, 1:] == 255).all() and all(
        other.sum() == 4 * 9 for other in others
    )


def test_a_damaged_set_is_named(tmp_path: Path) -> None:
    fashion_mnist(tmp_path)
    raw = tmp_path / "FashionMNIST" / "raw"
    labels = (raw / "t10k-labels-idx1-ubyte").read_bytes()
    (raw / "t10k-labels-idx1-ubyte").write_bytes(labels[:-1] + bytes([77]))
    with pytest.raises(DataError, match=r"must be in \[0, 10\), got 0 to 77"):
        load_data("fashion_mnist", root=tmp_path)
    for content in (b"", b"garbage", labels[:4] + b"\xff" * 8):
        (raw / "t10k-labels-idx1-ubyte").write_bytes(content)
        with pytest.raises(DataError, match="fashion_mnist could not be read below"):
            load_data("fashion_mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.float(), y), r"must be uint8 .* got torch.float32 \(4, 1, 8"),
        (lambda x, y: (x[:, 0], y), r"\(images, channels, .* got .* \(4, 8, 8\)"),
        (lambda x, y: (x[..., :6], y), r"alike, .* got torch.uint8 \(1, 8, 6\)"),
        (lambda x, y: (x.expand(4, 3, 8, 8), y), r"alike, .* got .* \(3, 8, 8\)"),
        (lambda x, y: (x, y.int()), "int64 labels .* and torch.int32"),
        (lambda x, y: (x, y[:3]), r"and torch.int64 \(3,\)"),
        (lambda x, y: (x, y - 1), r"labels of mine must be in \[0, 2\), got -1 to 0"),
        (lambda x, y: (x[:0], y[:0]), "mine must have at least one image, got none"),
    ],
)
def test_images_in_memory_must_fit_each_other(
    change: Callable[..., tuple[torch.Tensor, torch.Tensor]], message: str
) -> None:
    right = torch.arange(256).view(4, 1, 8, 8).byte(), torch.tensor([0, 0, 1, 1])
    assert array_data("mine", right, right, ("a", "b")).image_size == 8
    with pytest.raises(DataError, match=message):
        array_data("mine", right, change(*right), ("a", "b"))


def test_a_constant_channel_is_named() -> None:
    pixels = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    pixels[:, 1] = 7
    own = TensorDataset(pixels, torch.tensor([0, 1, 0, 1]))
    for train in (own, Subset(own, [0, 1, 2])):
        with pytest.raises(DataError, match="got 7 everywhere in channel 1"):
            dataset_data(train, own)


class Drawn(Dataset[tuple[torch.Tensor, int]]):
    """Samples that are made when they are asked for, as users write them."""

    def __init__(self, kind: torch.dtype, size: int = 8) -> None:
        self.kind, self.size = kind, size

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if not 0 <= index < 12:
            raise IndexError(index)
        values = torch.arange(3 * self.size**2).view(3, self.size, self.size)
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
        data.train_inputs(Augmentation())
    other = dataset_data(Subset(own, [0, 1, 2]), own)
    assert other.digest != data.digest == dataset_data(own, Subset(own, [1, 2])).digest


def test_your_own_data_sets_of_bytes_are_normalised_like_arrays() -> None:
    own = Drawn(torch.uint8)
    arrays = TensorDataset(
        torch.stack([own[i][0] for i in range(12)]), torch.arange(12) % 3
    )
    found, wanted = (dataset_data(part, part) for part in (own, arrays))
    assert found.transform == wanted.transform


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ((torch.zeros(1, 8, 6), 0), r"\(channels, size, size\), .* \(1, 8, 6\)"),
        ((torch.zeros(1, 8, 8).long(), 0), "got torch.int64"),
        ((Image.new("L", (8, 8)), 0), "tensor and its class, got .'Image', 'int'.;"),
        (torch.zeros(1, 8, 8), "tensor and its class, got Tensor"),
        ((torch.zeros(1, 8, 8), "cat"), "an image and an integer class"),
        ((torch.zeros(1, 8, 8), 0.5), "an image and an integer class"),
    ],
)
def test_samples_of_another_kind_are_refused(sample: Any, message: str) -> None:
    class Samples(Dataset[Any]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return sample

    with pytest.raises(DataError, match=message):
        dataset_data(Samples(), Samples())


def test_data_of_the_same_name_has_a_digest_of_its_own(tmp_path: Path) -> None:
    first = load_data("folder", root=folder(tmp_path / "1"), image_size=24)
    again = load_data("folder", root=folder(tmp_path / "2"), image_size=24)
    assert first.as_dict() == again.as_dict()
    Image.new("RGB", (9, 9)).save(tmp_path / "2" / "val" / "a" / "2.png")
    other = load_data("folder", root=tmp_path / "2", image_size=24)
    assert other.digest != first.digest


def folder(root: Path, train: str = "ab", val: str = "ab") -> Path:
    for split, classes in (("train", train), ("val", val)):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (30, 40), "white").save(root / split / name / "1.jpg")
    return root


def test_reads_image_folders(tmp_path: Path) -> None:
    data = load_data("folder", root=folder(tmp_path), image_size=24)
    assert isinstance(data.train, ImageFolder)
    assert data.classes == ("a", "b") and (data.channels, data.image_size) == (3, 24)
    ((x, labels),) = batches(data.test_inputs(), 2)
    assert x.shape == (2, 3, 24, 24) and labels.tolist() == [0, 1]


def test_an_empty_image_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="must hold 'train' and 'val'"):
        load_data("folder", root=tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="train must hold a folder of images for each"):
        load_data("folder", root=tmp_path)
    (tmp_path / "train" / "a").mkdir()
    with pytest.raises(DataError, match="train must hold a folder of images for each"):
        load_data("folder", root=tmp_path)


def test_classes_that_differ_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only one holds c"):
        load_data("folder", root=folder(tmp_path, val="ab", train="abc"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mnist"}, "fashion_mnist_mini, fashion_mnist, cifar10, cifar100"),
        ({"name": "cifar10"}, "must have a root folder, got root=None"),
        ({"name": "fashion_mnist_mini", "root": Path("x")}, "has no root"),
        ({"name": "cifar10", "root": Path("nowhere")}, "not be read below nowhere"),
        (
            {"name": "cifar10", "root": Path("x"), "image_size": 8},
            "is for data folder and shards, got 8",
        ),
        ({"name": "folder", "root": "one"}, "classes must be at least 2"),
        ({"name": "folder", "root": "two", "image_size": 0}, "at least 1 px, got 0"),
    ],
)
def test_names_what_it_rejects(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    folder(tmp_path / "one", train="a", val="a")
    folder(tmp_path / "two")
    if isinstance(arguments.get("root"), str):
        arguments = arguments | {"root": tmp_path / arguments["root"]}
    with pytest.raises(DataError, match=message):
        load_data(**arguments)
