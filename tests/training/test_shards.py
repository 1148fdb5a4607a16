"""Shards give the images that were put into them, and hostile ones a line each."""

import gc
import os
import pickle
import runpy
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ddw_graph.errors import DataError
from ddw_graph.training import shards as shards_module
from ddw_graph.training.data import load_data
from ddw_graph.training.keys import Key
from ddw_graph.training.loading import batches, training_batches
from ddw_graph.training.pictures import decoded
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.shards import (
    ShardImages,
    ShardIndex,
    class_names,
    shard_index,
    shard_paths,
)
from ddw_graph.training.transform import Inputs, Transform
from tests.training.photographs import Member, image_folder, jpeg, members, shard
from tests.training.photographs import shards as write_shards

TOOL = Path(__file__).parents[2] / "tools" / "make_shards.py"


def index_of(paths: list[Path]) -> ShardIndex:
    return shard_index(paths, paths[0].with_name("kept.npz"))


def images_of(root: Path) -> ShardImages:
    return ShardImages(root, index_of(shard_paths(root, "train")))


def test_reads_the_images_and_classes_that_were_written(tmp_path: Path) -> None:
    write_shards(tmp_path)
    images = images_of(tmp_path)
    written = members(0, 18)
    assert len(images) == 18
    for index in range(18):
        (name, content), (_, label) = written[2 * index : 2 * index + 2]
        image, found = images[index]
        assert image == decoded(content) and found == int(label)
        assert images.index.name(index).endswith(f".tar/{name}")


# The library leaves the files that it reads to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_reads_what_webdataset_writes_as_webdataset_does(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    pattern = str(tmp_path / "train-%06d.tar")
    with webdataset.ShardWriter(pattern, maxcount=4, verbose=0) as writer:
        for place in range(10):
            sample = {"__key__": f"a.b/{place}", "jpg": jpeg(place), "cls": place % 3}
            writer.write(sample | {"json": {"place": place}})
    paths = shard_paths(tmp_path, "train")
    assert len(paths) == 3
    images = images_of(tmp_path)
    read = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False)
    samples = list(read)
    del read
    gc.collect()
    assert [decoded(s["jpg"]) for s in samples] == [images[i][0] for i in range(10)]
    assert [int(s["cls"]) for s in samples] == images.targets.tolist()


def test_a_folder_made_into_shards_is_the_same_data(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "folder")
    runpy.run_path(str(TOOL))["main"](root, tmp_path / "shards", 5)
    folder = load_data("folder", root=root, image_size=24)
    made = load_data("shards", root=tmp_path / "shards", image_size=24)
    assert folder.classes == made.classes == ("a", "b")
    assert folder.sizes == made.sizes == (12, 4)
    for part in ("train_inputs", "test_inputs"):
        one, other = (
            Counter(
                (image.numpy().tobytes(), int(label))
                for x, labels in batches(getattr(data, part)(), 5)
                for image, label in zip(x, labels, strict=True)
            )
            for data in (folder, made)
        )
        assert one == other and set(one.values()) == {1}
    names = sorted(path.name for path in (tmp_path / "shards").glob("*.tar"))
    assert names[:2] == ["train-000000.tar", "train-000001.tar"] and len(names) == 4


def test_other_processes_load_the_same(tmp_path: Path) -> None:
    images = images_of(write_shards(tmp_path))
    images[0]  # opened here, and shared with the processes
    dataset = Inputs(images, Transform.of_files(24), Recipe())
    here, there = (
        list(training_batches(dataset, 4, Key(1, 2), workers=count)) for count in (0, 2)
    )
    torch.testing.assert_close(here, there, rtol=0, atol=0)
    again = pickle.loads(pickle.dumps(images))  # for processes that are not forked
    assert again[17][0] == images[17][0]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_few_files_are_open_and_a_changed_one_is_read_again(tmp_path: Path) -> None:
    write_shards(tmp_path, [1] * (shards_module.OPEN_FILES + 5))
    images = load_data("shards", root=tmp_path).train
    before = len(os.listdir("/proc/self/fd"))
    for index in range(len(images)):  # type: ignore[arg-type]
        images[index]
    assert len(os.listdir("/proc/self/fd")) <= before + shards_module.OPEN_FILES
    path = tmp_path / "train-000036.tar"
    path.unlink()
    shard(path, members(500, 1))
    changed = load_data("shards", root=tmp_path).train
    assert changed[36][0] == decoded(members(500, 1)[0][1])


