"""Wirings for other programs; the laws that all forms share are in test_files."""

from pathlib import Path

import networkx as nx
import pytest

from ddw_graph.errors import FileError
from ddw_graph.generators import barabasi_albert, watts_strogatz
from ddw_graph.wiring import edge_list, to_dot, to_graphml


def test_graphml_has_the_origin_where_there_is_one(tmp_path: Path) -> None:
    dag = watts_strogatz(8, 4, 0.75, seed=0)
    for graph in (dag, nx.DiGraph([(0, 1), (1, 2)])):
        to_graphml(graph, tmp_path / "a.graphml", overwrite=True)
        read = nx.read_graphml(tmp_path / "a.graphml", node_type=int)
        for key in ("wiring", "networkx"):
            assert read.graph.get(key) == graph.graph.get(key)


def test_graphml_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.graphml"
    to_graphml(barabasi_albert(8, 2, seed=0), path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="--overwrite"):
        to_graphml(barabasi_albert(8, 2, seed=1), path)
    assert path.read_bytes() == before
    assert to_graphml(barabasi_albert(8, 2, seed=1), path, overwrite=True)


def test_dot_names_every_edge_once() -> None:
    dag = barabasi_albert(12, 3, seed=0)
    lines = to_dot(dag).splitlines()
    arrows = [line.strip(" ;").split(" -> ") for line in lines if "->" in line]
    assert [(int(i), int(j)) for i, j in arrows] == edge_list(dag)
    assert (lines[0], lines[-1]) == ("digraph wiring {", "}")
