"""``ddw-graph build``: what it prints, what it writes, what it refuses."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import pytest
from click.testing import CliRunner, Result

from ddw_graph.cli.main import main
from ddw_graph.generators import watts_strogatz
from ddw_graph.generators.texts import text_kinds
from ddw_graph.wiring import describe, edge_list, load, save, to_dict

WS = ["--generator", "ws", "--k", "4", "--p", "0.75"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Runs each test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def build(*args: str) -> Result:
    """Runs the command."""
    return CliRunner().invoke(main, ["build", *args])


def test_prints_what_was_built_and_writes_it(folder: Path) -> None:
    result = build(*WS)
    dag = watts_strogatz(32, 4, 0.75, seed=0)
    found = describe(dag)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["ws:n=32,k=4,p=0.75,seed=0"]
    said = {line[0]: line[1] for line in lines[1:]}
    assert said["nodes"] == "34"
    for name in ("edges", "depth", "sources", "sinks", "paths"):
        assert said[name] == str(getattr(found, name))
    assert "(64 among computing nodes)" in result.stdout
    assert result.stderr == "wrote ws-n32-k4-p0.75-seed0.json\n"
    assert edge_list(load(folder / "ws-n32-k4-p0.75-seed0.json")) == edge_list(dag)


def test_the_same_again_is_no_failure() -> None:
    first, second = build(*WS), build(*WS)
    assert second.exit_code == 0
    assert second.stdout == first.stdout
    assert second.stderr == "unchanged: ws-n32-k4-p0.75-seed0.json\n"


def test_another_file_is_replaced_only_when_asked(folder: Path) -> None:
    (folder / "a.json").write_text("mine")
    refused = build(*WS, "--out", "a.json")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("ddw-graph: a.json is there already")
    assert (folder / "a.json").read_text() == "mine"
    assert build(*WS, "--out", "a.json", "--overwrite").exit_code == 0
    assert len(load(folder / "a.json")) == 34


@pytest.mark.parametrize(
    ("options", "nodes"),
    [
        (("dilated", "--dilation", "4", "--period", "5"), 10),
        (("streams", "--width", "4"), 38),
        (("streams:width=4",), 38),
    ],
)
def test_wirings_of_the_literature(options: tuple[str, ...], nodes: int) -> None:
    result = build("--n", "8", "--generator", *options)
    assert result.exit_code == 0
    said = result.stdout.splitlines()
    assert f"{nodes} (8 compute)" in said[1]
    assert ("among inner nodes" in said[2]) == (nodes == 38)
    printed = json.loads(build("--n", "8", "--generator", *options, "--json").stdout)
    assert (printed["nodes"], printed["computing"]) == (nodes, 8)
    assert len(printed.get("identity", ())) == nodes - 10


@pytest.mark.parametrize("name", ["complete", "vgg", "resnet", "densenet", "residual"])
def test_json_is_one_object_and_no_file(name: str, folder: Path) -> None:
    result = build("--generator", name, "--n", "5", "--json")
    printed = json.loads(result.stdout)
    assert result.stderr == "" and not list(folder.iterdir())
    assert printed["generator"] == name and printed["nodes"] == 7
    assert printed["edges"] == len(printed["edge_list"])
    dag = nx.DiGraph(printed["edge_list"])
    assert printed["depth"] == nx.dag_longest_path_length(dag)
    assert printed["sources"] == dag.out_degree(0)
    assert printed["sinks"] == dag.in_degree(6)
    assert printed["paths"] == len(list(nx.all_simple_paths(dag, 0, 6)))


def test_what_json_prints_can_be_read_as_a_file(folder: Path) -> None:
    printed = build(*WS, "--seed", "3", "--json").stdout
    (folder / "printed.json").write_text(printed)
    assert to_dict(load(folder / "printed.json")) == to_dict(
        watts_strogatz(32, 4, 0.75, seed=3)
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--generator ws --k 6 --p 0.1", "ws:n=32,k=6,p=0.1,seed=0"),
        ("--generator ws:k=6 --p=0.1 --n 9", "ws:n=9,k=6,p=0.1,seed=0"),
        ("--p 0.3 --generator er --seed 4", "er:n=32,p=0.3,seed=4"),
        ("--generator ba --m 7 --n 12", "ba:n=12,m=7,seed=0"),
        ("--generator ba:n=12,m=7", "ba:n=12,m=7,seed=0"),
        ("--generator complete --seed 4", "complete:n=32"),
        (
            "--generator own_graphs.fan --n 4 --first-node 2",
            "own_graphs.fan:n=4,first_node=2",
        ),
        ("--generator own_graphs.fan:first_node=1", "own_graphs.fan:n=32,first_node=1"),
    ],
)
def test_every_option_takes_effect(
    options: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    Path("own_graphs.py").write_text(OWN)
    printed = json.loads(build(*options.split(), "--json").stdout)
    assert printed["wiring"] == text
    assert printed["generator"] == text.partition(":")[0]


OWN = """
import networkx as nx