def test_an_epoch_reads_a_few_shards_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "WINDOW", 2)
    write_shards(tmp_path, (5, 7, 6, 4, 3))
    images = images_of(tmp_path)
    home = torch.from_numpy(images.index.images[:, 0])
    seen = set()
    for epoch in range(20):
        order = images.order(Key(0, epoch))
        assert torch.equal(order, images.order(Key(0, epoch)))
        assert sorted(order.tolist()) == list(range(25))
        visits = home[order].tolist()
        firsts = list(dict.fromkeys(visits))
        while visits:  # windows of two shards, each whole before the next
            window, firsts = firsts[:2], firsts[2:]
            count = int(torch.isin(home, torch.tensor(window)).sum())
            assert set(visits[:count]) == set(window)
            visits = visits[count:]
        seen.add(tuple(order.tolist()))
    assert len(seen) == 20
    changes = home[images.order(Key(0, 0))].diff().count_nonzero()
    assert changes > 8  # images of a window are shuffled together


def test_the_index_is_kept_until_a_shard_changes_and_made_again_if_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(tmp_path)
    paths, cache = shard_paths(tmp_path, "train"), tmp_path / "kept.npz"
    read: list[Path] = []
    whole = shards_module._read

    def noted(path: Path) -> object:
        read.append(path)
        return whole(path)

    monkeypatch.setattr(shards_module, "_read", noted)
    first, again = (shard_index(paths, cache) for _ in range(2))
    assert read == paths
    assert (first.shards, first.names) == (again.shards, again.names)
    np.testing.assert_array_equal(first.images, again.images)
    # In a folder that cannot be written to, shards are read without it.
    shard_index(paths, tmp_path / "nowhere" / "kept.npz")
    assert read == 2 * paths
    content = cache.read_bytes()
    with np.load(cache) as file:
        arrays = dict(file)
    np.savez(cache, **(arrays | {"images": np.array([object()] * 3)}))
    contents = [cache.read_bytes(), b"", content[:-40], pickle.dumps({"images": 1})]
    for place in range(100, len(content), len(content) // 20):
        flipped = bytes([content[place] ^ 1])
        contents.append(content[:place] + flipped + content[place + 1 :])
    for damaged in contents:
        cache.write_bytes(damaged)
        found = shard_index(paths, cache)
        np.testing.assert_array_equal(found.images, first.images)
        assert found.names == first.names
    read.clear()
    written = paths[1].stat().st_mtime_ns
    shard(paths[1], members(5, 8))
    os.utime(paths[1], ns=(written, written + 1))
    assert len(shard_index(paths, cache).images) == 19 and read == paths


def odd(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def pax(name: str) -> tarfile.TarInfo:
    """Returns a member whose name is in a header that takes any text."""
    info = tarfile.TarInfo("7.jpg")
    info.pax_headers = {"path": name}
    return info


GOOD = members(0, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([*GOOD, ("../7.jpg", b"x")], "within the shard, got '../7.jpg'"),
        ([*GOOD, pax("7\0.jpg")], r"within the shard, got '7\\x00.jpg'"),
        ([*GOOD, ("/7.jpg", b"x")], "within the shard, got '/7.jpg'"),
        ([*GOOD, odd("7.jpg", tarfile.SYMTYPE)], "plain files, '7.jpg' is not"),
        ([*GOOD, odd("7.jpg", tarfile.FIFOTYPE)], "plain files, '7.jpg' is not"),
        ([*GOOD, ("7.pyd", b"x")], "must end with jpg, .* got '7.pyd'"),
        ([*GOOD, ("README", b"x")], "must end with jpg, .* got 'README'"),
        ([*GOOD, ("7.jpg", b"x")], "'7' has no class"),
        ([*GOOD, ("7.cls", b"1")], "'7' has no image"),
        ([*GOOD, ("0000.png", b"x")], "each key must have one image, '0000' has two"),
        ([*GOOD, ("7.jpg", b"x"), ("7.cls", b"one")], "'7.cls' holds 'one'"),
        ([*GOOD, ("7.jpg", b"x"), ("7.cls", b"-1")], "'7.cls' holds '-1'"),
        ([*GOOD, ("7.jpg", b"x"), ("7.cls", b"")], "'7.cls' holds ''"),
        ([*GOOD, ("7.jpg", b"x"), ("7.cls", b"9" * 12)], "a number in .0, 1048576"),
        ([*GOOD, ("7.jpg", b"x"), ("7.cls", b"1" + b" " * 99)], "'7.cls' holds '1'"),
        ([], "must hold at least one image, got none"),
    ],
)
def test_a_hostile_shard_is_refused_in_a_line(
    tmp_path: Path, content: list[Member | tarfile.TarInfo], message: str
) -> None:
    path = shard(tmp_path / "train-000000.tar", content)
    with pytest.raises(DataError, match=message) as error:
        index_of([path])
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_shard_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = shard(tmp_path / "train-000000.tar", members(0, 3))
    whole = path.read_bytes()
    with tarfile.open(path) as file:
        last = file.getmembers()[-1]
    end = last.offset_data + 512
    for cut in (0, 1, 511, 512, 700, end - 512, end - 100, end, end + 511):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="shard must"):
            index_of([path])
    path.write_bytes(whole[: end + 512])
    assert len(index_of([path]).images) == 3


