"""The commands that export and predict, as a user calls them."""

import ast
import csv
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddw_graph.deployment import onnx
from ddw_graph.training.data import load_data
from ddw_graph.training.pictures import read_picture
from ddw_graph.training.transform import Transform
from tests.cli.command import call
from tests.deployment.small import small_run
from tests.training.photographs import image_folder
from tests.training.small import small_data

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "run_onnx.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return small_run(folder / "run", n=2)


@pytest.fixture(scope="module")
def pictures(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    for place in range(4):
        pixels, _ = small_data().test[place]
        Image.fromarray(pixels[0].numpy()).save(folder / "pictures" / f"{place}.png")
    return folder / "pictures"


@pytest.fixture(scope="module")
def exported(folder: Path, run: Path) -> Path:
    out = folder / "net.onnx"
    result = call("export", run, "--out", out, "--adjacency", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["bytes"] == out.stat().st_size and told["format"] == "onnx"
    assert told["parity"]["logits"] <= 1e-4 and len(told["outputs"]) == 4
    assert told["metadata"]["classes"] == ["a", "b", "c"]
    return out


def predicted(*arguments: object) -> list[Any]:
    result = call("predict", *arguments, "--json")
    assert result.exit_code == 0, result.output
    images: list[Any] = json.loads(result.stdout)["images"]
    return images


def test_exports_and_says_how_far_it_is_from_the_network(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt2"
    result = call("export", run / "model.safetensors", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: torch, 0.") and result.stderr == ""
    assert "of the largest logit off (rounding alone: " in result.stdout
    again = call("export", run, "--out", out)
    assert again.exit_code == 2 and "--overwrite" in again.stderr


@pytest.mark.full
def test_an_exported_file_runs_without_anything_of_ours(
    run: Path, exported: Path, pictures: Path
) -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or node.names[0].name]
    }
    assert imported == {"json", "sys", "numpy", "onnxruntime", "PIL"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    code = (
        "import runpy, sys\n"
        "for name in ('ddw_graph', 'torch'): sys.modules[name] = None\n"  # no import
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
    )
    files = sorted(map(str, pictures.iterdir()))
    done = subprocess.run(
        [sys.executable, "-c", code, str(SCRIPT), str(exported), *files],
        capture_output=True,
        text=True,
        cwd=pictures,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    wanted = []
    for image in predicted(run, pictures):
        (best, *_) = image["classes"]
        told = f"{best['class']} {100 * best['probability']:.1f} %"
        wanted.append(f"{image['file']}: {told}, {image['open_edges']} open edges")
    assert done.stdout.splitlines() == wanted


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_onnx", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(40, 30), (57, 91), (16, 16), (300, 17), (18, 18)])
@pytest.mark.parametrize(
    "transform", [Transform.of_files(16), Transform(1, 16, 16, (0.3,), (0.2,))], ids=str
)
def test_the_script_transforms_images_as_evaluation_does(
    shape: tuple[int, int], transform: Transform, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    path = str(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(pixels).save(path, exif=exif)
    found = script().prepared(path, transform.as_dict())
    wanted = transform(read_picture(path))[None]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_a_name_of_a_file_keeps_its_line(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    name = 'a\nb\x1b[2J",\u202e.png'
    (tmp_path / name).write_bytes((pictures / "0.png").read_bytes())
    (tmp_path / f"bad {name}").write_bytes(b"")
    for options, count in (((), 2), (("--csv",), 2)):
        result = call("predict", run, tmp_path, *options)
        assert result.exit_code == 1 and len(result.stdout.splitlines()) == count
        assert all(c == "\n" or c.isprintable() for c in result.output)
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert row["file"] == str(tmp_path / 'a\\nb\\x1b[2J",\\u202e.png')
    assert json.loads(call("predict", run, tmp_path, "--json").stdout)["images"]


def test_predicts_as_a_table_as_csv_and_as_json(run: Path, pictures: Path) -> None:
    table = call("predict", run, pictures)
    assert table.exit_code == 0, table.output
    assert table.stderr.startswith("images: grey, short side resized to 8 px, centre")
    header, *lines = table.stdout.splitlines()
    assert (
        "of 18 edges  of 6 computing nodes  expected MACs, M  classes" in header
        and len(lines) == 4
    )
    assert lines[0].startswith(f"{pictures}/0.png ")
    images = predicted(run, pictures)
    for line, image in zip(lines, images, strict=True):
        first = image["classes"][0]
        assert f"  {first['class']} {100 * first['probability']:.1f} %, " in line
    text = call("predict", run, pictures, "--csv", "--top", 2).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    for row, image in zip(rows, images, strict=True):
        one, two, _ = image["classes"]
        assert (row["class"], row["class_2"]) == (one["class"], two["class"])
        assert float(row["probability"]) == pytest.approx(one["probability"], abs=1e-6)
        assert int(row["expected_macs"]) == image["expected_macs"]
        assert "weights" not in image
    whole = call("predict", run, pictures / "1.png", "--json", "--adjacency")
    told = json.loads(whole.stdout)
    (image,) = told["images"]
    assert [len(weights) for weights in image["weights"]] == [6, 6, 6]
    shut = sum(weights.count(0) for weights in image["weights"])
    assert image["open_edges"] == told["edges"] - shut == 18 - shut
    assert told["left_out"] == 0


def test_names_broken_images_and_does_the_rest(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "bro\x1bken.png"
    broken.write_text("no")
    result = call("predict", run, broken, pictures, "--batch-size", 2, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["left_out"] == 1 and len(told["images"]) == 4
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{tmp_path}/bro\\x1bken.png is left out: 2 bytes are none")
    none = call("predict", run, broken)
    assert none.exit_code == 2 and "at least one image must be readable" in none.stderr


def test_predicts_with_a_saved_network(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "net.safetensors"
    saved.write_bytes((run / "model.safetensors").read_bytes())
    alone = call("predict", saved, pictures)
    assert alone.exit_code == 2 and "give the run with --run" in alone.stderr
    assert predicted(saved, pictures, "--run", run) == predicted(run, pictures)


@pytest.mark.full
def test_a_run_of_photographs_is_exported_with_its_classes(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data", each=2, val=1)
    data = load_data("folder", root=root, image_size=16)
    run = small_run(tmp_path / "run", data, num_classes=2, in_channels=3, n=1)
    result = call("export", run, "--out", tmp_path / "a.pt2", "--json")
    about = json.loads(result.stdout)["metadata"]
    assert about["classes"] == ["a", "b"] and about["channels"] == 3
    assert (about["image_size"], about["resize"]) == (16, 18)
    assert about["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "RUN", "--out", "/proc/a.onnx"], "/proc"),
        (["export", "RUN", "--out", "TMP/no/a.onnx"], "needs its folder"),
        (["export", "RUN", "--out", "TMP/a.onnx", "--format", "tflite"], "'tflite'"),
        (["export", "RUN", "--out", "TMP/a.bin"], "neither .onnx nor .pt2, got a.bin"),
        (["export", "TMP", "--out", "TMP/a.onnx"], "must hold config.json"),
        (["export", "TMP/text", "--out", "TMP/a.onnx"], "safetensors"),
        (["predict", "RUN", "TMP/empty"], "must hold images, got none"),
        (["predict", "RUN", "TMP/text", "--csv", "--json"], "got both"),
        (["predict", "RUN", "TMP/text", "--adjacency"], "--adjacency needs --json"),
        (["predict", "RUN", "TMP/nowhere"], "no such file or folder"),
        (["predict", "TMP/text", "TMP/text"], "safetensors"),
        (["predict", "RUN"], "FILE_OR_FOLDER"),
    ],
)
def test_says_what_is_wrong_in_one_line(
    arguments: list[str], words: str, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("GIF89a, not quite")
    places = {"RUN": str(run), "TMP": str(tmp_path)}
    for key, place in places.items():
        arguments = [argument.replace(key, place) for argument in arguments]
    result = call(*arguments)
    assert result.exit_code == 2 and result.stdout == ""
    *_, last = result.stderr.splitlines()
    assert words in last and "Traceback" not in result.output
    assert not list(tmp_path.glob("*.onnx"))


def test_a_missing_extra_is_named_with_the_command_that_brings_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx", "not_there"))
    result = call("export", run, "--out", tmp_path / "a.onnx")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert (
        "got no not_there; install with pip install 'ddw_graph[onnx]'" in result.stderr
    )
