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

from ddw_graph.training.pictures import read_picture
from ddw_graph.training.transform import Transform
from tests.cli.command import call, refused, succeeds
from tests.deployment.small import small_run
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
    result = succeeds("export", run, "--out", out, "--adjacency", "--json")
    report = json.loads(result.stdout)
    assert report["bytes"] == out.stat().st_size and report["format"] == "onnx"
    assert report["parity"]["logits"] <= 1e-4 and len(report["outputs"]) == 4
    assert report["metadata"]["classes"] == ["a", "b", "c"]
    return out


def predicted(*arguments: object) -> list[Any]:
    found = json.loads(succeeds("predict", *arguments, "--json").stdout)
    images: list[Any] = found["images"]
    return images


def test_exports_and_prints_how_far_it_is_from_the_network(
    run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt2"
    result = succeeds("export", run / "model.safetensors", "--out", out)
    assert result.stdout.startswith(f"{out}: torch, 0.") and result.stderr == ""
    assert "of the largest logit off (rounding alone: " in result.stdout
    refused("export", run, "--out", out, message="--overwrite")


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
        found = f"{best['class']} {100 * best['probability']:.1f} %"
        wanted.append(f"{image['file']}: {found}, {image['open_edges']} open edges")
    assert done.stdout.splitlines() == wanted


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_onnx", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shape", [(40, 30), (57, 91), (16, 16), (300, 17)])
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
    result = call("predict", run, tmp_path, pictures, "--batch-size", 2, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["left_out"], len(found["images"])) == (1, 1, 5)
    alone = ("predict", run, tmp_path / f"bad {name}")
    assert "at least one image must be readable" in call(*alone).stderr


def test_predicts_as_a_table_as_csv_and_as_json(run: Path, pictures: Path) -> None:
    table = succeeds("predict", run, pictures)
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
    found = json.loads(whole.stdout)
    (image,) = found["images"]
    assert [len(weights) for weights in image["weights"]] == [6, 6, 6]
    shut = sum(weights.count(0) for weights in image["weights"])
    assert image["open_edges"] == found["edges"] - shut == 18 - shut
    assert found["left_out"] == 0
