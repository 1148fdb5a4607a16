"""``build``, ``draw`` and ``diff``: what they print and what they write."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest

from ddw_graph.generators import resnet, vgg, watts_strogatz
from ddw_graph.generators.texts import text_kinds
from ddw_graph.wiring import (
    describe,
    edge_list,
    load,
    save,
    text_drawing,
    to_dict,
)
from ddw_graph.wiring import diff as wiring_diff
from tests.cli.command import refused, succeeds

WS = ("build", "--generator", "ws", "--k", "4", "--p", "0.75")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs each test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_prints_what_was_built_and_writes_it_once(folder: Path) -> None:
    result = succeeds(*WS)
    dag = watts_strogatz(32, 4, 0.75, seed=0)
    found = describe(dag)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["ws:n=32,k=4,p=0.75,seed=0"]
    shown = {line[0]: line[1] for line in lines[1:]}
    assert shown["nodes"] == "34"
    for name in ("edges", "depth", "sources", "sinks", "paths"):
        assert shown[name] == str(getattr(found, name))
    assert "(64 among computing nodes)" in result.stdout
    assert result.stderr == "wrote ws-n32-k4-p0.75-seed0.json\n"
    assert edge_list(load(folder / "ws-n32-k4-p0.75-seed0.json")) == edge_list(dag)
    again = succeeds(*WS)
    assert again.stdout == result.stdout
    assert again.stderr == "unchanged: ws-n32-k4-p0.75-seed0.json\n"


@pytest.mark.parametrize("command", [WS, ("draw", "complete")])
def test_another_file_is_replaced_only_when_asked(
    command: tuple[str, ...], folder: Path
) -> None:
    (folder / "a.svg").write_text("mine")
    refused(*command, "--out", "a.svg", message="replace it with --overwrite")
    assert (folder / "a.svg").read_text() == "mine"
    succeeds(*command, "--out", "a.svg", "--overwrite")
    assert (folder / "a.svg").read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "nodes"),
    [("dilated --dilation 4 --period 5", 10), ("streams:width=4", 38)],
)
def test_wirings_of_the_literature(options: str, nodes: int) -> None:
    command = ("build", "--n", "8", "--generator", *options.split())
    lines = succeeds(*command).stdout.splitlines()
    assert f"{nodes} (8 compute)" in lines[1]
    assert ("among inner nodes" in lines[2]) == (nodes == 38)
    printed = json.loads(succeeds(*command, "--json").stdout)
    assert (printed["nodes"], printed["computing"]) == (nodes, 8)
    assert len(printed.get("identity", ())) == nodes - 10


@pytest.mark.parametrize("name", ["complete", "vgg", "resnet", "densenet", "residual"])
def test_json_is_one_object_which_is_a_file_too(name: str, folder: Path) -> None:
    result = succeeds("build", "--generator", name, "--n", "5", "--json")
    printed = json.loads(result.stdout)
    assert result.stderr == "" and not list(folder.iterdir())
    assert printed["generator"] == name and printed["nodes"] == 7
    assert printed["edges"] == len(printed["edge_list"])
    dag = nx.DiGraph(printed["edge_list"])
    assert printed["depth"] == nx.dag_longest_path_length(dag)
    assert printed["sources"] == dag.out_degree(0)
    assert printed["sinks"] == dag.in_degree(6)
    assert printed["paths"] == len(list(nx.all_simple_paths(dag, 0, 6)))
    (folder / "printed.json").write_text(result.stdout)
    kept = {key: printed[key] for key in to_dict(load(folder / "printed.json"))}
    assert to_dict(load(folder / "printed.json")) == kept


OWN = """
import networkx as nx

def fan(n: int, first_node: int = 1):
    dag = nx.path_graph(n + 2, create_using=nx.DiGraph)
    dag.add_edges_from((first_node, j) for j in range(first_node + 1, n + 2))
    return dag
