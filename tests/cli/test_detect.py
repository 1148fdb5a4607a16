"""The commands of detection, as a user calls them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ddw_graph import load, save
from ddw_graph.detection.detector import Detector
from ddw_graph.detection.figures import FIGURES
from ddw_graph.training.run import Run
from tests.cli.command import call, refused, succeeds
from tests.deployment.small import small_run
from tests.detection.small import make_data, small_network

NETWORK = ("--model", "randwire_tiny", "--wiring", "complete:n=1")
SETTINGS = (
    *("--set", "levels=4,8", "--set", "anchor_sizes=12,20,32"),
    *("--set", "min_size=64", "--set", "pyramid_channels=8"),
    *("--set", "head_features=16"),
    *("--epochs", 1, "--set", "milestones=1"),
)
TRY = (*NETWORK, *SETTINGS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "made"
    make_data(folder, "--train", "4", "--val", "3", "--image-size", "64")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    folder = data.parent / "run"
    result = succeeds("detect", "train", "--root", data, *TRY, "--out", folder)
    assert "1 epoch of synthetic images" in result.stdout
    assert "epoch 1: train loss" in result.stderr
    assert "did not fall at milestones 1: there were 1 epoch" in result.stderr
    assert all(f"| {name} | " in result.stdout for name in FIGURES)
    return folder


def test_a_finished_run_is_not_repeated(data: Path, trained: Path) -> None:
    wanted = (*TRY, "--out", trained, "--resume", "--json")
    again = succeeds("detect", "train", "--root", data, *wanted)
    result = json.loads(again.stdout)
    assert result == Run(trained).result
    assert result["synthetic"] is True


@pytest.mark.full
def test_starts_from_a_trained_classifier(data: Path, tmp_path: Path) -> None:
    classifier = tmp_path / "classifier.safetensors"
    save(small_network(), classifier)
    words = ("--from", classifier, *SETTINGS, "--out", tmp_path / "run", "--json")
    result = succeeds("detect", "train", "--root", data, *words)
    settings = Run(tmp_path / "run").model_config["settings"]
    assert (settings["norm"], settings["frozen_layers"]) == ("frozen", 2)
    again = call("detect", "train", "--root", data, *words, "--resume")
    assert json.loads(again.stdout) == json.loads(result.stdout)
    save(small_network(), classifier, overwrite=True)
    other = call("detect", "train", "--root", data, *words, "--resume")
    assert other.exit_code == 2 and "configuration: weights is" in other.stderr


def test_all_that_trainings_have_is_there_for_detectors(
    data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    for name in ("train/000001.png", "val/000000.png"):
        (broken / name).write_bytes(b"cut")
    out = tmp_path / "run"
    settings = ("--set", "accumulate=2", "--set", "ema_decay=0.5", "--batch-size", 2)
    words = (*TRY, *settings, "--checkpoint-steps", 1, "--precision", "bfloat16")
    board = ("--tensorboard", "--out", out)
    train = ("detect", "train", "--root", broken, *words, *board)
    refused(*train, message="000001.png: every file must be a readable")
    shutil.rmtree(out)
    succeeds(*train, "--bad-images", "skip")
    of = Run(out).config["data"]
    assert [of[part]["bad_images"] for part in ("train", "val")] == [1, 1]
    rows = (out / "bad_images.csv").read_text().splitlines()
    names = [Path(row.split(",")[0]).name for row in rows[1:]]
    assert names == ["000001.png", "000000.png"]
    assert list((out / "tensorboard").iterdir())
    evaluated = call("detect", "eval", out, "--root", broken, "--bad-images", "skip")
    assert "2 synthetic images:" in evaluated.stdout


def test_evaluates_with_files_and_a_picture(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    found, picture = tmp_path / "found.json", tmp_path / "found.png"
    words = ("--detections", found, "--picture", picture)
    result = succeeds("detect", "eval", trained, "--root", data, *words, "--json")
    report = json.loads(result.stdout)
    wanted = Run(trained).result or {}
    assert all(report[name] == wanted[name] for name in FIGURES)
    assert report["synthetic"] is True and report["images"] == 3
    for entry in json.loads(found.read_text()):
        assert set(entry) == {"image_id", "category_id", "bbox", "score"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    boxes = data / "annotations" / "instances_val.json"
    model = trained / "model.safetensors"
    where = ("--images", data / "val", "--annotations", boxes)
    told = call("detect", "eval", model, *where)
    assert "3 synthetic images:" in told.stdout
    found.write_text("mine")
    again = ("detect", "eval", trained, "--root", data, *words)
    refused(*again, message="is there already")
    assert found.read_text() == "mine"


def test_predicts_with_the_adjacency_of_each_image(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    images = sorted((data / "val").iterdir())
    words = ("--score", 0, "--adjacency", "--out", tmp_path / "found", "--json")
    result = succeeds("detect", "predict", trained, *images, *words)
    entries = json.loads(result.stdout)
    assert [entry["file"] for entry in entries] == [str(path) for path in images]
    assert entries == json.loads((tmp_path / "found" / "detections.json").read_text())
    shapes = [(len(stage), len(stage[0])) for stage in entries[0]["adjacency"]]
    assert len(shapes) == 3 and all(rows == columns for rows, columns in shapes)
    assert entries[0]["adjacency"] != entries[1]["adjacency"]
    assert entries[0]["detections"]
    pictures = sorted((tmp_path / "found").glob("*.png"))
    names = [f"{number}-00000{number - 1}.png" for number in (1, 2, 3)]
    assert [path.name for path in pictures] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    # What is there is looked at before anything is computed.
    for path in (tmp_path / "found" / "detections.json", *pictures[:2]):
        path.unlink()
    pictures[2].write_text("mine")
    again = ("detect", "predict", trained, *images, *words)
    refused(*again, message="3-000002.png is there already")
    assert pictures[2].read_text() == "mine"
    plain = call("detect", "predict", trained, images[0], "--score", 1)
    assert plain.stdout == f"{images[0]}: nothing\n"


def test_what_a_detectors_settings_leave_out_may_be_asked_for(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    detector = load(trained / "model.safetensors", kind=Detector)
    assert detector.config is not None
    detector.config["settings"]["score"] = 0.9
    save(detector, tmp_path / "strict.safetensors")
    image = sorted((data / "val").iterdir())[0]
    words = ("detect", "predict", tmp_path / "strict.safetensors", image, "--json")
    (all_of_it,) = json.loads(call(*words, "--score", 0).stdout)
    (usual,) = json.loads(call(*words).stdout)
    assert all_of_it["detections"] and not usual["detections"]


def test_names_broken_images_and_does_the_rest(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    shutil.copytree(data / "val", folder / "a")
    shutil.copytree(data / "val", folder / "b")  # the same names again
    (folder / "a" / "000001.png").write_bytes(b"cut")
    out = tmp_path / "found"
    result = call("detect", "predict", trained, folder, "--out", out, "--json")
    assert result.exit_code == 1, result.output
    files = [entry["file"] for entry in json.loads(result.stdout)]
    rest = ["a/000000", "a/000002", "b/000000", "b/000001", "b/000002"]
    assert files == [str(folder / f"{name}.png") for name in rest]
    names = {f"{number}-00000{(number - 1) % 3}.png" for number in (1, 3, 4, 5, 6)}
    assert {path.name for path in out.iterdir()} == {"detections.json", *names}
    first, last = result.stderr.splitlines()
    assert "a/000001.png: every file must be a readable image (3 bytes" in first
    assert first.endswith("; it is left out")
    assert last == f"wrote {out / 'detections.json'} and 5 pictures"
    plain = call("detect", "predict", trained, folder)
    assert plain.exit_code == 1 and len(plain.stdout.splitlines()) == 5
    none = call("detect", "predict", trained, folder / "a" / "000001.png")
    assert none.exit_code == 2 and "at least one image must be readable" in none.stderr


@pytest.mark.full
def test_images_are_normalised_as_those_of_the_classifier(
    data: Path, tmp_path: Path
) -> None:
    classifier = small_run(tmp_path / "classifier")  # grey, mean 0.3, std 0.2
    train = ("detect", "train", "--root", data, *SETTINGS, "--from")
    result = succeeds(*train, classifier, "--out", tmp_path / "run")
    assert "mean and std" not in result.stderr
    settings = Run(tmp_path / "run").model_config["settings"]
    assert settings["mean"] == pytest.approx([0.3])
    assert settings["std"] == pytest.approx([0.2])
    # A file does not hold the mean of its images, and the command says so.
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((classifier / "model.safetensors").read_bytes())
    result = call(*train, alone, "--out", tmp_path / "other")
    assert f"{alone} is no run's folder with the mean and std" in result.stderr
    assert Run(tmp_path / "other").model_config["settings"]["mean"] is None


def test_without_a_subcommand_its_help_is_shown() -> None:
    result = call("detect")
    assert result.exit_code == 0
    for name in ("train", "eval", "predict"):
        assert f"  {name} " in result.output


MISTAKES = {
    "train --root {broken} --out a": "instances_train.json must hold whole JSON",
    "train --root none --out a": "got neither",
    "train --root {data} {try} --out {data}": "a run needs an empty or a new folder",
    "train --root {data} {try} --set levels=4,x --out a": "or several with commas",
    "train --root {data} {try} --set levels=2,64 --out a": "levels must be among",
    "train --root {data} --recipe 3x --out a": "recipe must be 1x or small",
    "train --root {data} {try} --from {net} --out a": "combined with --from",
    "train --root {data} --from {run} --out a": "a Detector",
    "train --root {other} {try} --out a": "categories of",
    "eval {net} --root {data}": "a Detector, got a Network",
    "eval {run} --root {other}": "got 9 'Sack'",
    "eval {run}": "--root is needed, or --images with",
    "eval {run} --root {data} --picture a.txt": ".png",
    "predict {run} no.png": "no such file or folder",
    "predict {run} {data} --adjacency": "needs --json or --out",
    "predict {run} {data} --out {boxes}": "File exists",
    "predict {data} {boxes}": "must hold config.json",
    "nonsense": "No such command 'nonsense'",
}
OF_NETWORKS = (
    "train --from {run} --out a",
    "train --from {detector} --out a",
    "predict {run} {data}",
    "export {detector} --out a.pt2",
    "bench latency --model {run}",
)


def test_a_mistake_is_one_line_and_writes_nothing(
    data: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, here = tmp_path / "given", tmp_path / "here"
    for folder in (given, here):
        folder.mkdir()
    save(small_network(), given / "net")
    for name in ("broken", "other"):
        shutil.copytree(data, given / name)
    boxes = given / "broken" / "annotations" / "instances_train.json"
    boxes.write_bytes(boxes.read_bytes()[:-40])
    renamed = given / "other" / "annotations" / "instances_val.json"
    renamed.write_text(renamed.read_text().replace('"name":"Bag"', '"name":"Sack"'))
    paths: dict[str, Any] = {name: given / name for name in ("net", "broken", "other")}
    paths |= {"data": data, "run": trained, "try": " ".join(map(str, TRY))}
    paths |= {"detector": trained / "model.safetensors", "boxes": boxes}
    monkeypatch.chdir(here)
    for words, message in MISTAKES.items():
        refused("detect", *words.format(**paths).split(), message=message)
    for words in OF_NETWORKS:
        refused(*words.format(**paths).split(), message="a Detector")
    assert not list(here.iterdir())
