"""Laws of every registered generator."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import GENERATORS, depth, from_text, randwire, regular
from ddw_graph.generators.registry import argument_kinds
from ddw_graph.wiring import (
    MAX_EDGES,
    MAX_NODES,
    WiringError,
    computing_nodes,
    edge_list,
)

NAMES = tuple(GENERATORS)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(5, 40),
    "seed": st.integers(0, 2**64),
    # Two neighbours and much rewiring are hardly ever connected.
    "k": st.just(4),
    "m": st.integers(1, 4),
    "p": st.floats(0, 1),
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draws a generator's name and arguments in range."""
    name = draw(st.sampled_from(NAMES))
    kinds = argument_kinds(GENERATORS[name])
    arguments = {key: draw(SPECIAL.get(key, st.integers(1, 9))) for key in kinds}
    if "seed" not in kinds:
        arguments["n"] = draw(st.integers(1, 40))
    return name, arguments


EXAMPLE = {"n": 16, "seed": 7, "k": 4, "m": 3, "p": 0.2}


def example(name: str) -> dict[str, Any]:
    """Returns arguments of a generator."""
    return {key: EXAMPLE.get(key, 3) for key in argument_kinds(GENERATORS[name])}


@given(calls())
def test_one_input_one_output_and_nothing_dangling(
    call: tuple[str, dict[str, Any]],
) -> None:
    name, arguments = call
    dag = GENERATORS[name](**arguments)
    size = len(dag)
    assert list(dag) == list(range(size))
    assert len(computing_nodes(dag)) == arguments["n"]
    assert list(dag.edges) == edge_list(dag)
    assert all(i < j for i, j in dag.edges)
    assert [v for v in dag if not dag.pred[v]] == [0]
    assert [v for v in dag if not dag.succ[v]] == [size - 1]
    assert len(nx.descendants(dag, 0)) == len(nx.ancestors(dag, size - 1)) == size - 1
    assert nx.utils.graphs_equal(dag, GENERATORS[name](**arguments))


@given(calls())
def test_the_attribute_wiring_names_the_same_wiring(
    call: tuple[str, dict[str, Any]],
) -> None:
    name, arguments = call
    dag = GENERATORS[name](**arguments)
    assert dag.graph["networkx"] == nx.__version__
    text, _, seed = dag.graph["wiring"].partition(",seed=")
    again = from_text(text, n=None, seed=int(seed or 0))
    assert nx.utils.graphs_equal(again, dag)
    assert ("seed" in arguments) == bool(seed)


def test_the_same_in_any_process_and_no_global_generator() -> None:
    # In processes of their own, since beartype's checks draw from the global generator.
    code = (
        "import json, random, sys\n"
        "import numpy as np\n"
        "from ddw_graph.generators import GENERATORS\n"
        "random.seed(int(sys.argv[1])); np.random.seed(int(sys.argv[1]))\n"
        "before = random.getstate(), np.random.get_state()[1].tolist()\n"
        "for name, arguments in json.loads(sys.argv[2]).items():\n"
        "    print(list(GENERATORS[name](**arguments).edges))\n"
        "assert before == (random.getstate(), np.random.get_state()[1].tolist())\n"
        "assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules)\n"
    )
    examples = {name: example(name) for name in NAMES}
    here = [str(list(GENERATORS[name](**a).edges)) for name, a in examples.items()]
    for salt in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, salt, json.dumps(examples)],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.splitlines() == here


WRONG: dict[str, list[object]] = {
    "n": [0, -2, MAX_NODES - 1, 10**9, True, 3.0, "3", None],
    "seed": [-1, True, 0.5, None],
    "p": [-0.1, 1.5, float("nan"), float("inf"), True, "0.5", None, 0.5j],
    "k": [0, -2, 3, 16, 4.0],
    "m": [0, -1, 16, True],
    "dilation": [0, -1, 2.0],
    "period": [0, -1, True],
    "width": [0, -1, 10**9, 3j],
}


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_out_of_range_is_named(name: str) -> None:
    arguments = example(name)
    for key in arguments:
        for value in WRONG[key]:
            with pytest.raises(WiringError, match=rf"\b{key}\b.*{key}=") as caught:
                GENERATORS[name](**arguments | {key: value})
            assert "\n" not in str(caught.value)


LARGE = EXAMPLE | {"n": MAX_NODES - 2, "k": 5000, "m": 4000, "dilation": 1}


@pytest.mark.parametrize("name", sorted({*NAMES} - {"vgg", "resnet"}))
def test_too_many_edges_are_refused_before_they_are_built(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("built")

    kinds = argument_kinds(GENERATORS[name])
    arguments = {key: {**LARGE, "period": 1, "width": 3000}.get(key) for key in kinds}
    if name == "streams":
        arguments["n"] = 4
    for method in ("add_edges_from", "add_nodes_from"):
        monkeypatch.setattr(nx.DiGraph, method, fail)
    with pytest.raises(WiringError, match=f"at most {MAX_EDGES:,} edges, got about"):
        GENERATORS[name](**arguments)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"vgg", "resnet"}))
def test_the_count_of_edges_is_known_before(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[float] = []
    for module in (depth, randwire, regular):
        monkeypatch.setattr(module, "check_edges", lambda c, **_: counts.append(c))
    edges = GENERATORS[name](**example(name) | {"n": 100}).number_of_edges()
    # Those of the input and the output are left out where chance decides.
    assert counts and abs(counts[-1] - edges) <= 102 + edges / 20