def compressed(path: Path) -> None:
    with tarfile.open(path, "w:gz") as file:
        file.addfile(tarfile.TarInfo("1.cls"))


def long_name(path: Path) -> None:
    """A header that claims a name of eight gigabytes."""
    info = tarfile.TarInfo("1.jpg")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * 2**30
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def damaged(path: Path) -> None:
    shard(path, members(0, 3))
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as file:
        content[file.getmembers()[2].offset] ^= 1  # the checksum is another's now
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (compressed, "whole, uncompressed tar"),
        (long_name, "whole, uncompressed tar"),
        (damaged, "end with a block of zeros, got none at byte"),
        (lambda path: path.write_bytes(b"\0" * 10240), "at least one image, got none"),
        (lambda path: path.mkdir(), "must be readable .*directory"),
    ],
)
def test_what_is_no_shard_is_refused(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "train-000000.tar"
    write(path)
    with pytest.raises(DataError, match=message):
        index_of([path])


def test_classes_have_the_names_of_the_file_beside_them(tmp_path: Path) -> None:
    plain = load_data("shards", root=write_shards(tmp_path))
    assert plain.classes == ("0", "1")
    (tmp_path / "classes.txt").write_text("cat\ndog\ncow\n")
    named = load_data("shards", root=tmp_path)
    assert named.classes == ("cat", "dog", "cow") and named.digest != plain.digest
    marked = "\ufeffcafe\u0301\r\ndog\r\n".encode()
    (tmp_path / "classes.txt").write_bytes(marked)
    assert class_names(tmp_path) == ("caf\u00e9", "dog")
    (tmp_path / "classes.json").write_text("[]")
    with pytest.raises(DataError, match="classes.txt or classes.json, got both"):
        class_names(tmp_path)
    for path in tmp_path.glob("classes.*"):
        path.unlink()
    shard(tmp_path / "val-000000.tar", [("7.jpg", jpeg(0)), ("7.cls", b"2")])
    with pytest.raises(DataError, match=r"in \[0, 2\), got 2 for '.*7.jpg'"):
        load_data("shards", root=tmp_path)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ('["cat"]', r"\['cat'\]"),
        ("{", "Expecting"),
        ("[" * 10**5, "recursion"),
        ('{"cat": 0, "dog": 1}', "{'cat': 0"),
        ('["cat", 1]', "1"),
        ('["cat", " "]', "' '"),
        ('["cat", "\\ud800"]', r"'\\ud800'"),
        ('["caf\\u00e9", "cafe\\u0301"]', "'cafe\u0301'"),
    ],
)
def test_damaged_names_of_classes_are_refused(
    tmp_path: Path, text: str, got: str
) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(DataError, match=f"must hold the names of .*, got .*{got}"):
        class_names(tmp_path)


def test_shards_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold train-000000.tar .*, got .*nowhere"):
        load_data("shards", root=tmp_path / "nowhere")
    write_shards(tmp_path, (3, 3, 3))
    (tmp_path / "train-000001.tar").rename(tmp_path / "kept.tar")
    with pytest.raises(DataError, match="000000.tar and then train-000002.tar in"):
        load_data("shards", root=tmp_path)
    (tmp_path / "kept.tar").rename(tmp_path / "train-2.tar")
    with pytest.raises(DataError, match="numbered one by one"):
        load_data("shards", root=tmp_path)
    (tmp_path / "train-2.tar").rename(tmp_path / "train-000001.tar")
    (tmp_path / "val-000000.tar").rename(tmp_path / "test-000000.tar")
    assert load_data("shards", root=tmp_path).sizes[1] == 4
