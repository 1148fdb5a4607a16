"""Predictions are those of a run's evaluation on the same images."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddw_graph.deployment.predict import Prediction, Predictor
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.data import load_data
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.loading import batches
from ddw_graph.training.pictures import picture_files, read_picture
from tests.deployment.small import small_run
from tests.training.photographs import image_folder
from tests.training.small import small_data


def written(data: ImageData, folder: Path) -> list[str]:
    """Writes the test images of a set as files."""
    folder.mkdir()
    for place in range(data.sizes[1]):
        pixels, _ = data.test[place]
        Image.fromarray(pixels[0].numpy()).save(folder / f"{place:03d}.png")
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
    assert [each.file for each in found] == files
    network = predictor.network
    ((x, labels),) = batches(data.test_inputs(), len(files))
    with torch.no_grad():
        logits, adjacency = network(x, return_adjacency=True)
    best = logits.softmax(1).topk(3)
    probabilities = torch.tensor([each.probabilities for each in found])
    torch.testing.assert_close(probabilities, best.values, rtol=1e-5, atol=1e-6)
    names = [tuple("abc"[k] for k in row) for row in best.indices.tolist()]
    assert [each.classes for each in found] == names
    hits = [p.classes[0] == "abc"[k] for p, k in zip(found, labels, strict=True)]
    evaluation = evaluate(network, data.test_inputs())
    assert np.mean(hits) == pytest.approx(evaluation.accuracy)
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
    ((wanted, _),) = batches(data.test_inputs(), 6)
    with torch.no_grad():
        best = predictor.network(wanted).softmax(1).max(1)
    for k, found in enumerate(predictor.predictions(files, top=1)):
        assert found.classes[0] == "ab"[best.indices[k]]
        assert found.probabilities[0] == pytest.approx(best.values[k].item(), rel=1e-4)


def test_an_image_is_read_as_viewers_show_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 3), np.uint8)
    picture = Image.fromarray(pixels)
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6  # viewers turn it a quarter to the right
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    for stored, exif in (
        (turned, on_its_side.tobytes()),
        (picture, b"Exif\0\0garbage!"),  # says nothing about the pixels
    ):
        stored.save(tmp_path / "a.png", exif=exif)
        found = np.asarray(read_picture(str(tmp_path / "a.png")))
        np.testing.assert_array_equal(found, pixels)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_done(
    run: Path, tmp_path: Path
) -> None:
    written(small_data(test=6), tmp_path / "images")
    (tmp_path / "images" / "001.png").write_text("none")
    Image.new("L", (1, 5000)).save(tmp_path / "images" / "004.png")
    files = picture_files([tmp_path / "images"])
    bad: list[BadImage] = []
    predictor = Predictor(trained(run))
    found = list(predictor.predictions(files, batch_size=2, bad=bad.extend))
    assert [Path(p.file).name for p in found] == [f"00{k}.png" for k in (0, 2, 3, 5)]
    assert [Path(image.name).name for image in bad] == ["001.png", "004.png"]
    assert "4 bytes are none of JPEG" in bad[0].reason
    assert "at most 100 times the other, got 1x5000" in bad[1].reason
    whole = list(predictor.predictions(files, batch_size=64, bad=lambda _: None))

    def rounded(each: Prediction) -> Prediction:
        values = tuple(round(p, 5) for p in each.probabilities)
        return replace(each, probabilities=values)

    assert list(map(rounded, found)) == list(map(rounded, whole))
    with pytest.raises(DataError, match="001.png: every file must be a readable im"):
        list(predictor.predictions(files))


def test_files_are_those_named_and_those_below_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    # A folder that cannot be read is not passed over.
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "c":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        picture_files([tmp_path])


def test_names_what_it_rejects(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold images, got none in it or below"):
        picture_files([tmp_path])
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        picture_files([tmp_path / "nowhere"])
    source = trained(run)
    with pytest.raises(RunError, match="got a network only; give the run"):
        Predictor(Trained(source.network))
    files = written(small_data(), tmp_path / "images")
    predictor = Predictor(source)
    with torch.no_grad():
        next(source.network.head.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="logits must be finite"):
        list(predictor.predictions(files))
