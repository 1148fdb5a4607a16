"""The command that measures, as a user calls it."""

import inspect
import json
from pathlib import Path

import pytest

from ddw_graph.benchmarks import report
from ddw_graph.cli.bench import SUBJECTS, bench
from tests.cli.command import refused, succeeds

SMALL = ("bench", "aggregation", "--rounds", 1, "--batch-size", 1, "--image-size", 1)


def test_each_subject_and_each_option_is_on_the_command_line() -> None:
    assert tuple(report.SUBJECTS) == SUBJECTS
    given = {parameter.name for parameter in bench.params}
    for subject in report.SUBJECTS.values():
        assert {*inspect.signature(subject).parameters} - {"clock", "nodes"} <= given


def test_prints_a_table_or_json_and_writes_files(tmp_path: Path) -> None:
    out, picture = tmp_path / "bench.csv", tmp_path / "bench.svg"
    result = succeeds(*SMALL, "--out", out, "--out", picture)
    assert "### aggregation" in result.stdout
    assert f"wrote {out}\nwrote {picture}\n" in result.stderr
    assert len(out.read_text().splitlines()) == 4
    assert "copy of the inputs" in picture.read_text()
    found = json.loads(succeeds(*SMALL, "--json").stdout)
    assert found["environment"]["rounds"] == 1 and len(found["rows"]) == 3


def test_an_existing_file_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(report, "measured", lambda *_: pytest.fail("measured"))
        refused(*SMALL, "--out", path, message="--overwrite")
    assert path.read_text() == "mine"
    succeeds(*SMALL, "--out", path, "--overwrite")
    assert path.read_text() != "mine"
