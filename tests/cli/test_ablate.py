"""Ablations and learning curves, as a user calls them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ddw_graph.experiments.compare import Entry
from tests.cli.command import SMALL, call


@pytest.fixture(scope="module")
def ablations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ablate") / "ablations"
    result = call(
        *("ablate", "instances", *SMALL, "--seeds", 2, "--jobs", 1),
        *("--edges", "dynamic:router_std=1,bias=0.0", "--out", out),
    )
    assert result.exit_code == 0, result.output
    assert "instance-aware: " in result.stdout
    return out


def test_instances_are_tested_and_told_of(ablations: Path) -> None:
    folder = ablations / "instances"
    assert {path.name for path in folder.iterdir()} == {
        *("runs.csv", "wirings.csv", "variation.csv", "summary.csv", "report.md"),
        *("wirings.png", "wirings.svg", "variation.png", "variation.svg"),
        *("curves.png", "curves.svg", "result.json", "tested"),
    }
    entries = ["complete dynamic", "complete dynamic:bias=0,router_std=1"]
    wirings = pd.read_csv(folder / "wirings.csv")
    assert wirings["entry"].unique().tolist() == entries and len(wirings) == 16
    own = wirings[wirings["wiring"] == "own"].set_index(["entry", "seed"])
    runs = pd.read_csv(folder / "runs.csv").set_index(["entry", "seed"])
    assert (own["accuracy"] == runs["test_accuracy"]).all()
    assert (own["changed"] == 0).all()
    variation = pd.read_csv(folder / "variation.csv")
    assert len(variation) == 12 and variation["image_share"].between(0, 1).all()
    report = (folder / "report.md").read_text()
    assert (
        "randwire_tiny, n 3, channels 4 on fashion_mnist_mini, 1 epoch with" in report
    )
    assert "changes 0 predictions of the plain evaluation" in report
    assert report.count("instance-aware: ") == 2


def test_finished_runs_are_tested_the_same(ablations: Path, tmp_path: Path) -> None:
    entry = Entry("complete", "dynamic:bias=0,router_std=1")
    runs = [ablations / "runs" / entry.folder / f"seed-{seed}" for seed in (1, 0)]
    given = [word for run in runs for word in ("--run", run)]
    result = call("ablate", "instances", *given, "--out", tmp_path / "t", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [row["entry"] for row in told["summary"]] == [entry.folder] * 4
    table = pd.read_csv(ablations / "instances" / "summary.csv")
    known = table[table["entry"] == entry.label]["accuracy"].tolist()
    assert [row["accuracy"] for row in told["summary"]] == pytest.approx(known)
    assert list(told["verdicts"]) == [entry.folder]
    assert not (tmp_path / "t" / "runs.csv").exists()


def test_runs_of_different_images_are_not_tested_together(
    ablations: Path, tmp_path: Path
) -> None:
    entry = Entry("complete", "dynamic:bias=0,router_std=1")
    run = ablations / "runs" / entry.folder / "seed-0"
    other = tmp_path / "other"
    shutil.copytree(run, other)
    content = json.loads((other / "config.json").read_text())
    content["config"]["data"]["holdout"] = 500
    (other / "config.json").write_text(json.dumps(content))
    out = ("--out", tmp_path / "t")
    refused = call("ablate", "instances", "--run", run, "--run", other, *out)
    assert refused.exit_code == 2
    assert f"got others in {other} than in {run}" in refused.stderr


@pytest.mark.full
def test_an_ablation_takes_the_runs_that_are_there(ablations: Path) -> None:
    run = ablations / "runs" / "complete_dynamic" / "seed-1" / "model.safetensors"
    before = run.stat().st_mtime_ns
    result = call(
        *("ablate", "gates", *SMALL, "--seeds", 2, "--jobs", 1, "--out", ablations),
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert run.stat().st_mtime_ns == before
    told = json.loads(result.stdout)
    assert [row["entry"].partition("gate=")[2] for row in told["summary"]] == [
        *("", "hard", "eq5", "none")
    ]
    assert {path.name for path in (ablations / "gates").iterdir()} == {
        *("runs.csv", "summary.csv", "report.md", "result.json"),
        *("accuracy.png", "accuracy.svg", "curves.png", "curves.svg"),
    }
    fewer = call("ablate", "gates", *SMALL, "--seeds", 1, "--out", ablations)
    assert fewer.exit_code == 2 and "leaves out, complete dynamic" in fewer.stderr


def test_curves_of_several_runs_and_of_one(ablations: Path, tmp_path: Path) -> None:
    runs = sorted(ablations.glob("runs/*dynamic*/seed-*"))
    several = call("plot", *runs, "--out", tmp_path, "--format", "svg")
    assert several.exit_code == 0, several.output
    assert Path(several.stdout.strip()) == tmp_path / "curves.svg"
    text = (tmp_path / "curves.svg").read_text()
    assert "complete_dynamic (2 runs, mean and std)" in text
    young = tmp_path / "young"
    young.mkdir()
    config = json.loads((runs[0] / "config.json").read_text())
    (young / "config.json").write_text(json.dumps(config | {"seed": 99}))
    beside = call("plot", *runs, young, "--out", tmp_path / "beside", "--format", "svg")
    assert beside.exit_code == 0, beside.output
    assert f"{young} has no epoch yet and is left out" in beside.stderr
    assert (tmp_path / "beside/curves.svg").read_text() == text
    alone = call("plot", runs[0], "--kind", "curves", "--out", tmp_path)
    assert alone.exit_code == 0 and (tmp_path / "curves.png").stat().st_size
    again = call("plot", runs[0], "--kind", "curves", "--out", tmp_path)
    assert again.exit_code == 0  # the same picture is left alone
    other = call("plot", *runs, "--out", tmp_path)
    assert other.exit_code == 2 and "curves.png is there already" in other.stderr


def test_damaged_logs_are_one_line(ablations: Path, tmp_path: Path) -> None:
    whole = ablations / "runs" / "complete_dynamic" / "seed-0"
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes((whole / "config.json").read_bytes())
    log = (whole / "log.csv").read_text()
    for text, words in (
        (None, "must hold log.csv"),
        ("", "must hold an epoch or more, got none"),
        (log[:-60], "must be a whole log"),
    ):
        if text is not None:
            (run / "log.csv").write_text(text)
        result = call("plot", run, "--kind", "curves")
        assert result.exit_code == 2 and words in result.stderr
        assert result.stderr.count("\n") == 1 and str(run) in result.stderr


def test_a_test_of_instances_overwrites_nothing_else(
    ablations: Path, tmp_path: Path
) -> None:
    runs = sorted(ablations.glob("runs/complete_dynamic/seed-*"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "report.md").write_text("mine")
    words = ("ablate", "instances", "--run", runs[0])
    refused = call(*words, "--out", tmp_path / "own")
    assert refused.exit_code == 2 and "needs an empty or a new folder" in refused.stderr
    assert (tmp_path / "own" / "report.md").read_text() == "mine"
    out = ("--out", tmp_path / "tested")
    assert call(*words, "--run", runs[1], *out).exit_code == 0
    table = (tmp_path / "tested" / "wirings.csv").read_bytes()
    fewer = call(*words, *out)
    assert fewer.exit_code == 2 and "with seed 1 among them" in fewer.stderr
    assert (tmp_path / "tested" / "wirings.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ablate", "table5"), "'table5' is not one of"),
        (("ablate", "gates", "--edges", "dynamic"), "--edges cannot be had with gates"),
        (("ablate", "fig3", "--run", "x"), "--run cannot be had with fig3"),
        (
            ("ablate", "instances", "--edges", "learned"),
            "edges that depend on the image",
        ),
        (("ablate", "instances", "--edges", "odd"), "edges must be one of"),
        (
            ("ablate", "instances", "--run", "x", "--epochs", "2"),
            "--epochs cannot be had with --run",
        ),
        (("ablate", "instances", "--run", "{}"), "must hold config.json"),
        (("ablate", "table4", "--seeds", "0"), "seeds must be given"),
        (("ablate", "table4", "--model", "odd"), "got 'odd'"),
        (("ablate", "table6", "--n", "5", "--model", "resnet18"), "resnet18 takes"),
        (("train", "--log-steps", "5"), "--log-steps needs --tensorboard"),
        (("plot", "a", "b", "--kind", "sample"), "--kind sample is of one RUN, got 2"),
        (("plot", "a", "a", "--kind", "mean"), "RUNs must be different ones"),
        (("plot", "a", "b", "--kind", "mean"), "a must hold an analysis"),
        (
            ("plot", "a", "--kind", "curves", "--sample", "1"),
            "--sample needs --kind sample or positions",
        ),
        (("plot", "a", "--edge", "1:0-5"), "--edge needs --kind positions"),
        (("plot", "a", "--kind", "positions", "--edge", "0-5"), "such as 1:0-5, got"),
        (("plot", "{}", "--kind", "curves"), "must hold config.json"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    told = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    result = call(*told, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith("ddw-graph: ") and result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not (tmp_path / "out").exists()
