"""Images that cannot be read end a run, or are found before it, named and left out."""

import errno
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddw_graph import create_model
from ddw_graph.errors import DataError, LostError
from ddw_graph.training.bad_images import BadImage, readable, warn, write_bad_images
from ddw_graph.training.data import load_data
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.launch import train
from ddw_graph.training.loading import batches
from ddw_graph.training.pictures import ImageFiles, UnreadableError
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.subsets import labels_of
from ddw_graph.training.world import World
from tests.training.photographs import image_folder, members, shard, shards
from tests.training.runs import Stop, StopAt, same

CUT, TEXT, EMPTY = "train/a/003.jpg", "train/b/001.jpg", "val/b/000.jpg"


def damaged(root: Path, **options: Any) -> ImageData:
    """Returns a set of 18 and 6 images, of which 2 and 1 cannot be read."""
    if not root.exists():
        image_folder(root, each=9, val=3)
        content = (root / CUT).read_bytes()
        (root / CUT).write_bytes(content[: len(content) // 2])
        (root / TEXT).write_bytes(b"<html>not found</html>")
        (root / EMPTY).write_bytes(b"")
    return load_data("folder", root=root, image_size=16, **options)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_is_an_error_that_names_it(tmp_path: Path, workers: int) -> None:
    data = damaged(tmp_path / "d")
    with pytest.raises(UnreadableError, match="^.*a/003.jpg: every file must be") as e:
        list(batches(data.train_inputs(), 5, workers=workers))
    assert e.value.reason and "\n" not in str(e.value) and not data.bad


@pytest.mark.parametrize("workers", [0, 2])
def test_they_are_named_counted_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    root = tmp_path / "d"
    with caplog.at_level(logging.WARNING):
        data = damaged(root, bad_images="skip", workers=workers)
    assert [bad.name for bad in data.bad] == [str(root / n) for n in (CUT, TEXT, EMPTY)]
    assert all(bad.reason and "\n" not in bad.reason for bad in data.bad)
    assert caplog.messages == [f"{b.name} is left out: {b.reason}" for b in data.bad]
    assert data.sizes == (16, 5) and data.as_dict()["bad_images"] == 3
    plain = damaged(root).train_inputs()
    left = [index for index in range(18) if index not in (3, 10)]
    for place, index in enumerate(left):
        image, label = data.train_inputs()[place]
        assert torch.equal(image, plain[index][0]) and label == plain[index][1]
    some = damaged(root, bad_images="skip", per_class=5, holdout=6)
    for part, each in ((some.train, 5), (some.test, 3)):
        labels = labels_of(part)
        assert labels is not None and torch.bincount(labels).tolist() == [each] * 2


def test_without_any_skipping_changes_nothing_but_the_count(tmp_path: Path) -> None:
    image_folder(tmp_path)
    plain, skipping = (
        load_data("folder", root=tmp_path, bad_images=kind) for kind in ("fail", "skip")
    )
    assert skipping.as_dict() == plain.as_dict() | {"bad_images": 0}


def test_they_are_left_out_of_shards(tmp_path: Path) -> None:
    shards(tmp_path)
    content = [*members(0, 5)[:-2], ("0004.jpg", b"no image"), ("0004.cls", b"0")]
    path = shard(tmp_path / "train-000000.tar", content)
    data = load_data("shards", root=tmp_path, bad_images="skip")
    assert data.sizes == (17, 4)
    assert [bad.name for bad in data.bad] == [f"{path}/0004.jpg"]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_passes_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def stale(*arguments: object) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    image_folder(tmp_path)
    monkeypatch.setattr("ddw_graph.training.pictures.decoded", stale)
    with pytest.raises(LostError, match=r"jpg could not be read now \(Stale file"):
        load_data("folder", root=tmp_path, bad_images="skip", workers=workers)


def test_a_set_without_any_readable_image_is_an_error(tmp_path: Path) -> None:
    for path in (image_folder(tmp_path, each=2) / "val").glob("*/*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="one image must be readable, got 4 that are"):
        load_data("folder", root=tmp_path, bad_images="skip")


@dataclass(frozen=True)
class Sharing(World):
    """One of two processes that run one after another."""

    values: dict[int, Any] = field(default_factory=dict)

    def gather(self, value: Any) -> list[Any]:
        self.values[self.rank] = value
        return list(self.values.values())


def test_processes_share_the_work_and_what_they_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = damaged(tmp_path / "d").train
    _, alone = readable(images)
    values: dict[int, Any] = {}
    first, second = (Sharing(rank, 2, values=values) for rank in range(2))
    readable(images, world=first)
    assert 0 < len(values[0]) < len(alone) == 2
    for world in (second, first):
        left, bad = readable(images, world=world)
        assert bad == alone and len(left) == 16  # type: ignore[arg-type]

    # An error in one of them is one in all of them.
    def stale(path: str) -> object:
        raise LostError("not now")

    values.clear()
    readable(images, world=first)
    with monkeypatch.context() as patched, pytest.raises(LostError, match="not now"):
        patched.setattr("ddw_graph.training.folder.read_picture", stale)
        readable(images, world=second)
    with pytest.raises(LostError, match="not now"):
        readable(images, world=first)


def test_they_are_named_in_a_file_and_never_obeyed_by_a_terminal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = BadImage("a\x1b[2J", "x, y"), BadImage("b\udcff", "z")
    warn(images)
    names = [r"a\x1b[2J", r"b\udcff"]
    assert [each.partition(" is left out")[0] for each in caplog.messages] == names
    write_bad_images(tmp_path, images)
    text = (tmp_path / "bad_images.csv").read_text()
    assert text == 'name,reason\na\\x1b[2J,"x, y"\nb\\udcff,z\n'


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        # Resized by its short side it would fill the memory.
        (png(Image.new("RGB", (1, 101))), "at most 100 times the other, got 1x101"),
        (png(Image.new("I;16", (9, 9))), "a channel must have 8 bits, got"),
        # Pillow would start another program to draw PostScript.
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n", "none of JPEG"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    bad, good = tmp_path / "0.jpg", tmp_path / "1.jpg"
    bad.write_bytes(content)
    good.write_bytes(png(Image.new("RGB", (1, 100))))
    left, images = readable(ImageFiles([str(bad), str(good)]))
    assert len(left) == 1 and images[0].name == str(bad)  # type: ignore[arg-type]
    assert reason in images[0].reason


def test_a_run_names_them_and_resumes_without_them(tmp_path: Path) -> None:
    data = damaged(tmp_path / "d", bad_images="skip")
    sizes: Any = {"wiring": "complete", "n": 2, "channels": 4, "num_classes": 2}
    network = create_model("randwire_tiny", **sizes)
    recipe = recipe_named("small", epochs=2, batch_size=5)
    whole = train(network, data, recipe, seed=0, folder=tmp_path / "whole")
    lines = (tmp_path / "whole" / "bad_images.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == [b.name for b in data.bad]
    assert whole.config["data"]["bad_images"] == 3 and whole.analysis.samples == 5
    cut = tmp_path / "cut"
    with pytest.raises(Stop):
        stop = StopAt(2, 2)
        train(network, data, recipe, seed=0, folder=cut, listeners=[stop])
    # As another process would resume it: the images are found again.
    again = damaged(tmp_path / "d", bad_images="skip")
    resumed = train(network, again, recipe, seed=0, folder=cut, resume=True)
    assert same(*(run.network().state_dict() for run in (whole, resumed)))
    assert Run(cut).data().sizes == (16, 5)
