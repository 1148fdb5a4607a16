"""One table of all benchmarks, in each of its forms."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from ddw_graph.benchmarks import report as report_module
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.benchmarks.report import content, measured, picture
from ddw_graph.errors import RunError

ROWS: list[Row] = [
    {"subject": "one", "case": "a", "variant": "x", "ms": 12.345, "ratio": 1.0},
    {"subject": "one", "case": "a", "variant": "y", "ms": 4321.0, "ratio": 2.0},
    {"subject": "two", "case": "$b$", "variant": "z", "ms": None, "ratio": None},
]
ROWS[1] |= {"macs": 1.5e6, "ratio_low": 1.25, "ratio_high": 3.25}
ROWS[0] |= {"ratio_low": 1.0, "ratio_high": 1.0}
ROWS[2] |= {"top1": 70.25, "open_edges": 0.4}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    def one(clock: Clock, *, edges: str = "fixed") -> list[Row]:
        return ROWS[:2]

    def two(clock: Clock, *, batch_size: int = 8) -> list[Row]:
        return ROWS[2:] if batch_size == 3 else []

    monkeypatch.setattr(report_module, "SUBJECTS", {"one": one, "two": two})
    return measured([], Clock(rounds=5), {"batch_size": 3})


def test_each_subject_gets_its_options(table: pd.DataFrame) -> None:
    assert table["subject"].tolist() == ["one", "one", "two"]
    with pytest.raises(RunError, match="--batch-size is for two, got one"):
        measured(["one"], Clock(), {"batch_size": 3})
    assert len(measured(["two", "one"], Clock(), {})) == 2


def test_markdown_has_the_columns_that_a_subject_fills(table: pd.DataFrame) -> None:
    one, two, environment = content(table, ".md").decode().split("\n\n")[1::2] + [
        content(table, ".md").decode().split("\n\n")[-1]
    ]
    assert one.splitlines()[0] == (
        "| case | variant | time, ms | ratio (quartiles) | expected MACs, M |"
    )
    assert one.splitlines()[2:] == [
        "| a | x | 12.3 | 1.00 (1.00 to 1.00) | – |",
        "| a | y | 4,321 | 2.00 (1.25 to 3.25) | 1.50 |",
    ]
    assert two.splitlines()[2:] == ["| $b$ | z | 70.25 | 40% |"]
    assert "device cpu, rounds 5" in environment


def test_csv_and_json_hold_every_row(table: pd.DataFrame) -> None:
    read = pd.read_csv(io.BytesIO(content(table, ".csv")))
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    found = json.loads(content(table, ".json"))
    assert found["environment"]["rounds"] == 5
    assert found["rows"][1]["ms"] == 4321 and found["rows"][2]["ms"] is None


def test_the_picture_shows_ratios_and_quartiles(table: pd.DataFrame) -> None:
    (ax,) = picture(table).axes
    line, points = ax.lines
    assert list(np.asarray(line.get_xdata())) == [1, 1]
    assert list(np.asarray(points.get_xdata())) == [1, 2]
    paths = ax.collections[0].get_paths()
    np.testing.assert_allclose(np.asarray(paths[1].vertices)[:, 0], [1.25, 3.25])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a: x", "a: y"]
    assert content(table, ".png").startswith(b"\x89PNG")
