"""Commands on a text, as a user calls them."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ddw_graph.training import Run
from tests.cli.command import TINY, refused, succeeds


def test_a_trained_text_is_evaluated_again(text_run: Path) -> None:
    printed = json.loads(succeeds("eval", text_run, "--json").stdout)
    wanted = Run(text_run).result
    assert wanted is not None
    assert printed["runs"][0]["loss"] == pytest.approx(wanted["test_loss"], rel=1e-6)


def test_text_is_generated(text_run: Path) -> None:
    words = ("generate", text_run, "--prompt", "the", "--tokens", 30)
    one, again = (succeeds(*words, "--json").stdout for _ in range(2))
    assert one == again
    found = json.loads(one)
    assert found["text"].startswith("the") and len(found["text"]) > 3
    other = json.loads(succeeds(*words, "--seed", 1, "--json").stdout)
    assert other["text"] != found["text"]
    shown = succeeds("generate", text_run, "--prompt", "a\x1b[2Jb", "--tokens", 1)
    assert "\x1b" not in shown.stdout


def test_positions_are_those_of_the_same_text(
    text_run: Path, text: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "run"
    shutil.copytree(text_run, copied)
    succeeds("analyze", copied, "--positions", 2)
    before = text.read_text()
    text.write_text(before[::-1])
    try:
        refused("analyze", copied, "--positions", 2, message="other samples")
    finally:
        text.write_text(before)


def test_texts_are_compared_and_mapped(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddw_graph.training import data

    loaded: list[object] = []
    load = data.load_source

    def counted(source: object, **options: object) -> object:
        loaded.append(source)
        return load(source, **options)  # type: ignore[arg-type]

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
    words = ("ablate", "edges", *common, "--edges", "learned", "--seeds", 1)
    monkeypatch.setattr(data, "load_source", counted)
    out = ("--out", tmp_path / "map")
    succeeds(*words, "--rates", "0.0001,0.01", *out)
    assert len(loaded) == 2  # with what the trials hold out, and whole
    folder = tmp_path / "map" / "edges"
    summary = pd.read_csv(folder / "summary.csv")
    assert summary["learning_rate"].tolist() == [0.01, 0.01]
    assert summary["step_ratio"][0] == 1 and (summary["saved_mb"] > 0).all()
    assert len(pd.read_csv(folder / "tuning.csv")) == 6
    assert "time of a step" in (folder / "report.md").read_text()
    # Other rates join those that are there.
    succeeds(*words, "--rates", "0.001", "--router-rates", "1", *out)
    again = ("--trials", folder / "tuning.csv", "--out", tmp_path / "again")
    printed = json.loads(succeeds(*words, *again, "--json").stdout)
    assert [row["learning_rate"] for row in printed["summary"]] == [0.001, 0.001]
    assert not (tmp_path / "again" / "tuning").exists()
    refused(*words, *again, "--edges", "attention", message="none of")
