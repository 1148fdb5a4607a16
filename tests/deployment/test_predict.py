"""Predictions are what a run's evaluation says of the same images."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddw_graph.deployment.pictures import Pictures
from ddw_graph.deployment.predict import Prediction, Predictor
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.training.data import load_data
from ddw_graph.training.encoded import BadImage
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.names import Names
from ddw_graph.training.picture_files import picture_files
from ddw_graph.training.preparation import Preparation
from tests.deployment.small import small_run
from tests.training.photographs import image_folder
from tests.training.small import small_data

GREY = Preparation(1, 8, 8, (0.3,), (0.2,))


def written(data: ImageData, folder: Path) -> Names:
    """Writes the test images of a set as files."""
    folder.mkdir()
    for place, pixels in enumerate(data.test.pixels[:, 0]):  # type: ignore[attr-defined]
        Image.fromarray(pixels.numpy()).save(folder / f"{place:03d}.png")
    return picture_files([folder])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("predict") / "run")


def test_grey_images_are_predicted_as_evaluation_does(
    run: Path, tmp_path: Path
) -> None:
    data = small_data()
    files = written(data, tmp_path / "images")
    predictor = Predictor(trained(run))
    found = list(predictor.predictions(files, batch_size=7, weights=True))
    assert [each.file for each in found] == list(files)
    network = predictor.trained.network
    x, labels = data.test.batch(range(len(files)), None)
    with torch.no_grad():
        logits, adjacency = network(x, return_adjacency=True)
    best = logits.softmax(1).topk(3)
    probabilities = torch.tensor([each.probabilities for each in found])
    torch.testing.assert_close(probabilities, best.values, rtol=1e-5, atol=1e-6)
    names = [tuple("abc"[k] for k in row) for row in best.indices.tolist()]
    assert [each.classes for each in found] == names
    hits = [p.classes[0] == "abc"[k] for p, k in zip(found, labels, strict=True)]
    evaluation = evaluate(network, data.test)
    assert np.mean(hits) == pytest.approx(evaluation.accuracy)
    # What it says of the wiring is what the adjacency says.
    macs = cost(network, 8).expected_macs(adjacency)
    assert [p.expected_macs for p in found] == [round(v) for v in macs.tolist()]
    about = predictor.about()
    share = np.mean([p.expected_macs for p in found]) / about["total_macs"]
    assert share == pytest.approx(evaluation.macs_share, rel=1e-5) and share < 1
    for place, prediction in enumerate(found):
        matrices = [matrix[place] for matrix in adjacency]
        is_open = [matrix.count_nonzero().item() for matrix in matrices]
        assert prediction.open_edges == sum(is_open)
        alive = [
            (matrix[1:-1].count_nonzero(1) > 0).sum().item() for matrix in matrices
        ]
        assert prediction.alive_nodes == sum(alive)
        assert prediction.weights is not None
        for matrix, stage, weights in zip(
            matrices, about["stages"], prediction.weights, strict=True
        ):
            again = torch.zeros_like(matrix)
            for (i, j), weight in zip(stage["edges"], weights, strict=True):
                again[j, i] = weight
            torch.testing.assert_close(again, matrix)


def test_photographs_are_prepared_as_a_folder_of_images_is(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data", each=3, val=3)
    data = load_data("folder", root=root, image_size=16)
    folder = small_run(tmp_path / "run", data, num_classes=2, in_channels=3)
    predictor = Predictor(trained(folder))
    files = picture_files([root / "val"])
    x, places = Pictures(files, predictor.preparation).batch(range(6), None)
    wanted, _ = data.test.batch(range(6), None)
    assert torch.equal(x, wanted) and places.tolist() == list(range(6))
    found = [p.classes[0] for p in predictor.predictions(files, top=1)]
    with torch.no_grad():
        best = predictor.trained.network(wanted).argmax(1)
    assert found == ["ab"[k] for k in best.tolist()]


@pytest.mark.parametrize("size", [(8, 8), (20, 16), (9, 33)])
def test_colours_become_grey_and_sizes_fit(
    size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "a.png")
    (x,), _ = Pictures(picture_files([tmp_path]), GREY).batch([0], None)
    assert x.shape == (1, 8, 8)
    if size == (8, 8):  # taken as it is
        grey = torch.from_numpy(np.array(picture.convert("L"))).float()
        torch.testing.assert_close(x[0], (grey / 255 - 0.3) / 0.2)


def test_an_image_stands_as_viewers_show_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: viewers turn it a quarter to the right
    stored = picture.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "a.png", exif=exif)
    picture.save(tmp_path / "b.png")
    (turned, plain), _ = Pictures(picture_files([tmp_path]), GREY).batch([0, 1], None)
    assert torch.equal(turned, plain)


def test_damaged_exif_says_nothing_of_the_pixels(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), (9, 200, 40))
    picture.save(tmp_path / "a.png", exif=b"Exif\0\0garbage!")
    picture.save(tmp_path / "b.png")
    (odd, plain), _ = Pictures(picture_files([tmp_path]), GREY).batch([0, 1], None)
    assert torch.equal(odd, plain)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_done(
    run: Path, tmp_path: Path
) -> None:
    written(small_data(test=6), tmp_path / "images")
    (tmp_path / "images" / "001.png").write_text("none")
    Image.new("L", (1, 5000)).save(tmp_path / "images" / "004.png")
    files = picture_files([tmp_path / "images"])
    heard: list[BadImage] = []
    predictor = Predictor(trained(run))
    found = list(predictor.predictions(files, batch_size=2, bad=heard.extend))
    assert [Path(p.file).name for p in found] == [f"00{k}.png" for k in (0, 2, 3, 5)]
    assert [Path(image.name).name for image in heard] == ["001.png", "004.png"]
    assert "4 bytes are none of JPEG" in heard[0].reason
    assert "at most 100 times the other, got 1x5000" in heard[1].reason
    whole = list(predictor.predictions(files, batch_size=64, bad=lambda _: None))

    def rounded(each: Prediction) -> Prediction:
        values = tuple(round(p, 5) for p in each.probabilities)
        return replace(each, probabilities=values)

    assert list(map(rounded, found)) == list(map(rounded, whole))
    with pytest.raises(DataError, match="001.png: every file must be a readable im"):
        list(predictor.predictions(files))


def test_files_are_those_named_and_those_below_folders(tmp_path: Path) -> None:
    below = tmp_path / "b" / "c"
    below.mkdir(parents=True)
    for name in ("z.PNG", "a.jpg", "notes.txt"):
        (tmp_path / "b" / name).write_text("")
    (below / "y.webp").write_text("")
    (below / "back").symlink_to(tmp_path / "b")
    (tmp_path / "odd.name").write_text("")
    files = picture_files([tmp_path / "odd.name", tmp_path / "b"])
    found = [str(Path(name).relative_to(tmp_path)) for name in files]
    assert found == ["odd.name", "b/a.jpg", "b/z.PNG", "b/c/y.webp"]


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b.png").write_text("")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        picture_files([tmp_path])


def test_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold images, got none in it or below"):
        picture_files([tmp_path])
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        picture_files([tmp_path / "nowhere"])
    source = trained(run)
    with pytest.raises(RunError, match="got a network alone; give the run"):
        Predictor(Trained(source.network))
    with pytest.raises(RunError, match="a run of 2 classes and 1 channels needs such"):
        Predictor(replace(source, classes=("x", "y")))
    files = written(small_data(), tmp_path / "images")
    predictor = Predictor(source)
    for top, batch_size, words in ((0, 1, "top must"), (1, 0, "batch_size must")):
        with pytest.raises(DataError, match=words):
            list(predictor.predictions(files, top=top, batch_size=batch_size))
    with torch.no_grad():
        next(source.network.head.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="logits must be finite"):
        list(predictor.predictions(files))