def fan(n: int, first_node: int = 1):
    dag = nx.path_graph(n + 2, create_using=nx.DiGraph)
    dag.add_edges_from((first_node, j) for j in range(first_node + 1, n + 2))
    return dag
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--generator complete --k 4", "complete takes n, got k"),
        ("--generator ba --m 5 --grahpml 4", "ba takes n and m, got grahpml"),
        ("--generator ws --k 4", "ws needs k and p, as in ws:k=...,p=..."),
        ("--generator ws --p 0.5 --k", "Option '--k' requires an argument"),
        ("--generator ws ws", "unexpected extra argument (ws)"),
        ("--generator ws:k=4,p=0.1 --k 6", "k must be given once"),
        ("--generator ws --k 3 --p 0.5", "k must be even"),
        ("--generator ba:n=9,m=2 --n 8", "n must be 9, that of ba:n=9,m=2, got n=8"),
        ("--generator er --p 0.5 --seed -1", "seed must be at least 0"),
        ("--generator nets", "the generator must be ba, complete"),
        ("--generator no.nets", "no.nets must be importable: No module named 'no'"),
        ("--generator no:nets", "a function of your own MODULE.FUNCTION, got 'nets'"),
        ("--generator complete --n 9998", "must have at most 5,000,000 edges, got"),
        ("--generator file:a.json --k 4", "a file takes no arguments, got --k 4"),
        ("--generator complete --edges fixed", "--edges needs --model"),
        ("--generator complete --plot a.gif", "a picture is .png, .svg or .pdf"),
        ("--generator complete --out no/a.json", "no/a.json: No such file"),
    ],
)
def test_refuses_in_one_line_and_writes_nothing(
    options: str, message: str, folder: Path
) -> None:
    result = build(*options.split())
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not list(folder.iterdir())


def test_the_help_names_every_generator_with_its_arguments() -> None:
    shown = " ".join(build("--help").output.split())
    for name in ("complete", "er", "ba", "ws", "dilated", "streams"):
        given = [key for key in text_kinds(name) if key != "n"]
        options = " and ".join(f"--{key}" for key in given)
        assert (f"{name} with {options}" if given else name) in shown


def test_a_file_of_ones_own(folder: Path) -> None:
    save(nx.DiGraph([(0, 1), (0, 2), (1, 3), (2, 3)]), folder / "own.json")
    result = build("--generator", "file:own.json")
    assert result.exit_code == 0 and result.stderr == ""
    assert result.stdout.startswith("wiring of unknown origin\n  nodes       4")
    assert build("--generator", "file:own.json", "--n", "3").exit_code == 2


def test_pictures_and_exports_again_are_the_same(folder: Path) -> None:
    options = "--plot a.svg --graphml a.graphml --dot a.dot --out a.json".split()
    first = build(*WS, *options)
    assert first.stderr == "wrote a.json\nwrote a.graphml\nwrote a.dot\nwrote a.svg\n"
    assert ElementTree.parse(folder / "a.svg").getroot().tag.endswith("svg")
    assert edge_list(nx.read_graphml("a.graphml", node_type=int)) == edge_list(
        load("a.json")
    )
    assert (folder / "a.dot").read_text().startswith("digraph")
    second = build(*WS, *options)
    assert second.exit_code == 0 and second.stderr.count("unchanged") == 4


def test_the_cost_of_a_network() -> None:
    from ddw_graph.models import create_model
    from ddw_graph.nn.cost import cost

    options = "--n 6 --model randwire_tiny --edges learned --seed 2 --json".split()
    printed = json.loads(build(*WS, *options).stdout)
    model = create_model(
        "randwire_tiny", wiring="ws:k=4,p=0.75", edges="learned", n=6, seed=2
    )
    assert printed["params"] == sum(p.numel() for p in model.parameters())
    assert printed["layer_macs"] == cost(model, image_size=28).layer_macs
    assert printed["total_macs"] == cost(model, image_size=28).total_macs
    assert (printed["model"], printed["edge_weights"]) == ("randwire_tiny", "learned")
    assert "M of convolutions and FC" in build(*WS, *options[:-1]).stdout


def test_an_unknown_network() -> None:
    result = build(*WS, "--model", "nonesuch")
    assert result.exit_code == 2 and "'nonesuch'" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        "--generator ws:n=8,k=4,p=0.75 --model randwire_regular",
        "--generator ba --m 2 --n 8 --model randwire_regular --edges dynamic:gate=hard",
    ],
)
def test_the_cost_of_a_network_whose_stages_differ(options: str) -> None:
    result = build(*options.split(), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["image_size"] == 224


def test_the_cost_of_a_network_of_ones_own_wiring(folder: Path) -> None:
    assert build(*WS, "--n", "6", "--out", "own.json").exit_code == 0
    options = "--generator file:own.json --model randwire_regular --json".split()
    result = build(*options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["nodes"] == 8
