"""Commands on a text, as a user calls them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ddw_graph.training import Run
from tests.cli.command import call, succeeds

TINY = ("--depth", 1, "--width", 8, "--set", "heads=1", "--set", "context=16")
EDGES = "dynamic:per=position,bias=0,gate=none,norm=rms"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("the wiring of a network is a graph\n" * 80)
    return path


@pytest.fixture(scope="module")
def run(text: Path) -> Path:
    out = text.parent / "run"
    result = succeeds(
        *("train", "--data", "text", "--root", text, *TINY, "--epochs", 2),
        *("--edges", EDGES, "--out", out),
    )
    assert "nats a token" in result.stdout and "bits a byte" in result.stdout
    return out


def test_a_trained_text_is_evaluated_again(run: Path) -> None:
    printed = json.loads(succeeds("eval", run, "--json").stdout)
    wanted = Run(run).result
    assert wanted is not None
    assert printed["runs"][0]["loss"] == pytest.approx(wanted["test_loss"], rel=1e-6)


def test_text_is_generated(run: Path) -> None:
    words = ("generate", run, "--prompt", "the", "--tokens", 30)
    one, again = (succeeds(*words, "--json").stdout for _ in range(2))
    assert one == again
    found = json.loads(one)
    assert found["text"].startswith("the") and len(found["text"]) > 3
    other = json.loads(succeeds(*words, "--seed", 1, "--json").stdout)
    assert other["text"] != found["text"]
    shown = succeeds("generate", run, "--prompt", "a\x1b[2Jb", "--tokens", 1).stdout
    assert "\x1b" not in shown


def test_a_run_of_images_generates_nothing(trained: Path) -> None:
    result = call("generate", trained)
    assert result.exit_code == 2
    assert "must be the run of a language model" in result.stderr


def test_a_language_model_needs_a_text(tmp_path: Path) -> None:
    result = call("train", "--model", "gpt_tiny", "--out", tmp_path / "run")
    assert result.exit_code == 2 and "num_classes" in result.stderr
    result = call(
        *("train", "--data", "text", "--model", "randwire_tiny"),
        *("--out", tmp_path / "run"),
    )
    assert result.exit_code == 2 and "vocabulary" in result.stderr


def test_a_vit_takes_the_size_of_its_images(tmp_path: Path) -> None:
    succeeds(
        *("train", "--model", "vit_tiny", "--depth", 1, "--width", 8),
        *("--set", "heads=1"),
        *("--recipe", "vit", "--epochs", 1, "--set", "warmup_epochs=0"),
        *("--out", tmp_path / "run"),
    )
    assert Run(tmp_path / "run").model_config["image_size"] == 28


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("instances", "RUN", "--out", "OUT"), "must be of images"),
        (("ablate", "gates", "--data", "text", "--out", "OUT"), "is for images"),
        (("bench", "latency", "--model", "RUN"), "got a language model"),
        (("explore", "RUN", "--out", "OUT"), "image"),
        (("train", "--data", "text", "--budget", 0.5, "--out", "OUT"), "budget is for"),
        (("train", "--data", "text", "--holdout", 899_900, "--out", "OUT"), "holdout"),
        (("predict", "RUN", "RUN"), ""),
        (("learn", "RUN"), "classes"),
    ],
)
def test_what_a_text_is_not_for_is_one_line(
    run: Path, words: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    paths = {"RUN": run, "OUT": tmp_path / "out"}
    result = call(*(paths.get(str(word), word) for word in words))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "result.json").exists()


def test_positions_are_those_of_the_same_text(
    run: Path, text: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    succeeds("analyze", copied, "--positions", 2)
    before = text.read_text()
    text.write_text(before[::-1])
    try:
        result = call("analyze", copied, "--positions", 2)
    finally:
        text.write_text(before)
    assert result.exit_code == 2 and "other samples" in result.stderr


def test_texts_are_compared_and_mapped(text: Path, tmp_path: Path) -> None:
    common = ("--data", "text", "--root", text, *TINY, "--epochs", 1, "--jobs", 1)
    succeeds(
        *("compare", *common, "--edges", "fixed", "--edges", "attention"),
        *("--seeds", 2, "--out", tmp_path / "comparison"),
    )
    table = pd.read_csv(tmp_path / "comparison" / "summary.csv")
    assert table["seeds"].tolist() == [2, 2] and table["loss"].between(1, 6).all()
    runs = pd.read_csv(tmp_path / "comparison" / "runs.csv")
    losses = runs.pivot(index="seed", columns="entry", values="test_loss")
    first, second = table["entry"]
    difference = (losses[second] - losses[first]).mean()
    assert table["difference"][1] == pytest.approx(difference)
    succeeds(
        *("ablate", "edges", *common, "--edges", "learned", "--seeds", 1),
        *("--rates", "0.0001,0.01", "--out", tmp_path / "map"),
    )
    folder = tmp_path / "map" / "edges"
    summary = pd.read_csv(folder / "summary.csv")
    assert summary["learning_rate"].tolist() == [0.01, 0.01]
    assert summary["step_ratio"][0] == 1 and (summary["saved_mb"] > 0).all()
    assert len(pd.read_csv(folder / "tuning.csv")) == 6
    words = ("ablate", "edges", *common, "--edges", "learned", "--seeds", 1)
    again = ("--trials", folder / "tuning.csv", "--out", tmp_path / "again")
    printed = json.loads(succeeds(*words, *again, "--json").stdout)
    assert [row["learning_rate"] for row in printed["summary"]] == [0.01, 0.01]
    assert not (tmp_path / "again" / "tuning").exists()
    for more in (("--rates", "0.1"), ("--edges", "attention")):
        assert call(*words, *again, *more).exit_code == 2
    (tmp_path / "bad.csv").write_text("entry,test_loss\nx,y\n")
    result = call(*words, "--trials", tmp_path / "bad.csv", "--out", tmp_path / "c")
    assert result.exit_code == 2 and "tuning.csv of a map" in result.stderr
    assert "time of a step" in (folder / "report.md").read_text()