"""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--generator ws:k=6 --p=0.1 --n 9", "ws:n=9,k=6,p=0.1,seed=0"),
        ("--p 0.3 --generator er --seed 4", "er:n=32,p=0.3,seed=4"),
        ("--generator ba:n=12,m=7", "ba:n=12,m=7,seed=0"),
        ("--generator complete --seed 4", "complete:n=32"),
        (
            "--generator own_graphs.fan --n 4 --first-node 2",
            "own_graphs.fan:n=4,first_node=2",
        ),
    ],
)
def test_every_option_takes_effect(
    options: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    Path("own_graphs.py").write_text(OWN)
    printed = json.loads(succeeds("build", *options.split(), "--json").stdout)
    assert printed["wiring"] == text
    assert printed["generator"] == text.partition(":")[0]


def test_the_help_names_every_generator_with_its_arguments() -> None:
    shown = " ".join(succeeds("build", "--help").output.split())
    for name in ("complete", "er", "ba", "ws", "dilated", "streams"):
        given = [key for key in text_kinds(name) if key != "n"]
        options = " and ".join(f"--{key}" for key in given)
        assert (f"{name} with {options}" if given else name) in shown


def test_a_file_of_ones_own(folder: Path) -> None:
    save(nx.DiGraph([(0, 1), (0, 2), (1, 3), (2, 3)]), folder / "own.json")
    own = ("build", "--generator", "file:own.json")
    result = succeeds(*own)
    assert result.stderr == ""
    assert result.stdout.startswith("wiring of unknown origin\n  nodes       4")
    refused(*own, "--n", "3", message="n must be")
    text = text_drawing(load(folder / "own.json"))
    for name in ("own.json", "file:own.json", folder / "own.json"):
        assert succeeds("draw", name).output == text + "\n"


def test_files_have_the_form_of_their_ending_and_stay_the_same(folder: Path) -> None:
    names = [f"a.{ending}" for ending in ("json", "graphml", "dot", "svg")]
    words = [word for name in names for word in ("--out", name)]
    first = succeeds(*WS, *words)
    assert first.stderr == "".join(f"wrote {name}\n" for name in names)
    assert ElementTree.parse(folder / "a.svg").getroot().tag.endswith("svg")
    found = nx.read_graphml("a.graphml", node_type=int)
    assert edge_list(found) == edge_list(load("a.json"))
    assert (folder / "a.dot").read_text().startswith("digraph")
    assert succeeds(*WS, *words).stderr.count("unchanged") == 4


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (
            "--n 6 --model randwire_tiny --edges learned --seed 2",
            {"edges": "learned", "n": 6, "seed": 2, "image_size": 28},
        ),
        (
            "--n 12 --model randwire_regular --edges dynamic:gate=hard",
            {"edges": "dynamic:gate=hard", "n": 12, "image_size": 224},
        ),
    ],
)
def test_the_cost_of_a_network(options: str, settings: dict[str, Any]) -> None:
    from ddw_graph.models import create_model
    from ddw_graph.nn.cost import cost

    printed = json.loads(succeeds(*WS, *options.split(), "--json").stdout)
    size = settings.pop("image_size")
    model = create_model(printed["model"], wiring="ws:k=4,p=0.75", **settings)
    found = cost(model, size)
    assert printed["params"] == sum(p.numel() for p in model.parameters())
    assert printed["layer_macs"] == found.layer_macs
    assert printed["total_macs"] == found.total_macs
    assert (printed["edge_weights"], printed["image_size"]) == (settings["edges"], size)
    assert "M of convolutions and FC" in succeeds(*WS, *options.split()).stdout


def test_draws_text_without_a_file() -> None:
    expected = text_drawing(watts_strogatz(32, 4, 0.75, seed=1))
    assert succeeds("draw", "ws:k=4,p=0.75", "--seed", 1).output == expected + "\n"


@pytest.mark.parametrize(
    ("style", "suffix", "magic"),
    [
        ("auto", "png", b"\x89PNG"),
        ("arcs", "pdf", b"%PDF"),
        ("layered", "svg", b"<?xml"),
        ("matrix", "png", b"\x89PNG"),
    ],
)
def test_equal_wirings_give_equal_pictures(
    style: str, suffix: str, magic: bytes, tmp_path: Path
) -> None:
    out = tmp_path / f"a.{suffix}"
    draw = ("draw", "ws:k=4,p=0.75", "--n", 8, "--out", out, "--style", style)
    for word in ("wrote", "unchanged:"):
        result = succeeds(*draw)
        assert (result.stdout, result.stderr) == ("", f"{word} {out}\n")
    assert out.read_bytes().startswith(magic)


def test_prints_the_edges_that_one_wiring_has_only(tmp_path: Path) -> None:
    assert succeeds("diff", "vgg", "resnet", "--n", 2).output == (
        "- vgg: 4 nodes, 3 edges\n"
        "+ resnet: 4 nodes, 5 edges\n"
        "3 shared, similarity 0.600\n"
        "+ 0 -> 2\n"
        "+ 1 -> 3\n"
    )
    save(resnet(4), tmp_path / "a.json")
    found = succeeds("diff", "vgg:n=3", tmp_path / "a.json", "--json")
    assert json.loads(found.stdout) == json.loads(
        json.dumps(wiring_diff(vgg(3), resnet(4)).as_dict())
    )
    same = succeeds("diff", "er:p=0.5", "er:p=0.5", "--seed", 4, "--json")
    assert json.loads(same.output)["similarity"] == 1.0
