"""The commands that train, compare, analyze and plot, as a user calls them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from tests.analysis.explorer.pages import data_of
from tests.cli.command import SHARED, SMALL, call, succeeds
from tests.training.photographs import members, shard, shards


def test_a_finished_run_is_not_repeated(trained: Path) -> None:
    again = succeeds("train", *SHARED, "--out", trained, "--resume", "--json")
    result = json.loads(again.stdout)
    assert result == Run(trained).result and result["epochs"] == 1


def test_analyzes(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "analysis"
    result = call("analyze", trained, "--out", folder, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 100
    assert [stage["edges"] for stage in report["stages"]] == [10, 10, 10]
    table = pd.read_csv(folder / "edges.csv")
    assert len(table) == 30 and table["mean"].between(0.4, 0.6).all()
    again = call("analyze", trained, "--out", folder)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    assert call("analyze", trained, "--out", folder, "--overwrite").exit_code == 0


def test_plots_and_replaces_nothing(analyzed: Path, tmp_path: Path) -> None:
    plot = ("plot", analyzed / "analysis", "--format", "svg", "--out", tmp_path)
    names = [Path(line).name for line in succeeds(*plot).stdout.split()]
    assert names == ["histogram.svg", "mean.svg", "std.svg"]
    assert all((tmp_path / name).stat().st_size for name in names)
    (tmp_path / "mean.svg").write_text("mine")
    drawn = call(*plot, "--kind", "mean")
    assert drawn.exit_code == 2 and "mean.svg is there already" in drawn.stderr
    assert (tmp_path / "mean.svg").read_text() == "mine"


@pytest.mark.full
@pytest.mark.usefixtures("all_images")
def test_compares_budgets_with_a_table_and_a_picture(tmp_path: Path) -> None:
    result = call(
        *("compare", *SMALL, "--budget", "1.0,0.5", "--seeds", 1, "--jobs", 1),
        *("--set", "budget_weight=20", "--out", tmp_path / "c"),
    )
    assert result.exit_code == 0, result.output
    head, _, first, second = result.stdout.strip().splitlines()
    assert "| total MACs, M | expected MACs, M (share of total) |" in head
    assert " budget=1.0 | 1 | " in first and " (100%) | " in first
    assert " budget=0.5 | 1 | " in second and " (100%) | " not in second
    assert (tmp_path / "c" / "budget.png").read_bytes().startswith(b"\x89PNG")
    runs = pd.read_csv(tmp_path / "c" / "runs.csv")
    assert runs["budget"].tolist() == [1.0, 0.5]
    assert runs["total_macs"].nunique() == 1 and runs["expected_macs"].nunique() == 2
    for path in (tmp_path / "c" / "runs").glob("*/*/config.json"):
        recipe = json.loads(path.read_text())["config"]["recipe"]
        assert recipe["budget_weight"] == 20.0


def test_trains_toward_a_budget_and_tells_what_is_expected(tmp_path: Path) -> None:
    run = tmp_path / "run\x1b[2J"
    done = call("train", *SMALL, "--budget", 0.5, "--out", run, "--resume")
    assert done.exit_code == 0, done.output
    assert "no run to resume: it starts" in done.stderr
    assert "after 1 epoch," in done.stdout and "\x1b" not in done.output
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["recipe"]["budget"] == 0.5
    assert config["model"]["edges"] == "dynamic:bias=1.5,gate=hard,threshold=0.5"
    result = json.loads((run / "result.json").read_text())
    share = result["expected_macs"] / result["total_macs"]
    assert f"expected MACs {share:.0%} of the total" in done.stdout
    assert f"expected MACs {100 * share:.0f} %" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--wiring", "ws:k=3,p=0.5"), "k must be even with 2 <= k < n"),
        (("train", "--wiring", "ba:m=9"), "n=8; n=8 of the network gives stages of"),
        (
            ("train", "--model", "resnet18", "--wiring", "ba:m=9"),
            "n=2; the network's blocks give stages of n=2, 2, 2, 2",
        ),
        (("train", "--edges", "static"), "got 'static'"),
        (
            ("train", "--set", "transition=sources"),
            "stage 1: transition 'sources' needs",
        ),
        (("train", "--data", "mnist"), "data must be one of fashion_mnist_mini"),
        (("train", "--data", "cifar10"), "must have a root folder"),
        (("train", "--data", "folder", "--root", "{}"), "must hold 'train' and 'val'"),
        (("train", "--model", "resnet9"), "got 'resnet9'"),
        (("train", "--epochs", "many"), "epochs must be an integer, got 'many'"),
        (("train", "--edges", "dynamic:bias=nan"), "bias must be finite, got nan"),
        (("train", "--channels", "inf"), "channels must be in (0, 65536], got inf"),
        (("train", "--recipe", "huge"), "recipe must be one of randwire, "),
        (("train", "--recipe", "imagenet", "--epochs", "4"), "[0, epochs], got 5"),
        (("train", "--set", "trivial_augment=true"), "be False without augment"),
        (("train", "--set", "gamma=0.5"), "be 0.98 without schedule=step, got 0.5"),
        (("compare", "--set", "gamma=0.5"), "be 0.98 without schedule=step, got 0.5"),
        (("train", "--set", "budget_weight=2"), "10.0 without budget, got 2.0"),
        (("train", "--set", "download=true"), "for data fashion_mnist and cifar10"),
        (("train", "--set", "bogus=1"), "--help lists, got 'bogus=1'"),
        (("train", "--set", "beta2"), "NAME=VALUE"),
        (("train", "--epochs", "2", "--set", "epochs=3"), "epochs must be given once"),
        (("compare", "--seeds", "0"), "0 is not in the range"),
        (("compare", "--wiring", "loops"), "loops"),
        (("compare", "--set", "budget=0.5"), "--help lists, got 'budget=0.5'"),
        (("train", "--budget", "0.5", "--edges", "learned"), "gate=hard, got learned"),
        (("train", "--budget", "0.5", "--edges", "dynamic"), "gate=hard, got dynamic"),
        (("compare", "--budget", "0.5,2"), "budget must be in (0, 1], got 2.0"),
        (("compare", "--budget", "0.5,,1"), "commas between them, got '0.5,,1'"),
        (("compare", "--budget", "0.5", "--edges", "fixed"), "edges, got fixed"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    told = [argument.format(tmp_path) for argument in arguments]
    result = call(*told, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert result.stderr.startswith("ddw-graph: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_every_setting_of_a_recipe_reaches_the_run(tmp_path: Path) -> None:
    from ddw_graph.training.recipe import RECIPES

    changes = {
        "epochs": 1,
        "batch_size": 500,
        "learning_rate": 0.04,
        "weight_decay": 0.003,
        "norm_weight_decay": 0.001,
        "warmup_epochs": 0.25,
        "optimizer": "adamw",
        "beta2": 0.99,
        "final_rate": 0.1,
        "schedule": "step",
        "gamma": 0.5,
        "step_epochs": 3,
        "label_smoothing": 0.2,
        "random_erasing": 0.0,
        "mixup": 0.3,
        "cutmix": 0.4,
        "ema_decay": 0.5,
        "ema_interval": 2,
        "router_lr": 3.0,
        "clip_norm": 5.0,
        "rand_augment": 3,
        "budget": 0.6,
        "budget_weight": 2.0,
    }
    given = [
        word for pair in changes.items() for word in ("--set", "=".join(map(str, pair)))
    ]
    switches = ("--set", "augment=true", "--set", "trivial_augment=false")
    result = call(
        *("train", "--recipe", "efficientnet", *given, *switches),
        *("--n", 3, "--channels", 4, "--out", tmp_path / "run"),
    )
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    switched = {"augment": True, "trivial_augment": False}
    assert config["recipe"] == {"momentum": 0.9, **changes, **switched}
    assert all(getattr(RECIPES["efficientnet"], key) != changes[key] for key in changes)


def test_what_is_no_run_is_named(tmp_path: Path, trained: Path) -> None:
    for command in ("analyze", "plot"):
        result = call(command, tmp_path)
        assert result.exit_code == 2 and str(tmp_path) in result.stderr
    other = call("train", *SHARED, "--seed", 1, "--resume", "--out", trained)
    assert other.exit_code == 2
    assert "another configuration: " in other.stderr


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
    from tests.training.photographs import image_folder

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
    refused = call("analyze", trained, "--out", tmp_path / "file", "--overwrite")
    assert refused.exit_code == 2 and "needs a folder, got the file" in refused.stderr
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = call("analyze", trained, "--out", ".", "--overwrite")
    assert done.exit_code == 0 and Path("collection.json").is_file()


def test_images_in_memory_cannot_be_read_again(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(trained, folder)
    content = json.loads((folder / "config.json").read_text())
    content["config"]["data"]["name"], content["source"] = "noise", None
    (folder / "config.json").write_text(json.dumps(content))
    refused = call("analyze", folder)
    assert refused.exit_code == 2
    assert "images in memory, 'noise', which no command can read" in refused.stderr


def test_a_network_of_constant_edges_has_nothing_to_draw(tmp_path: Path) -> None:
    run = tmp_path / "run"
    succeeds("train", *SMALL, "--wiring", "complete", "--edges", "fixed", "--out", run)
    assert "every edge is constant" in succeeds("analyze", run).stdout
    for command in (("plot", run), ("statistics", run, "--what", "classes")):
        refused = call(*command)
        assert refused.exit_code == 2 and refused.stderr.count("\n") == 1
        assert "needs edges that carry weights" in refused.stderr
    succeeds("statistics", run, "--what", "dominant")


def test_what_a_picture_has_no_use_for_is_refused(trained: Path) -> None:
    for option, value, kind in (
        ("--class", "Bag", "classes"),
        ("--sample", 3, "sample"),
    ):
        refused = call("plot", trained, option, value, "--kind", "mean")
        assert refused.exit_code == 2
        assert f"{option} needs --kind {kind}" in refused.stderr


def test_an_analysis_of_other_images_is_refused(tmp_path: Path, trained: Path) -> None:
    from PIL import Image

    for split in ("train", "val"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(tmp_path / split / name / "1.png")
    result = call("analyze", trained, "--data", "folder", "--root", tmp_path)
    assert result.exit_code == 2
    assert "was trained on other classes than those of folder" in result.stderr


@pytest.mark.full
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [(signal.SIGINT, 130, "ddw-graph: interrupted"), (signal.SIGKILL, -9, "")],
)
def test_an_interrupted_comparison_leaves_no_process(
    tmp_path: Path, sent: signal.Signals, code: int, words: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "ddw_graph.cli.main",
        "compare",
        "--epochs",
        "500",
        "--jobs",
        "2",
        "--out",
        str(tmp_path / "c"),
    ]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        # A shell that runs the tests in the background has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            until = time.monotonic() + 120
            while not list((tmp_path / "c").glob("runs/*/config.json")):
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.1)
            process.send_signal(sent)
            _, talk = process.communicate(timeout=60)
            assert process.returncode == code
            assert talk.strip().endswith(words) and "Traceback" not in talk
            until = time.monotonic() + 60
            while _alive(process.pid):
                assert time.monotonic() < until, "a worker outlived its parent"
                time.sleep(0.1)
        finally:
            if _alive(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.full
def test_rewires_a_trained_backbone_and_trains_on(tmp_path: Path) -> None:
    from ddw_graph import load
    from ddw_graph.nn.edges import edge_text

    short = (
        *("--epochs", 1, "--batch-size", 20, "--recipe", "small", "--threads", 1),
        *("--per-class", 2, "--holdout", 10),
    )
    first = tmp_path / "first"
    begun = call("train", "--model", "resnet18", "--edges", "fixed", *short)
    assert begun.exit_code == 2 and "--out" in begun.stderr
    command = ("train", "--model", "resnet18", "--edges", "fixed", *short)
    result = call(*command, "--out", first)
    assert result.exit_code == 0, result.output
    kept = load(first / "model.safetensors")
    assert [edge_text(stage.edges) for stage in kept.stages] == ["fixed"] * 4
    # A learning rate at which nothing moves: what is tested is what was rewired.
    still = (
        "--learning-rate",
        "1e-30",
        "--set",
        "augment=false",
        "--set",
        "warmup_epochs=0",
    )
    for start, folder in ((first, "run"), (first / "model.safetensors", "file")):
        rewired = call(
            *("train", "--from", start, "--edges", "dynamic:gate=hard", *short, *still),
            *("--out", tmp_path / folder),
        )
        assert rewired.exit_code == 0, rewired.output
    network = load(tmp_path / "run" / "model.safetensors")
    assert all(s.weights.neutral_scale is not None for s in network.stages)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["model"]["name"] == "resnet18" and config["weights"]
    wrong = call("train", "--from", first, "--n", 3, *short, "--out", tmp_path / "x")
    assert wrong.exit_code == 2 and "got n=3" in wrong.stderr
    other = call("train", "--from", tmp_path, *short, "--out", tmp_path / "x")
    assert other.exit_code == 2 and "config.json" in other.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.full
def test_a_rewired_run_goes_on_though_it_has_weights_of_its_own(tmp_path: Path) -> None:
    from PIL import Image

    for image in ("train/a/1", "train/a/2", "train/b/1", "val/a/1", "val/b/1"):
        path = (tmp_path / "data" / image).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((32, 32), 99).save(path)
    data = ("--data", "folder", "--root", tmp_path / "data", "--image-size", 32)
    short = (*data, "--epochs", 1, "--batch-size", 3, "--learning-rate", 1e-6)
    first = ("--model", "mobilenet_v2", "--edges", "fixed", "--out", tmp_path / "a")
    assert call("train", *first, *short).exit_code == 0
    # Its projections are new, and drawn.
    command = ("train", "--from", tmp_path / "a", "--edges", "dynamic", *short)
    done = call(*command, "--out", tmp_path / "b", "--json")
    assert done.exit_code == 0, done.output
    again = call(*command, "--out", tmp_path / "b", "--json", "--resume")
    assert again.exit_code == 0, again.output
    assert again.stdout == done.stdout
    other = call(*command, "--out", tmp_path / "b", "--resume", "--seed", 1)
    assert other.exit_code == 2 and "another configuration" in other.stderr


def test_prunes_what_never_opens(tmp_path: Path) -> None:
    from ddw_graph import load

    edges = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=2"
    run = tmp_path / "run"
    wiring = ("--wiring", "complete", "--n", 2, "--edges", edges)
    succeeds("train", *SMALL, *wiring, "--out", run)
    done = call("prune", run, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["after"]["edges"] < told["before"]["edges"]
    assert told["after"]["total_macs"] < told["before"]["total_macs"]
    # One quantity under one name: what training, prediction and the page report.
    result = json.loads((run / "result.json").read_text())
    assert result["total_macs"] == told["before"]["total_macs"]
    image = tmp_path / "a.png"
    Image.new("L", (28, 28)).save(image)
    about = json.loads(call("predict", run, image, "--json").stdout)
    for name in ("total_macs", "computing", "edges"):
        assert about[name] == told["before"][name]
    assert call("explore", run, "--samples", 10, "--out", tmp_path / "p").exit_code == 0
    page = data_of((tmp_path / "p").read_text())["networks"][0]
    stages = page["stages"]
    assert about["total_macs"] == page["otherMacs"] + sum(
        sum(stage["edgeMacs"]) + sum(stage["nodeMacs"]) for stage in stages
    )
    small = load(run / "pruned.safetensors")
    counted = sum(stage.dag.number_of_edges() for stage in small.stages)
    assert counted == told["after"]["edges"]
    (run / "pruned.safetensors").write_bytes(b"something of the user's")
    refused = call("prune", run)
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    assert call("prune", run, "--overwrite").exit_code == 0


@pytest.mark.full
def test_compares_kinds_of_edges_of_a_backbone_where_budgets_allow(
    tmp_path: Path,
) -> None:
    result = call(
        *("compare", "--model", "mobilenet_v2", "--wiring", "vgg"),
        *("--wiring", "complete", "--edges", "fixed", "--out", tmp_path / "x"),
    )
    assert (
        result.exit_code == 2 and "where their width cannot be chosen" in result.stderr
    )


def test_trains_on_cut_data_and_the_configuration_says_so(tmp_path: Path) -> None:
    done = call(
        *("train", *SMALL, "--holdout", 20, "--per-class", 3, "--out", tmp_path / "r")
    )
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "r" / "config.json").read_text())["config"]["data"]
    assert (config["holdout"], config["per_class"]) == (20, 3)
    assert (config["train"], config["test"]) == (30, 20)
    analyze = ("analyze", tmp_path / "r", "--json")
    assert json.loads(succeeds(*analyze).stdout)["samples"] == 20  # those of the run
    refused = call(*analyze, "--set", "holdout=0")
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    tested = succeeds(*analyze, "--set", "holdout=0", "--out", tmp_path / "a")
    assert json.loads(tested.stdout)["samples"] == 100


def test_trains_on_shards_and_leaves_bad_images_out(tmp_path: Path) -> None:
    root = shards(tmp_path / "data")
    shard(root / "train-000001.tar", [*members(5, 7), ("9.jpg", b""), ("9.cls", b"1")])
    options: tuple[object, ...] = (
        "train",
        "--data",
        "shards",
        "--root",
        root,
        "--image-size",
        16,
    )
    options += ("--n", 3, "--channels", 4, "--epochs", 1, "--out", tmp_path / "r")
    failed = call(*options)
    assert failed.exit_code == 2 and len(failed.stderr.strip().splitlines()) == 1
    assert "train-000001.tar/9.jpg: every file must be a readable" in failed.stderr
    done = call(*options[:-1], tmp_path / "s", "--set", "bad_images=skip")
    assert done.exit_code == 0, done.output
    assert "9.jpg" in (tmp_path / "s" / "bad_images.csv").read_text()
    assert Run(tmp_path / "s").config["data"]["bad_images"] == 1
