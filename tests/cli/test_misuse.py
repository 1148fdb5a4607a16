"""What a user gets wrong is one line on stderr and exit code 2, and writes nothing."""

import sys
from pathlib import Path

import pytest

from ddw_graph.experiments.planned_run import PlannedRun
from tests.cli.command import refused
from tests.experiments.small import images, pretend

CASES = {
    "nonsense": "No such command 'nonsense'. (see ddw-graph --help)",
    "build": "Missing option '--generator'. (see ddw-graph build --help)",
    "build --generator ws --n x": "'x' is not a valid integer",
    "build --generator complete --k 4": "complete takes n, got k",
    "build --generator ws --k 4": "ws needs k and p, as in ws:k=...,p=...",
    "build --generator ws --p 0.5 --k": "Option '--k' requires an argument",
    "build --generator ws ws": "unexpected extra argument (ws)",
    "build --generator ws:k=4,p=0.1 --k 6": "k must be given once",
    "build --generator complete --n 9998": "at most 5,000,000 edges, got",
    "build --generator no.nets": "must be importable: No module named 'no'",
    "build --generator file:a.json --k 4": "a file takes no arguments, got --k 4",
    "build --generator complete --edges fixed": "--edges needs --model",
    "build --generator complete --out a.gif": "got '.gif'",
    "build --generator complete --out no/a.json": "no/a.json: No such file",
    "build --generator complete --model nonesuch": "'nonesuch'",
    "draw --colour": "--colour",
    "draw complete --style arcs": "--style needs --out",
    "draw complete --out a.txt": "a picture is .png, .svg or .pdf, got '.txt'",
    "draw nonesuch.json": "nonesuch.json: no such file",
    "diff vgg": "Missing argument 'SECOND'",
    "diff vgg nets": "file:PATH, got 'nets'",
    "models resnet9": "resnet9",
    "models timm/hf-hub:x": "timm/NAME",
    "models torchvision/vgg16_bn": "stages of blocks",
    "models resnet18 --table1": "takes no names",
    "models --table1 --table2": "got both",
    "bench nonsense": "'nonsense' is not one of 'networks', 'aggregation'",
    "bench growth --model resnet18": "--model is for networks, skipping, lat",
    "bench growth --compile": "--compile is for networks, got growth",
    "bench networks --model nonsense": "got 'nonsense'",
    "bench growth --out a.bmp": "got '.bmp'",
    "bench growth --out no/a.svg": "needs its folder",
    "bench latency --model {text_run}": "got a language model",
    "learn none": "none must hold an analysis; make one with ddw-graph",
    "learn {run} --folds 1": "1 is not in the range x>=2",
    "learn {text_run}": "classes",
    "explore --out a.html": "one RUN or two, or with --demo none, got 0",
    "explore a --demo --out a.html": "got 1 and --demo",
    "explore {run} {run} --out a.html": "different ones",
    "explore --demo --set per_class=3 --out a.html": "be combined with per_class",
    "explore nowhere --out a.html": "must hold config.json, got nowhere",
    "explore {text_run} --out a.html": "the page shows images",
    "export {run} --out no/a.onnx": "needs its folder",
    "export {run} --out a.bin": "neither .onnx nor .pt2, got a.bin",
    "export {here} --out a.onnx": "must hold config.json",
    "export {file} --out a.onnx": "safetensors",
    "predict {run} {file} --csv --json": "got both",
    "predict {run} {file} --adjacency": "--adjacency needs --json",
    "predict {run} nowhere": "no such file or folder",
    "predict {file} {file}": "safetensors",
    "predict {run}": "FILE_OR_FOLDER",
    "plot {run} --class Bag --kind mean": "--class needs --kind classes",
    "plot {run} --sample 3 --kind mean": "--sample needs --kind sample",
    "plot {run} --kind sample --sample 100": "[0, 99], got 100",
    "plot {run}/analysis --kind learning": "must hold config.json",
    "plot {here}": "{here}",
    "analyze {here}": "must hold config.json",
    "analyze {run} --data folder --root {images}": "other classes than those of folder",
    "analyze {run} --positions 101": "1 to 100 samples, got 101",
    "observations nowhere": "nowhere",
    "statistics {run} --what tokens": "this needs weights by position",
    "statistics {run} --what paths --by edge": "--by needs --what weights, positions",
    "statistics {run} --tokens 3": "--tokens needs --what tokens",
    "statistics {text_run} --what information": "have no classes",
    "generate {run}": "must be the run of a language model",
    "eval {here}": "must hold config.json",
    "eval {run} {run}": "must differ in their seeds",
    "eval {run} --data cifar10 --root {here}": "could not be read",
    "eval {run} --out no/a.csv": "needs its folder",
    "instances {here}": "must hold config.json",
    "instances {text_run}": "must be of images",
    "status none": "must hold runs.json, got none",
    "report none": "must hold report.json, got none",
    "train --wiring ws:k=3,p=0.5 --out a": "k must be even with 2 <= k < n",
    "train --wiring ba:m=9 --out a": "n=8; n=8 of the network gives stages of",
    "train --model resnet18 --wiring ba:m=9 --out a": "blocks give stages of n=2, 2",
    "train --set wiring=no.nets --out a": "must be importable: No module named 'no'",
    "train --edges static --out a": "got 'static'",
    "train --edges dynamic:bias=nan --out a": "bias must be finite, got nan",
    "train --channels inf --out a": "channels must be finite, got inf",
    "train --data mnist --out a": "data must be one of fashion_mnist_mini",
    "train --data folder --root {here} --out a": "must hold 'train' and 'val'",
    "train --epochs many --out a": "epochs must be an integer, got 'many'",
    "train --recipe imagenet --epochs 4 --out a": "[0, epochs], got 5",
    "train --set gamma=0.5 --out a": "be 0.98 without schedule=step",
    "train --set bogus=1 --out a": "--help lists, got 'bogus=1'",
    "train --set beta2 --out a": "NAME=VALUE",
    "train --epochs 2 --set epochs=3 --out a": "epochs must be given once",
    "train --budget 0.5 --edges dynamic --out a": "gate=hard, got dynamic",
    "train --data text --budget 0.5 --out a": "budget is for images",
    "train --data text --holdout 899900 --out a": "holdout",
    "train --model gpt_tiny --out a": "num_classes",
    "train --data text --model randwire_tiny --out a": "vocabulary",
    "train --processes 2 --out a": "2 processes were asked for, got 1",
    "train --precision int8 --out a": "precision must be one of float32, bfloat16",
    "train --timeout 0 --out a": "timeout must be in (0, 1000000], got 0.0",
    "compare --seeds 0 --out a": "0 is not in the range",
    "compare --wiring loops --out a": "loops",
    "compare --set budget=0.5 --out a": "--help lists, got 'budget=0.5'",
    "compare --budget 0.5,2 --out a": "budget must be in (0, 1], got (0.5, 2.0)",
    "compare --budget 0.5,,1 --out a": "or several with commas, got '0.5,,1'",
    "compare --budget 0.5 --edges fixed --out a": "edges, got fixed",
    "compare --data text --set mixup=0.5 --edges fixed --out a": "mixup is for images",
    "compare --data text --edges fixed --set budget_weight=2 --set mixup=nan": "mixup",
    "ablate table5": "'table5' is not one of",
    "ablate gates --edges dynamic": "cannot be combined with gates",
    "ablate gates --data text": "is for images",
    "ablate edges --router-lr 1": "edges choose --router-lr",
    "ablate edges --trials {file} --rates 0.1": "cannot be combined with --trials",
    "ablate edges --trials {file}": "tuning.csv of a map",
    "ablate table4 --model odd": "got 'odd'",
    "ablate table6 --n 5 --model resnet18": "resnet18 takes",
    "sweep": "Missing argument 'SPEC'",
    "sweep none.toml": "none.toml must be readable",
    "sweep {spec} --out {images}": "an empty or a new folder",
    "sweep {spec} --jobs 0": "jobs must be at least 1, got 0",
    "sweep {spec} --slurm cpus=0": "cpus must be at least 1, got 0",
    "sweep {spec} --slurm cpu=1": "each with =VALUE, got 'cpu=1'",
    "sweep {spec} --slurm time=x": "time must be an integer, got 'x'",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of images, of a sweep and of a file that is nothing."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "file").write_text("GIF89a, not quite")
    root = images(folder / "images")
    spec = f'[fixed]\ndata = "folder"\nroot = "{root}"\nimage_size = 8\n'
    (folder / "spec").write_text(f"{spec}[axes]\nseed = [0]\n")
    return folder


@pytest.mark.parametrize("words", CASES)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: str,
    analyzed: Path,
    text_run: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PlannedRun, "train", pretend)
    monkeypatch.chdir(tmp_path)
    given = {name: folder / name for name in ("file", "images", "spec")}
    paths = given | {"run": analyzed, "text_run": text_run, "here": tmp_path}
    arguments = [word.format(**paths) for word in words.split()]
    refused(*arguments, message=CASES[words].format(**paths))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_its_extra(
    analyzed: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr("ddw_graph.deployment.onnx.PACKAGES", ("not_there",))
    sweep = ("sweep", folder / "spec", "--slurm", "time=1", "--out", tmp_path / "a")
    refused(*sweep, message="pip install 'ddw_graph[slurm]'")
    search = (folder / "spec").read_text()
    (tmp_path / "search").write_text(f'search = "optuna"\ntrials = 1\n{search}')
    optuna = ("sweep", tmp_path / "search", "--out", tmp_path / "b")
    refused(*optuna, message="pip install 'ddw_graph[optuna]'")
    export = ("export", analyzed, "--out", tmp_path / "a.onnx")
    refused(*export, message="pip install 'ddw_graph[onnx]'")
