"""Names of users stay in their cells, as text: in Markdown, in CSV, in a terminal."""

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ddw_graph.analysis.report_files import csv_bytes, markdown_table, write_files
from ddw_graph.cli.tables import printed
from ddw_graph.printable import printable

HOSTILE = st.text(st.characters() | st.sampled_from('\x1b\n\r|\u202e\x9b\t,"'))


@given(name=HOSTILE, value=st.none() | st.integers(-9, 9))
def test_a_row_is_a_line_and_holds_no_command(name: str, value: int | None) -> None:
    rows = [{"name": name, "x": value}, {"name": "b", "x": 1}]
    tables: list[Any] = [rows, pd.DataFrame(rows)]
    for table in tables:
        text = markdown_table({"name": "{name}", "x": "{x:.1f}"}, table)
        assert text.count("\n") == len(text.splitlines()) == 4
        assert text.replace("\n", "").isprintable()
        _, _, number, _ = text.split("\n")[2].replace(r"\|", "").split("|")
        assert number == (" – " if value is None else f" {value:.1f} ")
        written = list(csv.reader(io.StringIO(csv_bytes(table).decode())))
        assert written[1][0] == printable(name) and len(written) == 3
        assert len(printed(pd.DataFrame(table)).splitlines()) == 3


def test_a_report_is_its_files(tmp_path: Path) -> None:
    paths = write_files(
        tmp_path / "new",
        tables={"a": pd.DataFrame({"x": [1]}), "b": [{"x": 2}]},
        texts={"c.md": "text"},
        pictures={"d": Figure()},
    )
    names = ["a.csv", "b.csv", "c.md", "d.png"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names
    assert paths[1].read_text() == "x\n2\n"
