"""Wirings for other programs."""

import json
from pathlib import Path

import networkx as nx
import pytest

from ddw_graph.errors import FileError
from ddw_graph.generators import barabasi_albert, watts_strogatz
from ddw_graph.wiring import edge_list, to_dot, to_graphml


def test_networkx_reads_the_graphml_back(tmp_path: Path) -> None:
    dag = watts_strogatz(8, 4, 0.75, seed=0)
    to_graphml(dag, tmp_path / "ws.graphml")
    read = nx.read_graphml(tmp_path / "ws.graphml", node_type=int)
    assert edge_list(read) == edge_list(dag)
    assert read.graph["generator"] == "ws"
    assert json.loads(read.graph["arguments"]) == dag.graph["arguments"]
    roles = [role for _, role in sorted(read.nodes(data="role"))]
    assert roles == ["input", *["operation"] * 8, "output"]


def test_graphml_of_a_graph_without_an_origin(tmp_path: Path) -> None:
    to_graphml(nx.DiGraph([(0, 1), (1, 2)]), tmp_path / "own.graphml")
    assert nx.read_graphml(tmp_path / "own.graphml").graph.keys() <= {
        "node_default",
        "edge_default",
    }


def test_graphml_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.graphml"
    to_graphml(barabasi_albert(8, 2, seed=0), path)
    before = path.read_bytes()
    with pytest.raises(FileError, match="replace it with --overwrite"):
        to_graphml(barabasi_albert(8, 2, seed=1), path)
    assert path.read_bytes() == before
    assert to_graphml(barabasi_albert(8, 2, seed=1), path, overwrite=True)


def test_dot_names_every_edge_once() -> None:
    dag = barabasi_albert(12, 3, seed=0)
    lines = to_dot(dag).splitlines()
    arrows = [line.strip(" ;").split(" -> ") for line in lines if "->" in line]
    assert [(int(i), int(j)) for i, j in arrows] == edge_list(dag)
    assert (lines[0], lines[-1]) == ("digraph wiring {", "}")
