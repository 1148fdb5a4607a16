"""Statistics, observations, pictures and Parquet, as a user calls them."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddw_graph.analysis.collect import collect, keep_positions
from ddw_graph.analysis.statistics.observations import ANSWERS
from ddw_graph.analysis.statistics.samples import sample_table
from ddw_graph.analysis.statistics.tables import TABLES
from ddw_graph.cli.plot import KINDS, SEVERAL
from ddw_graph.cli.statistics import WHAT
from ddw_graph.training.collection import open_collection
from ddw_graph.training.text_data import EMBEDDED_TEXT
from tests.analysis.learning.planted import one_edge_decides
from tests.analysis.test_collect import CLASSES, some_images, some_model
from tests.cli.command import TINY, refused, succeeds

ROOT = Path(__file__).parents[2]


def test_every_table_has_a_line_in_the_help() -> None:
    assert list(WHAT) == list(TABLES)
    shown = succeeds("statistics", "--help").stdout
    assert all(f"{name} " in shown for name in WHAT)


@pytest.mark.parametrize("what", WHAT)
def test_every_table_prints_writes_and_is_json(
    what: str, analyzed: Path, positioned: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "table.csv", analyzed / "analysis"
    if what in ("positions", "tokens"):
        analyzed = folder = positioned / "dynamic"
    command = ("statistics", analyzed, "--what", what, "--out", out)
    shown = succeeds(*command, "--rows", 2).stdout
    written = pd.read_csv(out)
    found = succeeds("statistics", folder, "--what", what, "--json").stdout
    table = pd.read_json(io.StringIO(found), orient="records")
    assert list(table) == list(written) and len(table) == len(written)
    assert all(str(column) in shown for column in table)
    assert ("more rows" in shown) == (len(table) > 2)
    succeeds(*command)  # the same bytes
    out.write_text("mine")
    refused(*command, message="is there already")


def test_observations_of_one_and_of_several(analyzed: Path) -> None:
    one = succeeds("observations", analyzed).stdout
    assert "output edges of nodes in the front have larger weights" in one
    rows = json.loads(succeeds("observations", analyzed, "--json").stdout)
    assert {row["holds"] for row in rows} <= set(ANSWERS) and len(rows) == 3
    assert all(row["untrained"] is not None for row in rows)
    assert "relative_std" in succeeds("observations", analyzed, analyzed).stdout


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
def test_every_kind_of_picture_is_drawn_and_replaces_nothing(
    kind: str, analyzed: Path, positioned: Path, tmp_path: Path
) -> None:
    if kind in ("positions", "tokens"):
        analyzed = positioned / "dynamic"
    of = {"sample": ("--sample", "7"), "classes": ("--class", "Bag")}.get(kind, ())
    plot = ("plot", analyzed, "--kind", kind, *of, "--out", tmp_path)
    path = Path(succeeds(*plot).stdout.strip())
    assert path.stem == ("sample-7" if kind == "sample" else kind)
    assert path.read_bytes().startswith(b"\x89PNG")
    path.write_text("mine")
    refused(*plot, message="is there already")
    assert path.read_text() == "mine"


def test_without_a_kind_a_run_has_three_pictures(
    analyzed: Path, tmp_path: Path
) -> None:
    plot = ("plot", analyzed / "analysis", "--format", "svg", "--out", tmp_path)
    names = [Path(line).name for line in succeeds(*plot).stdout.split()]
    assert names == ["histogram.svg", "mean.svg", "std.svg"]


@pytest.mark.parametrize("kind", SEVERAL[1:])
def test_runs_stand_beside_each_other(
    kind: str, positioned: Path, tmp_path: Path
) -> None:
    runs = positioned / "learned", positioned / "dynamic"
    succeeds("plot", *runs, "--kind", kind, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{kind}.png"]


def test_positions_are_added_to_an_analysis(analyzed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(analyzed, run)
    before = open_collection(run)
    succeeds("analyze", run, "--positions", 3)
    collection = open_collection(run)
    np.testing.assert_array_equal(collection.rows(), before.rows())
    for place in range(3):  # whose weights do not differ by position
        np.testing.assert_allclose(
            collection.positions(place), before.weights(place)[:3], rtol=1e-4
        )
    assert collection.by_position.inputs.shape[0] == 3


def test_more_tokens_than_there_are_is_reported(positioned: Path) -> None:
    tokens = ("statistics", positioned / "dynamic", "--what", "tokens", "--tokens")
    assert succeeds(*tokens, 99).stderr.count("different tokens only") == 1
    assert not succeeds(*tokens, 2).stderr


def test_a_text_has_an_analysis_with_its_tokens(tmp_path: Path) -> None:
    run = tmp_path / "run"
    cut = ("--holdout", 400, "--set", "epoch_tokens=400")
    edges = ("--edges", "dynamic:per=position,router_std=1")
    words = ("--data", "text", *TINY, *cut, *edges, "--epochs", 1)
    succeeds("train", *words, "--out", run)
    succeeds("analyze", run, "--positions", 3)
    collection = open_collection(run)
    kept = collection.by_position
    assert (collection.samples, collection.classes, kept.samples) == (24, (), 3)
    result = json.loads((run / "result.json").read_text())
    assert collection.column("loss").mean() == pytest.approx(result["test_loss"])
    means = collection.positions(0).mean(2)
    np.testing.assert_allclose(means, collection.weights(0)[:3], rtol=1e-4)
    text = "".join(kept.vocabulary[token] for token in kept.tokens[0])
    assert text in EMBEDDED_TEXT.read_text()
    assert len(kept.vocabulary) == 256 and kept.vocabulary[233] == "\\xe9"


def test_maps_are_of_a_sample_and_its_edges(tmp_path: Path) -> None:
    images, model = some_images(), some_model("dynamic:per=position,router_std=1")
    for name in "ab":
        found = collect(model, images, tmp_path / name, classes=CLASSES)
        keep_positions(found, model, images, 2)
    options = ("--kind", "positions", "--sample", 1)
    succeeds("plot", tmp_path / "a", *options, "--edge", "2:1-4")
    assert (tmp_path / "a" / "positions-1.png").exists()
    both = ("plot", tmp_path / "a", tmp_path / "b", *options)
    refused(*both, message="maps of positions are of one RUN")


def test_names_of_classes_and_runs_are_no_commands_to_a_terminal(
    positioned: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run\x1b[2J\nresult"
    one_edge_decides(run / "analysis", 30, classes=("a\x1b[2J", "b\nc", "d\u202e"))
    out = tmp_path / "table.csv"
    for folder, what in (
        (run, "classes"),
        (run, "unusual"),
        (positioned / "dynamic", "tokens"),
    ):
        words = ("--what", what, "--out", out, "--overwrite")
        shown = succeeds("statistics", folder, *words).stdout
        text = shown + out.read_text()
        assert all(c == "\n" or c.isprintable() for c in text) and "\\x1b[2J" in text
        rows = len(pd.read_csv(out))  # a header, 20 rows at most, and how many more
        assert len(shown.splitlines()) == 1 + min(rows, 20) + (rows > 20)
        assert len(out.read_text().splitlines()) == 1 + rows
    drawn = succeeds("plot", run, "--kind", "mean").stdout
    assert drawn.endswith("run\\x1b[2J\\nresult/analysis/mean.png\n")


def test_tables_and_pictures_of_arrays_import_no_torch(tmp_path: Path) -> None:
    one_edge_decides(tmp_path / "run" / "analysis", 30)
    code = (
        "import sys\n"
        "from ddw_graph.cli.main import main\n"
        "main(['statistics', 'run'], standalone_mode=False)\n"
        "from ddw_graph.analysis import figures, position_figures, wiring_figures\n"
        "assert not {'torch', 'sklearn', 'torch_geometric'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"std_edges" in done.stdout
