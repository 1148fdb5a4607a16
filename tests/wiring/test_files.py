"""Wirings on disk: round trips, hostile files, and interrupted writing."""

import errno
import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import FileError
from ddw_graph.generators import (
    complete,
)
from ddw_graph.wiring import (
    WiringError,
    computing_nodes,
    edge_attributes,
    edge_list,
    files,
    from_dict,
    load,
    save,
    to_dict,
    to_dot,
    to_graphml,
)
from tests.strategies import NO_WEIGHTS, weighted_wirings, wirings

OWN = {
    "format": "ddw_graph.wiring",
    "version": 1,
    "nodes": 3,
    "edges": 2,
    "edge_list": [[0, 1], [1, 2]],
}
LINKED = {
    "directed": True,
    "multigraph": False,
    "graph": {},
    "nodes": [{"id": 0}, {"id": 1}, {"id": 2}],
    "edges": [{"source": 0, "target": 1}, {"source": 1, "target": 2}],
}


KEYS = ("edges", "links")


@given(dag=weighted_wirings() | wirings(identity=True), key=st.sampled_from(KEYS))
def test_every_file_keeps_edges_weights_and_identity_nodes(
    dag: nx.DiGraph, key: str
) -> None:
    dag.graph.update(wiring="mine:n=3", networkx="3.0")
    weights, wanted = edge_attributes(dag), computing_nodes(dag)
    with TemporaryDirectory() as folder:
        save(dag, f"{folder}/a.json")
        to_graphml(dag, f"{folder}/a.graphml")
        own = load(f"{folder}/a.json")
        # The plain form and the file are one; more keys and a byte-order mark may come.
        content = json.loads(Path(folder, "a.json").read_text())
        assert content == to_dict(dag)
        described = json.dumps({**content, "depth": 2, "notes": ["mine"]})
        Path(folder, "b.json").write_text(described, encoding="utf-8-sig")
        assert to_dict(load(f"{folder}/b.json")) == content
        read = nx.read_graphml(f"{folder}/a.graphml", node_type=int)
    linked = json.loads(json.dumps(nx.node_link_data(dag, edges=key)))
    for again in (own, read, from_dict(linked), from_dict(to_dict(dag))):
        assert edge_list(again) == edge_list(dag)
        assert edge_attributes(again) == weights
        assert again.graph.items() >= dag.graph.items()
        if again is not read:
            assert computing_nodes(again) == wanted
    roles = dict(read.nodes(data="role"))
    assert [node for node in sorted(roles) if roles[node] == "operation"] == wanted
    assert (roles[0], roles[len(dag) - 1]) == ("input", "output")
    inner = range(1, len(dag) - 1)
    points = [node for node in inner if f"  {node} [shape=point];\n" in to_dot(dag)]
    assert sorted([*points, *wanted]) == [*inner]
    lines = to_dot(dag).splitlines()
    arrow = re.compile(r'  (\d+) -> (\d+)(?: \[label="(.+)"\])?;')
    found = [match.groups() for match in map(arrow.fullmatch, lines) if match]
    assert [(int(i), int(j)) for i, j, _ in found] == edge_list(dag)
    assert tuple(float(label or 1) for *_, label in found) == (
        weights or (1.0,) * len(found)
    )


@pytest.mark.parametrize("number", [np.float32(3), np.int64(3), Fraction(3)])
def test_a_weight_may_be_any_real_number(number: Any, tmp_path: Path) -> None:
    dag = nx.DiGraph([(0, 1, {"weight": number}), (1, 2)])
    to_graphml(dag, tmp_path / "a.graphml")
    read = nx.read_graphml(tmp_path / "a.graphml", node_type=int)
    for again in (from_dict(json.loads(json.dumps(to_dict(dag)))), read):
        assert edge_attributes(again) == (3.0, 1.0)


