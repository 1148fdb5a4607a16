"""Statistics, observations and Parquet, as a user calls them."""

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
from tests.cli.command import call, succeeds

ROOT = Path(__file__).parents[2]


def test_every_table_has_a_line_in_the_help() -> None:
    assert list(WHAT) == list(TABLES)
    shown = call("statistics", "--help").stdout
    assert all(f"{name} " in shown for name in WHAT)


@pytest.mark.parametrize("what", WHAT)
def test_every_table_prints_writes_and_is_json(
    what: str, analyzed: Path, positioned: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "table.csv", analyzed / "analysis"
    if what in ("positions", "tokens"):
        analyzed = folder = positioned / "dynamic"
    result = call("statistics", analyzed, "--what", what, "--out", out, "--rows", 2)
    assert result.exit_code == 0, result.output
    written = pd.read_csv(out)
    told = call("statistics", folder, "--what", what, "--json")
    table = pd.read_json(io.StringIO(told.stdout), orient="records")
    assert list(table) == list(written) and len(table) == len(written)
    assert all(str(column) in result.stdout for column in table)
    assert ("more rows" in result.stdout) == (len(table) > 2)
    again = call("statistics", analyzed, "--what", what, "--out", out)
    assert again.exit_code == 0  # the same bytes


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
    kind: str, analyzed: Path, positioned: Path, tmp_path: Path
) -> None:
    if kind in ("positions", "tokens"):
        analyzed = positioned / "dynamic"
    of = ("--sample", 7) if kind == "sample" else ()
    result = call("plot", analyzed, "--kind", kind, *of, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.split()
    assert Path(line).stem == ("sample-7" if kind == "sample" else kind)


@pytest.mark.parametrize("kind", SEVERAL[1:])
def test_runs_stand_beside_each_other(
    kind: str, positioned: Path, tmp_path: Path
) -> None:
    runs = positioned / "learned", positioned / "dynamic"
    result = call("plot", *runs, "--kind", kind, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == [f"{kind}.png"]


def test_positions_are_added_to_an_analysis(analyzed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(analyzed, run)
    before = open_collection(run)
    with_none = call("statistics", run, "--what", "positions")
    assert with_none.exit_code == 2 and "analyze RUN --positions" in with_none.stderr
    result = call("analyze", run, "--positions", 3)
    assert result.exit_code == 0, result.output
    collection = open_collection(run)
    np.testing.assert_array_equal(collection.rows(), before.rows())
    for place in range(3):  # whose weights do not differ by position
        np.testing.assert_allclose(
            collection.positions(place), before.weights(place)[:3], rtol=1e-4
        )
    assert collection.by_position.inputs.shape[0] == 3
    too_many = call("analyze", run, "--positions", 101)
    assert too_many.exit_code == 2 and "1 to 100 samples, got 101" in too_many.stderr


def test_more_tokens_than_there_are_is_reported(positioned: Path) -> None:
    run = positioned / "dynamic"
    more = call("statistics", run, "--what", "tokens", "--tokens", 99)
    assert more.exit_code == 0 and more.stderr.count("different tokens only") == 1
    few = call("statistics", run, "--what", "tokens", "--tokens", 2)
    assert few.exit_code == 0 and not few.stderr


def test_a_text_has_an_analysis_with_its_tokens(tmp_path: Path) -> None:
    run = tmp_path / "run"
    network = ("--model", "gpt_tiny", "--depth", 1, "--width", 8, "--set", "heads=1")
    data = (
        "--data",
        "text",
        "--set",
        "context=16",
        "--holdout",
        400,
        "--set",
        "epoch_tokens=400",
    )
    edges = ("--edges", "dynamic:per=position,router_std=1")
    succeeds("train", *network, *data, *edges, "--epochs", 1, "--out", run)
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
    page = call("explore", run, "--out", tmp_path / "page.html")
    assert page.exit_code == 2 and "the page shows images" in page.stderr
    assert len(kept.vocabulary) == 256 and kept.vocabulary[233] == "\\xe9"


def test_maps_are_of_a_sample_and_its_edges(tmp_path: Path) -> None:
    images, model = some_images(), some_model("dynamic:per=position,router_std=1")
    for name in "ab":
        found = collect(model, images, tmp_path / name, classes=CLASSES)
        keep_positions(found, model, images, 2)
    options = ("--kind", "positions", "--sample", 1)
    result = call("plot", tmp_path / "a", *options, "--edge", "2:1-4")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a" / "positions-1.png").exists()
    both = call("plot", tmp_path / "a", tmp_path / "b", *options)
    assert both.exit_code == 2 and "maps of positions are of one RUN" in both.stderr


def test_samples_without_classes_have_no_tables_of_classes(positioned: Path) -> None:
    for what in ("classes", "information", "unusual"):
        result = call("statistics", positioned / "dynamic", "--what", what)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
        assert "have no classes" in result.stderr


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
        shown = call(
            "statistics", folder, "--what", what, "--out", out, "--overwrite"
        ).stdout
        text = shown + out.read_text()
        assert all(c == "\n" or c.isprintable() for c in text) and "\\x1b[2J" in text
        rows = len(pd.read_csv(out))  # a header, 20 rows at most, and how many more
        assert len(shown.splitlines()) == 1 + min(rows, 20) + (rows > 20)
        assert len(out.read_text().splitlines()) == 1 + rows
    drawn = call("plot", run, "--kind", "mean").stdout
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
        (("--what", "tokens"), "this needs weights by position"),
        (("--what", "paths", "--by", "edge"), "--by needs --what weights, positions"),
        (("--tokens", 3), "--tokens needs --what tokens"),
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
