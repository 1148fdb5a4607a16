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

from ddw_graph.errors import DataError
from ddw_graph.training.data import EMBEDDED, array_data, load_data
from ddw_graph.training.folder import FolderImages
from ddw_graph.training.images import ArrayImages
from tests.training.idx import write_fashion_mnist


@pytest.mark.usefixtures("all_images")
def test_the_embedded_images_are_balanced_and_normalised() -> None:
    data = load_data()
    assert isinstance(data.train, ArrayImages) and isinstance(data.test, ArrayImages)
    for part, each in ((data.train, 300), (data.test, 200)):
        assert torch.bincount(part.labels).tolist() == [each] * 10
    x, _ = data.train.batch(range(3000), None)
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
    assert (len(data.train), len(data.test)) == (30, 10)
    assert (data.channels, data.image_size, len(data.classes)) == (1, 28, 10)
    assert data.test.batch([3], None)[1].tolist() == [3]


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
        pixels[:, :1024] = 255  # red
        content = {"data": pixels, key: [0, 1, 2, 3]}
        (folder / file).write_bytes(pickle.dumps(content))
    names = {base.meta["key"]: [str(i) for i in range(classes)]}
    (folder / base.meta["filename"]).write_bytes(pickle.dumps(names))
    monkeypatch.setattr(base, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.cifar, "check_integrity", lambda *a: True)
    data = load_data(name, root=tmp_path)
    assert (len(data.train), len(data.test)) == (4 * files, 4)
    assert (data.channels, data.image_size, len(data.classes)) == (3, 32, classes)
    assert isinstance(data.test, ArrayImages)
    red, *others = data.test.pixels.unbind(1)
    assert (red == 255).all() and not any(other.any() for other in others)


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
        (
            lambda x, y: (x.float(), y),
            r"must be uint8, .* got torch.float32, \(4, 1, 8",
        ),
        (lambda x, y: (x[:, 0], y), r"\(images, channels, size, size\) and alike, got"),
        (lambda x, y: (x[..., :6], y), r"alike, got torch.uint8, \(4, 1, 8, 6\)"),
        (lambda x, y: (x.expand(4, 3, 8, 8), y), r"alike, got .* \(4, 3, 8, 8\)"),
        (lambda x, y: (x, y.int()), "labels of mine must be int64, .* got torch.int32"),
        (lambda x, y: (x, y[:3]), r"one an image of 4, got torch.int64, \(3,\)"),
        (lambda x, y: (x, y - 1), r"labels of mine must be in \[0, 2\), got -1 to 0"),
    ],
)
def test_images_in_memory_must_fit_each_other(
    change: Callable[..., tuple[torch.Tensor, torch.Tensor]], message: str
) -> None:
    right = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 0, 1, 1])
    assert array_data("mine", right, right, ("a", "b")).image_size == 8
    with pytest.raises(DataError, match=message):
        array_data("mine", right, change(*right), ("a", "b"))


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
    assert isinstance(data.train, FolderImages)
    assert data.classes == ("a", "b") and (data.channels, data.image_size) == (3, 24)
    x, labels = data.test.batch([0, 1], None)
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
        ({"name": "cifar10"}, "needs a root folder, got root=None"),
        ({"name": "fashion_mnist_mini", "root": Path("x")}, "takes no root"),
        ({"name": "cifar10", "root": Path("nowhere")}, "not be read below nowhere"),
        (
            {"name": "cifar10", "root": Path("x"), "image_size": 8},
            "is for data folder and shards, got 8",
        ),
        ({"name": "folder", "root": "one"}, "at least 2 classes are needed"),
        ({"name": "folder", "root": "two", "image_size": 0}, "at least 1 pixel, got 0"),
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
