"""Image folders are listed as torchvision lists them, at any size."""

import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from ddw_graph.errors import DataError
from ddw_graph.training.data import load_data
from ddw_graph.training.folder import listing
from ddw_graph.training.names import Names
from tests.training.photographs import image_folder


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
    found, wanted = listing(root / "train"), ImageFolder(str(root / "train"))
    assert list(found.classes) == wanted.classes == ["a", "b", "c"]
    paths = [str(root / "train" / name) for name in found.names]
    assert list(zip(paths, found.labels.tolist(), strict=True)) == wanted.samples
    assert found.sizes.tolist() == [Path(path).stat().st_size for path in paths]


def test_the_digest_is_that_of_earlier_versions(tmp_path: Path) -> None:
    root = odd_folder(tmp_path)
    digest = sha256()
    for split in ("train", "val"):
        for name, _ in ImageFolder(str(root / split)).samples:
            path = Path(name)
            told = f"{path.relative_to(root)} {path.stat().st_size}"
            digest.update(told.encode() + b"\0")
    data = load_data("folder", root=root)
    assert data.digest == digest.hexdigest()[:16]
    expected = {"name", "image_size", "classes", "train", "test", "digest"}
    assert set(data.as_dict()) == expected


def test_a_class_without_an_image_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    (root / "train" / "aa").mkdir()
    (root / "train" / "ab").mkdir()
    with pytest.raises(DataError, match="for each class, got none of 'aa' and 1 more"):
        listing(root / "train")


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    root = image_folder(tmp_path)
    (root / "train" / "a" / "9.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match="9.jpg: No such file"):
        listing(root / "train")
    found = listing(root / "train", skip=True)
    assert found.names[6] == "a/9.jpg"
    assert [place for place, size in enumerate(found.sizes) if size < 1] == [6]
    assert found.sizes[6] == -1


def test_names_come_back_as_they_were() -> None:
    names = ["a", "", "ü/b c.jpg", "x" * 300, "\udcff.jpg"]
    kept = Names.of(names)
    assert list(kept) == names and kept[-1] == names[-1] and kept[1:3] == names[1:3]
    with pytest.raises(IndexError):
        kept[5]


def test_a_million_names_take_little_memory() -> None:
    tracemalloc.start()
    names = Names.of(f"n01440764/n01440764_{place}.JPEG" for place in range(100_000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) == 100_000 and kept < 100_000 * 45  # 30 letters and a number
