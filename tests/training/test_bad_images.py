"""Images that cannot be read end a run, or are named and left out of everything."""

import csv
import errno
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddw_graph.analysis.collect import collect
from ddw_graph.errors import DataError, LostError
from ddw_graph.experiments.instances import instance_test
from ddw_graph.experiments.sample_wirings import mean_wiring
from ddw_graph.models import from_config
from ddw_graph.training.bad_images import BadImageLog
from ddw_graph.training.data import ImageData, load_data
from ddw_graph.training.encoded import BadImage, BadImagesError
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.folder import FolderImages
from ddw_graph.training.images import Images
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import batches
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run import RunFolder
from ddw_graph.training.subsets import Subset
from ddw_graph.training.train import train
from tests.training.photographs import image_folder
from tests.training.runs import Stop, StopAt
from tests.training.small import small_config

RECIPE = recipe_named("small", epochs=2, batch_size=5, augment=True)
CONFIG = small_config(num_classes=2, in_channels=3)
CUT, TEXT = "train/a/003.jpg", "train/b/001.jpg"


def spoil(root: Path, *, test: bool = True) -> None:
    content = (root / CUT).read_bytes()
    (root / CUT).write_bytes(content[: len(content) // 2])
    (root / TEXT).write_bytes(b"<html>not found</html>")
    if test:
        (root / "val/b/000.jpg").write_bytes(b"")


def damaged(root: Path, **options: Any) -> ImageData:
    if not root.exists():
        spoil(image_folder(root, each=9, val=3))
    return load_data("folder", root=root, image_size=16, bad_images="skip", **options)


def fit(folder: Path, data: ImageData, **options: Any) -> list[dict[str, float]]:
    recipe = options.pop("recipe", RECIPE)
    train(CONFIG, data, recipe, seed=0, folder=folder, **options)
    history: list[dict[str, float]] = RunFolder(folder).read_checkpoint()["history"]
    return [row | {"data_seconds": 0, "train_seconds": 0} for row in history]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = RunFolder(folder).read_checkpoint()["model"]
    return state


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_error_carries_the_batch_without_them(tmp_path: Path) -> None:
    images = damaged(tmp_path / "d").train
    with pytest.raises(BadImagesError, match="^.*a/003.jpg: every file must be") as e:
        images.batch([0, 3, 10, 4], Key(0, 0))
    assert [Path(bad.name).name for bad in e.value.bad] == ["003.jpg", "001.jpg"]
    assert all(bad.reason and "\n" not in bad.reason for bad in e.value.bad)
    x, labels = images.batch([0, 4], Key(0, 0))
    assert torch.equal(e.value.rest[0], x) and torch.equal(e.value.rest[1], labels)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_are_without_them_whoever_loads(tmp_path: Path, workers: int) -> None:
    images = damaged(tmp_path / "d").train
    told: list[BadImage] = []
    key = Key(0, 2)
    found = list(
        batches(images, 5, shuffle=key, augment=True, workers=workers, bad=told.extend)
    )
    good = [index for index in range(18) if index not in (3, 10)]
    wanted = dict(zip(good, images.batch(good, key)[0], strict=True))
    order = torch.randperm(18, generator=key.generator(Purpose.ORDER))
    for (x, labels), chosen in zip(found, torch.split(order, 5), strict=True):
        left = [index for index in chosen.tolist() if index in wanted]
        assert torch.equal(x, torch.stack([wanted[index] for index in left]))
        assert torch.equal(labels, images.labels[left])
    paths = {3: str(tmp_path / "d" / CUT), 10: str(tmp_path / "d" / TEXT)}
    names = [paths[i] for i in order.tolist() if i in (3, 10)]
    assert [bad.name for bad in told] == names
    with pytest.raises(DataError, match="every file must be a readable image"):
        list(batches(images, 5, workers=workers))


def test_training_equals_that_on_the_images_that_are_left(tmp_path: Path) -> None:
    """One batch an epoch, so that the batches are the same without them."""
    data = damaged(tmp_path / "d")
    recipe = replace(RECIPE, batch_size=18, augment=False)
    rows = fit(tmp_path / "skipped", data, recipe=recipe)
    good = torch.tensor([index for index in range(18) if index not in (3, 10)])
    clean = [
        Subset(data.train, good),
        Subset(data.test, torch.tensor([0, 1, 2, 4, 5])),
    ]
    others = fit(
        tmp_path / "clean",
        replace(data, train=clean[0], test=clean[1], bad_images="fail"),
        recipe=recipe,
    )
    for row, other in zip(rows, others, strict=True):
        assert row.pop("bad_images") == 3  # two of training, one of testing
        assert row == pytest.approx(other, rel=1e-4)


def test_a_link_to_nowhere_is_one_of_them(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "d", each=9, val=3)
    link = root / "train/a/009.jpg"
    link.symlink_to("nowhere.jpg")
    with pytest.raises(DataError, match="009.jpg: No such file"):
        load_data("folder", root=root, image_size=16)
    assert [row["bad_images"] for row in fit(tmp_path / "run", damaged(root))] == [
        1
    ] * 2
    told = (tmp_path / "run/bad_images.csv").read_text().splitlines()
    assert len(told) == 2 and told[1].startswith(f"{link},") and "No such" in told[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_passes_says_nothing_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def stale(images: FolderImages, index: int) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle", images.name(index))

    data = damaged(tmp_path / "d")
    monkeypatch.setattr(FolderImages, "encoded", stale)
    with pytest.raises(LostError, match=r"jpg could not be read now \(Stale file"):
        fit(tmp_path / "run", data, workers=workers)
    assert not (tmp_path / "run" / "bad_images.csv").exists()


def test_without_bad_images_skipping_changes_nothing(tmp_path: Path) -> None:
    image_folder(tmp_path / "d")
    rows = []
    for kind in ("fail", "skip"):
        data = load_data("folder", root=tmp_path / "d", image_size=16, bad_images=kind)
        rows.append(fit(tmp_path / kind, data))
    assert rows[1] == [row | {"bad_images": 0} for row in rows[0]]
    assert equal(weights(tmp_path / "fail"), weights(tmp_path / "skip"))
    configs = [RunFolder(tmp_path / kind).config()["data"] for kind in ("fail", "skip")]
    assert configs[1] == configs[0] | {"bad_images": "skip"}
    assert not (tmp_path / "skip" / "bad_images.csv").exists()


def test_each_is_named_once_in_the_runs_folder_and_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = damaged(tmp_path / "d")
    with caplog.at_level(logging.WARNING):
        rows = fit(tmp_path / "run", data)
    assert [row["bad_images"] for row in rows] == [3, 3]
    with (tmp_path / "run" / "bad_images.csv").open() as file:
        told = list(csv.DictReader(file))
    names = {str(tmp_path / "d" / name) for name in (CUT, TEXT, "val/b/000.jpg")}
    assert {row["name"] for row in told} == names and len(told) == 3
    assert all(row["reason"] for row in told)
    assert sorted(caplog.messages) == sorted(
        f"{row['name']} is left out: {row['reason']}" for row in told
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of images with a run on them, which two processes loaded."""
    root = tmp_path_factory.mktemp("uninterrupted")
    fit(root / "whole", damaged(root / "d"), workers=2)
    return root


@pytest.mark.parametrize("place", [(1, 2), (2, 1), (2, 4)])
def test_resumed_equals_uninterrupted(
    tmp_path: Path, uninterrupted: Path, place: tuple[int, int]
) -> None:
    data = damaged(uninterrupted / "d")
    with pytest.raises(Stop):
        fit(tmp_path / "cut", data, listeners=[StopAt(*place)], checkpoint_steps=1)
    whole = uninterrupted / "whole"
    rows = fit(tmp_path / "cut", data, resume=True, checkpoint_steps=1)
    assert rows == fit(whole, data, resume=True)  # which has ended
    assert equal(weights(tmp_path / "cut"), weights(whole))
    text = (tmp_path / "cut" / "bad_images.csv").read_text()
    wanted = (whole / "bad_images.csv").read_text()
    assert text == wanted


@pytest.mark.parametrize("left", [0, 1])
def test_a_batch_may_be_left_with_one_image_or_none(tmp_path: Path, left: int) -> None:
    root = image_folder(tmp_path / "d", each=3)
    data = load_data("folder", root=root, image_size=16, bad_images="skip")
    order = torch.randperm(6, generator=Key(0, 0).generator(Purpose.ORDER))
    names = sorted((root / "train").glob("*/*.jpg"))
    for index in order[: 3 - left].tolist():
        names[index].write_bytes(b"")
    steps: list[float] = []

    class Losses:
        def step(self, epoch: int, step: int, steps_: int, loss: float) -> None:
            steps.append(loss)

        def epoch(self, row: dict[str, float]) -> None:
            pass

    recipe = replace(RECIPE, epochs=1, batch_size=3)
    (row,) = fit(tmp_path / "run", data, recipe=recipe, listener=Losses())
    assert row["bad_images"] == 3 - left
    assert (steps[0] != steps[0]) is (left == 0) and steps[1] == steps[1]
    assert row["train_loss"] > 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_set_without_any_readable_image_is_an_error(
    tmp_path: Path, split: str
) -> None:
    root = image_folder(tmp_path / "d", each=2)
    for path in (root / split).glob("*/*.jpg"):
        path.write_bytes(b"")
    data = load_data("folder", root=root, image_size=16, bad_images="skip")
    with pytest.raises(DataError, match="at least one image must be readable, got 4"):
        fit(tmp_path / "run", data)
    assert not (tmp_path / "run" / "result.json").exists()


def test_evaluation_and_collection_leave_them_out(tmp_path: Path) -> None:
    data = damaged(tmp_path / "d")
    torch.manual_seed(0)
    model = from_config(CONFIG)
    told: list[BadImage] = []
    clean: Images = Subset(data.test, torch.tensor([0, 1, 2, 4, 5]))
    wanted = evaluate(model, clean)
    found = evaluate(model, data.test, batch_size=2, bad=told.extend)
    assert found.bad_images == 1 and len(told) == 1
    assert found.loss == pytest.approx(wanted.loss)
    assert found.accuracy == wanted.accuracy
    with pytest.raises(DataError, match="every file must be a readable image"):
        evaluate(model, data.test)
    about: dict[str, Any] = {"classes": data.classes, "image_size": data.image_size}
    kept = collect(
        model, data.test, tmp_path / "c", batch_size=4, bad=told.extend, **about
    )
    whole = collect(model, clean, tmp_path / "w", **about)
    assert kept.samples == len(kept.column("loss")) == 5
    for stage in range(len(kept.stages)):
        torch.testing.assert_close(
            torch.tensor(kept.weights(stage)), torch.tensor(whole.weights(stage))
        )


def test_processes_that_train_together_name_each_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = BadImageLog(tmp_path), BadImageLog(tmp_path, rank=1)
    one, other = BadImage("a", "x, y"), BadImage("b\udcff", "z")
    first([one])
    second([one, other])
    first([other, one])
    assert (tmp_path / "bad_images.csv").read_text() == 'name,reason\na,"x, y"\n'
    rows = (tmp_path / "bad_images-1.csv").read_bytes()
    assert rows == b"name,reason\nb\xff,z\n"
    assert caplog.messages == ["a is left out: x, y", "b\\udcff is left out: z"]


def test_wirings_of_instances_are_tested_without_them(tmp_path: Path) -> None:
    data = damaged(tmp_path / "d")
    model = from_config(small_config("dynamic:bias=0", num_classes=2, in_channels=3))
    tested, _ = instance_test(model, data, seed=0, batch_size=2)
    plain = evaluate(model, data.test, bad=lambda _: None)
    assert (tested[0].accuracy, tested[0].changed) == (plain.accuracy, 0)
    # The mean is that of the images that can be read.
    left = [index for index in range(18) if index not in (3, 10)]
    mean = mean_wiring(model, data.train, bad=lambda _: None)
    wanted = mean_wiring(model, Subset(data.train, torch.tensor(left)))
    for found, of_left in zip(mean, wanted, strict=True):
        torch.testing.assert_close(found, of_left)


def test_a_line_of_pixels_is_left_out(tmp_path: Path) -> None:
    """Resized by its short side it would fill the memory."""
    root = image_folder(tmp_path / "d", each=2, val=1)
    Image.new("RGB", (1, 101)).save(root / "train/a/000.jpg")
    data = load_data("folder", root=root, image_size=16, bad_images="skip")
    with pytest.raises(BadImagesError, match="at most 100 times .*, got 1x101") as e:
        data.train.batch([0, 1], None)
    assert len(e.value.rest[0]) == 1


def test_postscript_is_no_image(tmp_path: Path) -> None:
    """Pillow would start another program to draw it."""
    root = image_folder(tmp_path / "d", each=2)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n"
    (root / "train/a/000.jpg").write_bytes(content)
    data = load_data("folder", root=root, image_size=16)
    with pytest.raises(DataError, match="000.jpg: every file must.*are none of JPEG"):
        data.train.batch([0], None)
