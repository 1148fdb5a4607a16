"""The commands that train, compare, analyze and plot, as a user calls them."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from ddw_graph import load
from ddw_graph.nn.edges import edge_text
from ddw_graph.settings import settings_of
from ddw_graph.training.execution import Execution
from ddw_graph.training.recipe import RECIPES, Recipe
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from tests.analysis.explorer.pages import data_of
from tests.cli.command import SHARED, SMALL, call, refused, succeeds
from tests.training.photographs import image_folder


def test_a_finished_run_is_not_repeated(trained: Path) -> None:
    again = succeeds("train", *SHARED, "--out", trained, "--resume", "--json")
    result = json.loads(again.stdout)
    assert result == Run(trained).result and result["epochs"] == 1
    other = ("train", *SHARED, "--seed", 1, "--resume", "--out", trained)
    refused(*other, message="another configuration: ")


def test_analyzes(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "analysis"
    result = succeeds("analyze", trained, "--out", folder, "--json")
    report = json.loads(result.stdout)
    assert report["samples"] == 100
    assert [stage["edges"] for stage in report["stages"]] == [10, 10, 10]
    table = pd.read_csv(folder / "edges.csv")
    assert len(table) == 30 and table["mean"].between(0.4, 0.6).all()
    refused("analyze", trained, "--out", folder, message="--overwrite")
    succeeds("analyze", trained, "--out", folder, "--overwrite")


@pytest.mark.full
@pytest.mark.usefixtures("all_images")
def test_compares_budgets_with_a_table_and_a_picture(tmp_path: Path) -> None:
    result = succeeds(
        *("compare", *SMALL, "--budget", "1.0,0.5", "--seeds", 1, "--jobs", 1),
        *("--set", "budget_weight=20", "--out", tmp_path / "c"),
    )
    head, _, first, second = result.stdout.strip().splitlines()
    assert "| total MACs, M | expected MACs, M (share of total) |" in head
    assert " budget=1.0 | 1 | " in first and " (100%) | " in first
    assert " budget=0.5 | 1 | " in second and " (100%) | " not in second
    assert (tmp_path / "c" / "budget.png").read_bytes().startswith(b"\x89PNG")
    runs = pd.read_csv(tmp_path / "c" / "runs.csv")
    assert runs["budget"].tolist() == [1.0, 0.5]
    assert runs["total_macs"].nunique() == 1 and runs["expected_macs"].nunique() == 2


def test_trains_toward_a_budget_and_prints_what_is_expected(tmp_path: Path) -> None:
    run = tmp_path / "run\x1b[2J"
    done = succeeds("train", *SMALL, "--budget", 0.5, "--out", run, "--resume")
    assert "no run to resume: it starts" in done.stderr
    assert "after 1 epoch," in done.stdout and "\x1b" not in done.output
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["recipe"]["budget"] == 0.5
    assert config["model"]["edges"] == "dynamic:bias=1.5,gate=hard,threshold=0.5"
    result = json.loads((run / "result.json").read_text())
    share = result["expected_macs"] / result["total_macs"]
    assert f"expected MACs {share:.0%} of the total" in done.stdout
    assert f"expected MACs {100 * share:.0f} %" in done.stderr


def test_every_setting_of_a_recipe_reaches_the_run(tmp_path: Path) -> None:
    before = RECIPES["efficientnet"]
    changes: dict[str, Any] = {"epochs": 1, "warmup_epochs": 0.25, "augment": True}
    for name, each in settings_of(Recipe).items():
        value = getattr(before, name)
        if isinstance(each.rule, tuple):
            value = each.rule[value == each.rule[0]]
        elif each.type is bool:
            value = not value
        else:
            value = 3 if each.type is int else 0.5 if value != 0.5 else 0.25
        changes.setdefault(name, value)
    changes |= {"batch_size": 500, "random_erasing": 0.25}
    given = [w for k, v in changes.items() for w in ("--set", f"{k}={str(v).lower()}")]
    small = ("--n", 3, "--channels", 4, "--per-class", 5, "--out", tmp_path / "run")
    succeeds("train", "--recipe", "efficientnet", *given, *small)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["recipe"] == changes
    same = {name for name in changes if getattr(before, name) == changes[name]}
    assert same == {"augment"}  # whose other value allows no other augmentation


def test_that_a_run_has_not_finished_is_reported_in_a_line(
    tmp_path: Path, trained: Path
) -> None:
    folder = tmp_path / "going"
    shutil.copytree(trained, folder)
    weights = Run(trained).network().state_dict()
    state = {"model": weights, "optimizer": {}, "history": Run(trained).log}
    RunFolder(folder).write_checkpoint(state)
    (folder / "result.json").unlink()
    with warnings.catch_warnings(action="default"):
        result = call("prune", folder, "--json")
        finished = call("prune", trained, "--out", tmp_path / "a.safetensors")
    assert result.exit_code == 0 and json.loads(result.stdout)
    (line,) = result.stderr.splitlines()
    assert line == (
        f"ddw-graph: {folder} has not finished: its weights are those of its last "
        "checkpoint, after 1 epoch"
    )
    assert not finished.stderr


def test_an_analysis_takes_the_images_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    data = ("--data", "folder", "--root", "data", "--image-size", 16)
    succeeds("train", *SMALL, *data, "--out", tmp_path / "run")
    monkeypatch.chdir("/")  # a run finds its images from anywhere
    analyze = ("analyze", tmp_path / "run", "--json")
    kept = json.loads(succeeds(*analyze).stdout)
    assert kept["samples"] == 4
    for options in (
        ("--overwrite",),
        # Images of another size would cost otherwise.
        ("--data", "folder", "--root", tmp_path / "data", "--out", tmp_path / "named"),
    ):
        assert json.loads(succeeds(*analyze, *options).stdout) == kept


def test_a_folder_of_ones_own_is_found_before_anything_is_collected(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    file = ("analyze", trained, "--out", tmp_path / "file", "--overwrite")
    refused(*file, message="needs a folder, got the file")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    succeeds("analyze", trained, "--out", ".", "--overwrite")
    assert Path("collection.json").is_file()


def test_images_in_memory_cannot_be_read_again(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(trained, folder)
    content = json.loads((folder / "config.json").read_text())
    content["config"]["data"]["name"], content["source"] = "noise", None
    (folder / "config.json").write_text(json.dumps(content))
    refused("analyze", folder, message="images in memory, 'noise', which no command")


def test_a_network_of_constant_edges_has_nothing_to_draw(tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeeds("train", *SMALL, "--wiring", "complete", "--edges", "fixed", "--out", run)
    assert "every edge is constant" in succeeds("analyze", run).stdout
    for command in (("plot", run), ("statistics", run, "--what", "classes")):
        refused(*command, message="needs edges that carry weights")
    succeeds("statistics", run, "--what", "dominant")


@pytest.mark.full
def test_rewires_a_trained_backbone_and_trains_on(tmp_path: Path) -> None:
    short = (
        *("--epochs", 1, "--batch-size", 20, "--recipe", "small", "--threads", 1),
        *("--per-class", 2, "--holdout", 10),
    )
    first = tmp_path / "first"
    succeeds("train", "--model", "resnet18", "--edges", "fixed", *short, "--out", first)
    kept = load(first / "model.safetensors")
    assert [edge_text(stage.edges) for stage in kept.stages] == ["fixed"] * 4
    # A learning rate at which nothing moves: what is tested is what was rewired.
    still = "--learning-rate 1e-30 --set augment=false --set warmup_epochs=0".split()
    for start, folder in ((first, "run"), (first / "model.safetensors", "file")):
        words = ("train", "--from", start, "--edges", "dynamic:gate=hard", *short)
        rewired = (*words, *still, "--json", "--out", tmp_path / folder)
        # Its projections are new, and drawn: the same again.
        assert succeeds(*rewired).stdout == succeeds(*rewired, "--resume").stdout
        refused(*rewired, "--resume", "--seed", 1, message="another configuration")
    network = load(tmp_path / "run" / "model.safetensors")
    assert all(s.weights.neutral_scale is not None for s in network.stages)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["model"]["name"] == "resnet18" and config["weights"]
    wrong = (*short, "--out", tmp_path / "x")
    refused("train", "--from", first, "--n", 3, *wrong, message="got n=3")
    refused("train", "--from", tmp_path, *wrong, message="config.json")
    assert not (tmp_path / "x").exists()


def test_prunes_what_never_opens(tmp_path: Path) -> None:
    edges = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=2"
    run = tmp_path / "run"
    wiring = ("--wiring", "complete", "--n", 2, "--edges", edges)
    succeeds("train", *SMALL, *wiring, "--out", run)
    report = json.loads(succeeds("prune", run, "--json").stdout)
    assert report["after"]["edges"] < report["before"]["edges"]
    assert report["after"]["total_macs"] < report["before"]["total_macs"]
    # One quantity under one name: what training, prediction and the page report.
    result = json.loads((run / "result.json").read_text())
    assert result["total_macs"] == report["before"]["total_macs"]
    image = tmp_path / "a.png"
    Image.new("L", (28, 28)).save(image)
    about = json.loads(call("predict", run, image, "--json").stdout)
    for name in ("total_macs", "computing", "edges"):
        assert about[name] == report["before"][name]
    succeeds("explore", run, "--samples", 10, "--out", tmp_path / "p")
    page = data_of((tmp_path / "p").read_text())["networks"][0]
    stages = page["stages"]
    assert about["total_macs"] == page["otherMacs"] + sum(
        sum(stage["edgeMacs"]) + sum(stage["nodeMacs"]) for stage in stages
    )
    small = load(run / "pruned.safetensors")
    counted = sum(stage.dag.number_of_edges() for stage in small.stages)
    assert counted == report["after"]["edges"]
    (run / "pruned.safetensors").write_bytes(b"something of the user's")
    refused("prune", run, message="--overwrite")
    succeeds("prune", run, "--overwrite")


def test_trains_on_cut_data_and_the_configuration_says_so(tmp_path: Path) -> None:
    data = ("--holdout", 20, "--per-class", 3)
    succeeds("train", *SMALL, *data, "--out", tmp_path / "r")
    config = json.loads((tmp_path / "r" / "config.json").read_text())["config"]["data"]
    assert (config["holdout"], config["per_class"]) == (20, 3)
    assert (config["train"], config["test"]) == (30, 20)
    analyze = ("analyze", tmp_path / "r", "--json")
    assert json.loads(succeeds(*analyze).stdout)["samples"] == 20  # those of the run
    refused(*analyze, "--set", "holdout=0", message="--overwrite")
    tested = succeeds(*analyze, "--set", "holdout=0", "--out", tmp_path / "a")
    assert json.loads(tested.stdout)["samples"] == 100


@pytest.mark.full
@pytest.mark.usefixtures("all_images")  # which the processes that it starts have
def test_torchrun_starts_the_same_command(tmp_path: Path) -> None:
    quick = ("--wiring", "complete:n=2", "--channels", "4", "--epochs", "1")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    launch += ["-m", "ddw_graph.cli.main", "train", *quick, "--processes", "2"]
    launch += ["--batch-size", "100", "--json", "--out", str(tmp_path / "two")]
    done = subprocess.run(launch, capture_output=True, text=True, check=True)
    # The process that leads prints, and no other.
    result = json.loads(done.stdout)
    run = Run(tmp_path / "two")
    assert result == run.result and result["test_accuracy"] > 0.2
    assert run.config["execution"] == {**Execution().as_dict(), "processes": 2}
    assert run.network().config == run.config["model"]
    alone = ("--batch-size", "100", "--resume", "--out", tmp_path / "two")
    refused("train", *quick, *alone, message="execution")
