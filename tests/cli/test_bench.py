"""The command that measures, as a user calls it."""

import json
from pathlib import Path

import click
import pytest

from ddw_graph.benchmarking import report as report_module
from ddw_graph.benchmarking.report import BENCHMARKS
from ddw_graph.cli.bench import BENCHMARKS as NAMES
from ddw_graph.cli.main import main
from tests.cli.command import call

QUICK = ("bench", "aggregation", "growth", "--quick", "--rounds", "1")


def test_every_benchmark_has_its_name() -> None:
    assert tuple(BENCHMARKS) == NAMES


@pytest.mark.full
def test_prints_tables_and_writes_json_and_a_picture(tmp_path: Path) -> None:
    out, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    result = call(*QUICK, "--threads", 2, "--out", out, "--picture", picture)
    assert result.exit_code == 0, result.output
    assert "### aggregation" in result.stdout and "Exponent: " in result.stdout
    assert f"wrote {out}\nwrote {picture}\n" in result.stderr
    found = json.loads(out.read_text())
    assert found["environment"]["threads"] == 2
    assert list(found["arguments"]) == ["aggregation", "growth"]
    assert len(found["measurements"]) == 2 and len(found["curves"]) == 6
    assert "copy of the inputs" in picture.read_text()


@pytest.mark.full
def test_prints_one_json_object(tmp_path: Path) -> None:
    result = call("bench", "aggregation", "--quick", "--rounds", 2, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["environment"]["rounds"] == 2
    for row in found["measurements"]:
        assert row["unit"] == "seconds" and row["ratio"]["median"] > 0


@pytest.mark.full
@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_replaces_nothing_unasked_and_says_so_before_it_measures(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.svg"
    path.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(report_module, "report", lambda *_: pytest.fail("measured"))
        refused = call(*QUICK, option, path)
        lost = call(*QUICK, option, tmp_path / "no" / "a.svg")
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    assert path.read_text() == "mine"
    assert lost.exit_code == 2 and "needs its folder" in lost.stderr
    assert call(*QUICK, option, path, "--overwrite").exit_code == 0
    assert path.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "'nonsense' is not one of 'networks', 'aggregation'"),
        (["--rounds", "0"], "--rounds"),
        (["--threads", "0"], "--threads"),
        (
            ["growth", "--batch", "2"],
            "--batch is for networks, randwire and latency, got growth",
        ),
        (
            ["skipping", "--network", "resnet18"],
            "--network is for networks and latency",
        ),
        (["networks", "--network", "resnet9"], "torchvision, got 'resnet9'"),
        (["growth", "--device", "abacus"], "got 'abacus'"),
        (["growth", "--picture", "a.bmp"], "got '.bmp'"),
    ],
)
def test_says_what_is_wrong_in_one_line(arguments: list[str], words: str) -> None:
    result = call("bench", *arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_the_help_needs_nothing_heavy() -> None:
    command = main.get_command(click.Context(main), "bench")
    assert command is not None
    assert "ddw-graph bench --quick" in call("bench", "--help").stdout
