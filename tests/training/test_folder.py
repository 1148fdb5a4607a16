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


def odd_folder(root: Path) -> Path:
    """Writes an image folder with whatever people have in theirs."""
    image_folder(root, classes="ba")
    train = root / "train"
    (train / "a" / "deeper" / "still").mkdir(parents=True)
    (train / "a" / "Upper").mkdir()
    for name in ("deeper/1.png", "deeper/still/2.JPEG", "Upper/3.webp", "ü 4.bmp"):
        (train / "a" / name).write_bytes(b"12345")
    for name in ("notes.txt", "1.jpg.part", "jpg"):
        (train / "b" / name).write_bytes(b"no image")
    (train / "loose.jpg").write_bytes(b"of no class")
    (train / "c").symlink_to(train / "b")
    (root / "val" / "c").symlink_to(root / "val" / "b")
    return root


def test_lists_what_torchvision_lists(tmp_path: Path) -> None:
    root = odd_folder(tmp_path)
    found = ImageFolder(root / "train")
    wanted = datasets.ImageFolder(str(root / "train"))
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
    root = image_folder(tmp_path)
    (root / "train" / "a" / "again").symlink_to(root / "train" / "a")
    (root / "train" / "a" / "b").symlink_to(root / "train" / "b")
    found = ImageFolder(root / "train")
    assert found.targets.count(0) == 12 and found.targets.count(1) == 6
    assert len(picture_files([root / "train"])) == 12


def test_letters_may_be_composed_or_decomposed(tmp_path: Path) -> None:
    """As a Mac writes the names of one part of a set, and Linux those of the other."""
    name, other = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    composed = image_folder(tmp_path / "1", classes=["a", name])
    mixed = image_folder(tmp_path / "2", classes=["a", name])
    (mixed / "val" / name).rename(mixed / "val" / other)
    data = load_data("folder", root=mixed)
    assert data.classes == ("a", name)
    assert data.as_dict() == load_data("folder", root=composed).as_dict()
    (mixed / "train" / other).mkdir()
    with pytest.raises(DataError, match="two folders 'café' that differ only in"):
        load_data("folder", root=mixed)


def test_a_class_without_an_image_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    (root / "train" / "aa").mkdir()
    (root / "train" / "ab").mkdir()
    with pytest.raises(DataError, match="for each class, got none of 'aa' and 1 more"):
        ImageFolder(root / "train")


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    (root / "train" / "a" / "9.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match="9.jpg: No such file"):
        load_data("folder", root=root)
    (bad,) = load_data("folder", root=root, bad_images="skip").bad
    assert bad.name == str(root / "train/a/9.jpg") and "No such file" in bad.reason
