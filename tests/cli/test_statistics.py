"""Statistics, observations and Parquet, as a user calls them."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddw_graph.analysis.collect import sample_table
from ddw_graph.analysis.statistics.observations import ANSWERS
from ddw_graph.analysis.statistics.tables import TABLES
from ddw_graph.cli.plot import KINDS
from ddw_graph.cli.statistics import WHAT
from ddw_graph.training.collection import open_collection
from tests.cli.command import call


def test_every_table_has_a_line_in_the_help() -> None:
    assert list(WHAT) == list(TABLES)
    shown = call("statistics", "--help").stdout
    assert all(f"{name} " in shown for name in WHAT)


@pytest.mark.parametrize("what", WHAT)
def test_every_table_prints_writes_and_is_json(
    what: str, analyzed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "table.csv"
    result = call("statistics", analyzed, "--what", what, "--out", out, "--rows", 2)
    assert result.exit_code == 0, result.output
    written = pd.read_csv(out)
    told = call("statistics", analyzed / "analysis", "--what", what, "--json")
    table = pd.read_json(io.StringIO(told.stdout), orient="records")
    assert list(table) == list(written) and len(table) == len(written)
    assert all(str(column) in result.stdout for column in table)
    assert ("more rows" in result.stdout) == (len(table) > 2)
    again = call("statistics", analyzed, "--what", what, "--out", out)
    same = call("statistics", analyzed, "--what", what, "--out", out, "--overwrite")
    assert (again.exit_code, same.exit_code) == (0, 0)  # the very same bytes


def test_observations_of_one_and_of_several(analyzed: Path) -> None:
    one = call("observations", analyzed)
    assert one.exit_code == 0, one.output
    assert "output edges of nodes in the front have larger weights" in one.stdout
    rows = json.loads(call("observations", analyzed, "--json").stdout)
    assert {row["holds"] for row in rows} <= set(ANSWERS) and len(rows) == 3
    assert all(row["untrained"] is not None for row in rows)
    several = call("observations", analyzed, analyzed)
    assert several.exit_code == 0 and "relative_std" in several.stdout


def test_parquet_holds_what_the_arrays_do(analyzed: Path) -> None:
    collection = open_collection(analyzed / "analysis")
    table = pd.read_parquet(analyzed / "analysis" / "samples.parquet")
    assert len(table) == collection.samples == 100
    names = table.columns[5:]
    assert names[0] == "1:0-1" and len(names) == 30
    weights = np.hstack([collection.weights(k) for k in range(3)])
    np.testing.assert_array_equal(table[names], weights)
    samples = sample_table(collection)
    pd.testing.assert_frame_equal(table[samples.columns], samples)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_drawn(
    kind: str, analyzed: Path, tmp_path: Path
) -> None:
    of = ("--sample", 7) if kind == "sample" else ()
    result = call("plot", analyzed, "--kind", kind, *of, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.split()
    assert Path(line).stem == ("sample-7" if kind == "sample" else kind)


def test_pictures_are_of_classes_and_samples_that_are_there(
    analyzed: Path, tmp_path: Path
) -> None:
    one = call(
        "plot", analyzed, "--kind", "classes", "--class", "Bag", "--out", tmp_path / "x"
    )
    assert one.exit_code == 0, one.output
    wrong = call("plot", analyzed, "--kind", "sample", "--sample", 100)
    assert wrong.exit_code == 2 and "[0, 99], got 100" in wrong.stderr
    none = call("plot", analyzed / "analysis", "--kind", "learning")
    assert none.exit_code == 2 and "must hold config.json" in none.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--what", "clusters", "--clusters", 1), "clusters must be in [2,"),
        (("--what", "information", "--levels", 0), "levels must be in [1, 256], got 0"),
        (("--what", "loss-groups", "--groups", 9999), "groups must be in [1, 100]"),
        (("--out", "there.csv"), "is there already"),
    ],
)
def test_a_mistake_is_one_line(
    analyzed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("mine")
    result = call("statistics", analyzed, *arguments)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert call("observations", tmp_path / "nowhere").exit_code == 2


def test_a_seed_is_no_negative_number(analyzed: Path) -> None:
    refused = call("statistics", analyzed, "--what", "clusters", "--seed", -1)
    assert refused.exit_code == 2 and "-1 is not in the range" in refused.stderr