@pytest.mark.parametrize("weight", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_what_is_no_weight_is_neither_written_nor_read(
    weight: Any, tmp_path: Path
) -> None:
    dag = nx.DiGraph([(0, 1), (1, 2)])
    dag.edges[1, 2]["weight"] = weight
    link = {"source": 1, "target": 2, "weight": weight}
    contents = {
        "own.json": {**OWN, "weights": [1, weight]},
        "linked.json": {**LINKED, "edges": [{"source": 0, "target": 1}, link]},
    }
    refused: list[Callable[[], object]] = [
        lambda: save(dag, tmp_path / "a.json"),
        lambda: to_graphml(dag, tmp_path / "a.graphml"),
        lambda: to_dot(dag),
        *(partial(from_dict, content) for content in contents.values()),
    ]
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
        refused.append(partial(load, tmp_path / name))
    for act in refused:
        with pytest.raises(WiringError, match="finite") as caught:
            act()
        message = str(caught.value)
        assert "\n" not in message and len(message.replace(str(tmp_path), "")) < 150
    assert {path.name for path in tmp_path.iterdir()} == contents.keys()


WRONG: list[Any] = [[1.0], [1.0, 1.0, 1.0], {"0": 1.0}, "11", 1.0, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format must be .* got 'other'"),
        ({"version": 2}, "version must be 1, got 2"),
        ({"nodes": 4}, "input edge, got none of node 3"),
        ({"nodes": 3.0}, "nodes must be a count, got 3.0"),
        ({"nodes": 10**6}, "at most 10000 nodes, got 1000000"),
        ({"nodes": 10**3000}, "at most 10000 nodes, got 9966 bits"),
        ({"edges": 3}, "edges must be 2, the length of edge_list, got 3"),
        ({"edge_list": None}, "must be a list"),
        (
            {"edge_list": [[0, 1], [1, 2, 3]]},
            r"edge 1 must be two integers .* got \[1, 2, 3\]",
        ),
        ({"edge_list": [[0, 1], [1, 2.0]]}, r"edge 1 must .* got \[1, 2.0\]"),
        ({"edge_list": [[0, 1], [True, 2]]}, r"edge 1 must .* got \[True, 2\]"),
        (
            {"edge_list": [[0, 1], [1, 3]]},
            r"edge 1 must join two of the nodes 0\.\.2, got \[1, 3\]",
        ),
        ({"edge_list": [[0, 1], [-1, 2]]}, r"got \[-1, 2\]"),
        ({"edge_list": [[0, 1], [0, 1]]}, r"edge 1 must differ .* got \[0, 1\]"),
        ({"edge_list": [[0, 1], [1, 1]]}, "self-loop 1 -> 1"),
        ({"edges": 3, "edge_list": [[0, 1], [1, 2], [2, 1]]}, "cycle 1 -> 2 -> 1"),
        ({"edge_list": [[0, 2], [2, 1]]}, "topological order"),
        ({"wiring": ["ws"]}, "wiring must be a text"),
        ({"networkx": 3.6}, "networkx must be a text"),
        ({"identity": [1]}, "must have a node that computes, got identity nodes only"),
        ({"identity": [0]}, r"identity must be a list of nodes .* got \[0\]"),
        ({"identity": [True]}, r"got \[True\]"),
        ({"identity": {"1": 1}}, "identity must be .* an object of 1"),
        *(({"weights": each}, "weights must be a list of 2 numbers") for each in WRONG),
    ],
)
def test_own_form_names_what_it_rejects(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        from_dict({**OWN, **change})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directed": False}, "directed must be true, got False"),
        ({"multigraph": True}, "multigraph must be false, got True"),
        ({"nodes": [{"id": i} for i in range(10_001)]}, "at most 10000 nodes"),
        ({"nodes": [{"id": 0}, {"id": "1"}, {"id": 2}]}, "got '1'"),
        ({"nodes": [{"id": 0}, {"id": 1}, {"id": 1}]}, "each once, got 1"),
        ({"nodes": [0, 1, 2]}, "list of objects, got 0"),
        ({"edges": [{"source": 0, "target": 7}]}, "edge 0 must join"),
        ({"edges": [{"source": 0}]}, "source and target, got"),
        ({"edges": LINKED["edges"] * 2}, "must differ from those before"),  # type: ignore[operator]
        ({"edges": {}}, "edges must be a list"),
        ({"graph": []}, "graph must be an object"),
        (
            {"nodes": [{"id": 0}, {"id": 1, "operation": ["x" * 999]}, {"id": 2}]},
            'operation must be "identity".* for node 1$',
        ),
        (
            {"nodes": [{"id": 0, "operation": "identity"}, {"id": 1}, {"id": 2}]},
            "input and output have none, got 'identity' for node 0",
        ),
    ],
)
def test_node_link_form_names_what_it_rejects(
    change: dict[str, Any], message: str
) -> None:
    assert len(from_dict(LINKED)) == 3
    with pytest.raises(WiringError, match=message) as caught:
        from_dict({**LINKED, **change})
    assert "\n" not in str(caught.value)


