"""Wirings in a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import erdos_renyi, streams
from ddw_graph.wiring import edge_list, text_drawing
from ddw_graph.wiring.text import MAX_COLUMNS


@given(n=st.integers(1, MAX_COLUMNS - 2), seed=st.integers(0, 99))
def test_every_edge_can_be_read_back(n: int, seed: int) -> None:
    dag = erdos_renyi(n, 0.3, seed=seed)
    rows = text_drawing(dag).splitlines()[: n + 2]
    # The first cell stands where the input's own number does.
    left = rows[0].rindex("0")
    found = [
        (column, j)
        for j, row in enumerate(rows)
        for column in range(j)
        if row[left + 2 * column] == "#"
    ]
    assert sorted(found) == edge_list(dag)


def test_identity_nodes_are_marked() -> None:
    for width in (2, 60):
        dag = streams(2, width)
        rows = text_drawing(dag).splitlines()
        marked = [int(row.split()[0]) for row in rows if "=" in row]
        assert marked == [*range(2, 2 + width)]


def test_a_longer_wiring_is_a_list() -> None:
    lines = text_drawing(erdos_renyi(60, 0.0, seed=0)).splitlines()
    assert lines[0] == " 1 <- 0"
    assert lines[-1].startswith("61 <- 1, 2, 3, ")
    assert len(lines) == 61
