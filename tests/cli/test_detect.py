"""The commands of detection, as a user calls them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ddw_graph import load, save
from ddw_graph.detection.detector import Detector
from ddw_graph.detection.figures import FIGURES
from ddw_graph.training.run import Run
from tests.cli.command import call
from tests.deployment.small import small_run
from tests.detection.small import make_data, small_network

NETWORK = ("--model", "randwire_tiny", "--wiring", "complete:n=1")
SETTINGS = (
    *("--set", "levels=4,8", "--set", "anchor_sizes=12,20,32"),
    *(
        "--set",
        "min_size=64",
        "--set",
        "pyramid_channels=8",
        "--set",
        "head_features=16",
    ),
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
    result = call("detect", "train", "--root", data, *TRY, "--out", folder)
    assert result.exit_code == 0, result.output
    assert "1 epoch of synthetic images" in result.stdout
    assert "epoch 1: train loss" in result.stderr
    assert "did not fall at milestones 1: there were 1 epoch" in result.stderr
    assert all(f"| {name} | " in result.stdout for name in FIGURES)
    return folder


def test_a_finished_run_is_told_again(data: Path, trained: Path) -> None:
    wanted = (*TRY, "--out", trained, "--resume", "--json")
    again = call("detect", "train", "--root", data, *wanted)
    assert again.exit_code == 0, again.output
    result = json.loads(again.stdout)
    assert result == Run(trained).result
    assert result["synthetic"] is True


@pytest.mark.full
def test_starts_from_a_trained_classifier(data: Path, tmp_path: Path) -> None:
    classifier = tmp_path / "classifier.safetensors"
    save(small_network(), classifier)
    words = ("--from", classifier, *SETTINGS, "--out", tmp_path / "run", "--json")
    result = call("detect", "train", "--root", data, *words)
    assert result.exit_code == 0, result.output
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
    words: tuple[Any, ...] = (
        *TRY,
        "--set",
        "accumulate=2",
        "--set",
        "ema_decay=0.5",
        "--checkpoint-steps",
        1,
    )
    words = (*words, "--tensorboard", "--precision", "bfloat16", "--batch-size", 2)
    train = ("detect", "train", "--root", broken, *words, "--out", out)
    assert_refused(*train, message="000001.png: every file must be a readable")
    shutil.rmtree(out)
    result = call(*train, "--bad-images", "skip")
    assert result.exit_code == 0, result.output
    run = Run(out)
    assert [run.config["data"][part]["bad_images"] for part in ("train", "val")] == [
        1
    ] * 2
    rows = (out / "bad_images.csv").read_text().splitlines()
    assert [Path(row.split(",")[0]).name for row in rows[1:]] == [
        "000001.png",
        "000000.png",
    ]
    assert list((out / "tensorboard").iterdir())
    evaluated = call("detect", "eval", out, "--root", broken, "--bad-images", "skip")
    assert "2 synthetic images:" in evaluated.stdout


def test_evaluates_with_files_and_a_picture(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    found, picture = tmp_path / "found.json", tmp_path / "found.png"
    words = ("--detections", found, "--picture", picture)
    result = call("detect", "eval", trained, "--root", data, *words, "--json")
    assert result.exit_code == 0, result.output
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
    again = call("detect", "eval", trained, "--root", data, *words)
    assert again.exit_code == 2 and "is there already" in again.stderr
    assert found.read_text() == "mine"


def test_predicts_with_the_adjacency_of_each_image(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    images = sorted((data / "val").iterdir())
    words = ("--score", 0, "--adjacency", "--out", tmp_path / "found", "--json")
    result = call("detect", "predict", trained, *images, *words)
    assert result.exit_code == 0, result.output
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
    again = call("detect", "predict", trained, *images, *words)
    assert again.exit_code == 2 and again.stdout == ""
    assert "3-000002.png is there already" in again.stderr
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
    result = call(*train, classifier, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
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


def test_without_a_subcommand_it_says_what_there_is() -> None:
    result = call("detect")
    assert result.exit_code == 0
    for name in ("train", "eval", "predict"):
        assert f"  {name} " in result.output


def assert_refused(*words: object, message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2, (words, result.output)
    assert message in result.stderr, (words, result.stderr)
    assert result.stderr.startswith("ddw-graph: ") and result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr


@pytest.fixture
def other(data: Path, tmp_path: Path) -> Path:
    """Returns the data with a category of another name in the images to test on."""
    folder = tmp_path / "other"
    shutil.copytree(data, folder)
    renamed = folder / "annotations" / "instances_val.json"
    renamed.write_text(renamed.read_text().replace('"name":"Bag"', '"name":"Sack"'))
    return folder


def test_what_cannot_be_trained_is_one_line_and_2(
    data: Path, other: Path, trained: Path, tmp_path: Path
) -> None:
    classifier = tmp_path / "classifier.safetensors"
    save(small_network(), classifier)
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    boxes = broken / "annotations" / "instances_train.json"
    boxes.write_bytes(boxes.read_bytes()[:-40])
    out = ("--out", tmp_path / "run")
    detector = trained / "model.safetensors"
    for words, message in (
        ((broken, *out), "instances_train.json must hold whole JSON"),
        ((tmp_path / "none", *out), "got neither"),
        ((data, *TRY, "--out", data), "a run needs an empty or a new folder"),
        ((data, *TRY, "--set", "levels=4,x", *out), "or several with commas"),
        ((data, *TRY, "--set", "levels=2,64", *out), "levels must be among"),
        ((data, "--recipe", "3x", *out), "recipe must be 1x or small"),
        ((data, "--settings", "big", *out), "settings must be coco or small"),
        ((data, *TRY, "--from", classifier, *out), "combined with --from"),
        ((data, "--from", trained, *out), "a Detector"),
        ((other, *TRY, *out), "categories of"),
    ):
        assert_refused("detect", "train", "--root", *words, message=message)
    for start, message in (
        (trained, "a Detector"),
        (detector, "a Detector"),
    ):
        assert_refused("train", "--from", start, *out, message=message)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_detected_is_one_line_and_2(
    data: Path, other: Path, trained: Path, tmp_path: Path
) -> None:
    classifier = tmp_path / "classifier.safetensors"
    save(small_network(), classifier)
    (tmp_path / "empty").mkdir()
    boxes = data / "annotations" / "instances_train.json"
    exported = ("--out", tmp_path / "a.pt2")
    detector = trained / "model.safetensors"
    for words, message in (
        (("eval", classifier, "--root", data), "a Detector, got a Network"),
        (("eval", trained, "--root", other), "got 9 'Sack'"),
        (("eval", trained), "--root is needed, or --images with"),
        (("eval", trained, "--root", data, "--picture", "a.txt"), ".png"),
        (("predict", trained, tmp_path / "no.png"), "no such file or folder"),
        (("predict", trained, tmp_path / "empty"), "must hold images, got"),
        (("predict", trained, data, "--adjacency"), "needs --json or --out"),
        (("predict", trained, data, "--out", boxes), "File exists"),
        (("predict", trained, data, "--out", "/proc/found"), "/proc/found"),
        (("predict", tmp_path, boxes), "must hold config.json"),
        (("nonsense",), "No such command 'nonsense'"),
    ):
        assert_refused("detect", *words, message=message)
    for command, message in (
        (("predict", trained, data), "a Detector"),
        (("predict", detector, data), "a Detector"),
        (("export", trained, *exported), "a Detector"),
        (("export", detector, *exported), "a Detector"),
        (("bench", "latency", "--model", trained), "a Detector"),
    ):
        assert_refused(*command, message=message)
    assert not (tmp_path / "a.pt2").exists()


@pytest.mark.full
def test_processes_train_together(data: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    launch += ["-m", "ddw_graph.cli.main", "detect", "train", "--root", str(data)]
    launch += [*map(str, TRY), "--processes", "2", "--batch-size", "3"]
    launch += ["--json", "--out", str(tmp_path / "two")]
    done = subprocess.run(launch, capture_output=True, text=True, check=True)
    # The process that leads speaks, and no other.
    result = json.loads(done.stdout)
    assert result == Run(tmp_path / "two").result
    assert Run(tmp_path / "two").config["execution"]["processes"] == 2
    again = call("detect", "eval", tmp_path / "two", "--root", data, "--json")
    assert {name: json.loads(again.stdout)[name] for name in FIGURES} == {
        name: result[name] for name in FIGURES
    }