HOSTILE = {
    "neither form": (b'{"nodes": 3}', "a wiring must say"),
    "no object": (b"[[0, 1]]", "must be a JSON object"),
    "empty": (b"", "got an empty file"),
    "blank": (b" \n", "empty"),
    "cut short": (json.dumps(OWN).encode()[:-9], "must be JSON, line 1"),
    "latin-1": ('{"générateur": 1}'.encode("latin-1"), "must be UTF-8 text, byte 3"),
    "utf-16": (json.dumps(OWN).encode("utf-16"), "must be UTF-8"),
    "binary": (bytes(range(256)), "must be UTF-8"),
    "not a number": (b'{"nodes": NaN}', "must be finite, got NaN"),
    "infinite": (b'{"nodes": -Infinity}', "must be finite, got -Infinity"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "deep objects": (b'{"a":' * 100_000, "nested too deeply"),
    "long number": (
        b'{"nodes": ' + b"9" * 5_000 + b"}",
        "a number with too many digits",
    ),
    "graphml": (b"<graphml/>", "must be JSON"),
    "many nodes": (
        json.dumps({**LINKED, "nodes": [{"id": i} for i in range(10**5)]}).encode(),
        "at most 10000 nodes, got 100000",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    with pytest.raises(WiringError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [".", "missing.json", "/dev/zero"])
def test_what_is_no_file_is_not_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(WiringError, match="not a regular file|no such file"):
        load(tmp_path / name)


def test_size_and_lists_are_counted_before_parsing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("[" + "[]," * 50 + "[]]")
    monkeypatch.setattr(files, "_MAX_LISTS", 50)
    with pytest.raises(WiringError, match="at most 50 lists"):
        load(path)
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(WiringError, match="at most 100 bytes, got"):
        load(path)


@pytest.mark.parametrize("claim", [{"nodes": 10**6}, {"nodes": 10_001, "edges": 9}])
def test_a_claim_of_many_nodes_builds_none(claim: dict[str, int]) -> None:
    tracemalloc.start()
    with pytest.raises(WiringError, match="at most|length of edge_list"):
        from_dict({**OWN, **claim})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_file_is_never_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert save(complete(3), path)
    before = path.read_bytes()
    assert not save(complete(3), path)
    with pytest.raises(FileError, match="a.json"):
        save(complete(4), path)
    assert path.read_bytes() == before
    assert save(complete(4), path, overwrite=True)
    assert len(load(path)) == 6


@pytest.mark.parametrize("name", ["", ".", "/", "folder"])
def test_only_a_regular_file_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for overwrite in (False, True):
        with pytest.raises(FileError, match="a file needs a name|regular file"):
            save(complete(3), name, overwrite=overwrite)


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match="self-loop"):
        save(nx.DiGraph([(0, 1), (1, 1), (1, 2)]), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())
    path = tmp_path / "missing" / "a.json"
    with pytest.raises(FileNotFoundError) as caught:
        save(complete(3), path)
    assert caught.value.filename == str(path)


def test_a_full_disk_or_an_interruption_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def interrupted() -> Iterator[bytes]:
        yield b"new"
        raise KeyboardInterrupt

    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, interrupted(), overwrite=True)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save(complete(4), path, overwrite=True)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_dies_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys\n"
        "from ddw_graph.atomic import write_bytes\n"
        "def parts():\n"
        "    yield b'x' * 10**6\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_bytes(sys.argv[1], parts(), overwrite=True)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, path], cwd=Path(__file__).parents[2]
    )
    assert run.returncode == -9
    assert path.read_bytes() == b"old"
