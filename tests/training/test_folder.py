"""Image folders are listed as torchvision lists them, whatever people have in them."""

import unicodedata
from pathlib import Path

import pytest
from torchvision import datasets

from ddw_graph.errors import DataError
from ddw_graph.training.data import load_data
from ddw_graph.training.folder import ImageFolder
from ddw_graph.training.pictures import picture_files
from tests.training.photographs import image_folder, jpeg


def test_lists_what_torchvision_lists(tmp_path: Path) -> None:
    train = image_folder(tmp_path, classes="ba") / "train"
    for name in ("deeper/1.png", "deeper/most/2.JPEG", "Upper/3.webp", "ü 4.bmp"):
        (train / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        (train / "a" / name).write_bytes(b"12345")
    for name in ("b/notes.txt", "b/1.jpg.part", "b/jpg", "loose.jpg"):
        (train / name).write_bytes(b"no image")
    (train / "c").symlink_to(train / "b")
    found, wanted = ImageFolder(train), datasets.ImageFolder(str(train))
    assert found.classes == wanted.classes == ["a", "b", "c"]
    assert found.samples == wanted.samples and found.targets == wanted.targets


def test_hidden_folders_and_files_never_count(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    before = load_data("folder", root=root)
    for place in (".ipynb_checkpoints", "a/.ipynb_checkpoints", "a"):
        (root / "train" / place).mkdir(exist_ok=True)
        (root / "train" / place / "._0.jpg").write_bytes(jpeg(0))
    for place in (".ipynb_checkpoints", "a/.ipynb_checkpoints"):
        (root / "train" / place / "0-checkpoint.jpg").write_bytes(jpeg(0))
    assert load_data("folder", root=root).as_dict() == before.as_dict()
    assert len(picture_files([root / "train"])) == 12


def test_links_are_followed_once(tmp_path: Path) -> None:
    train = image_folder(tmp_path) / "train"
    (train / "a" / "again").symlink_to(train / "a")
    (train / "a" / "b").symlink_to(train / "b")
    found = ImageFolder(train)
    assert found.targets.count(0) == 12 and found.targets.count(1) == 6
    assert len(picture_files([train])) == 12


def test_letters_may_be_composed_or_decomposed(tmp_path: Path) -> None:
    """As a Mac writes the names of one part of a set, and Linux those of the other."""
    name, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    composed = image_folder(tmp_path / "1", classes=["a", name])
    both = image_folder(tmp_path / "2", classes=["a", name])
    (both / "val" / name).rename(both / "val" / other)
    data = load_data("folder", root=both)
    assert data.classes == ("a", name)
    assert data.as_dict() == load_data("folder", root=composed).as_dict()
    (both / "train" / other).mkdir()
    with pytest.raises(DataError, match="two folders 'café' that differ only in"):
        load_data("folder", root=both)


def test_folders_that_lack_something_are_named(tmp_path: Path) -> None:
    for made, message in (
        ("train", "must hold 'train' and 'val'"),
        ("val", "train must hold a folder of images for each"),
        ("train/a", "for each class, got none of 'a'"),
    ):
        (tmp_path / made).mkdir()
        with pytest.raises(DataError, match=message):
            load_data("folder", root=tmp_path)
    root = image_folder(tmp_path / "whole", classes="a")
    with pytest.raises(DataError, match="classes must be at least 2"):
        load_data("folder", root=root)
    (image_folder(tmp_path / "b", classes="b") / "train" / "b").rename(
        root / "train" / "b"
    )
    with pytest.raises(DataError, match="only one holds b"):
        load_data("folder", root=root)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    (root / "train" / "a" / "9.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match="9.jpg: No such file"):
        load_data("folder", root=root)
    (bad,) = load_data("folder", root=root, bad_images="skip").bad
    assert bad.name == str(root / "train/a/9.jpg") and "No such file" in bad.reason
