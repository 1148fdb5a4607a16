"""What every generator's wirings have in common."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import (
    GENERATORS,
    barabasi_albert,
    complete,
    densenet,
    dilated,
    erdos_renyi,
    from_text,
    is_random,
    residual,
    resnet,
    streams,
    vgg,
    watts_strogatz,
)
from ddw_graph.wiring import MAX_NODES, WiringError, computing_nodes, edge_list

TEXTS = (
    "complete",
    "er:p=0.2",
    "ba:m=3",
    "ws:k=4,p=0.75",
    "vgg",
    "resnet",
    "densenet",
    "residual",
    "dilated:dilation=3,period=2",
    "streams:width=3",
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draws a generator's name and arguments in range."""
    name = draw(st.sampled_from(sorted(GENERATORS)))
    n = draw(st.integers({"ba": 2, "ws": 5}.get(name, 1), 40))
    arguments: dict[str, Any] = {"n": n}
    if name in ("er", "ba", "ws"):
        arguments["seed"] = draw(st.integers(0, 2**64))
    if name in ("er", "ws"):
        arguments["p"] = draw(st.floats(0, 1))
    if name == "ba":
        arguments["m"] = draw(st.integers(1, n - 1))
    if name == "ws":
        # Two neighbours and much rewiring are hardly ever connected.
        arguments["k"] = 4
    for key in {"dilated": ("dilation", "period"), "streams": ("width",)}.get(name, ()):
        arguments[key] = draw(st.integers(1, 9))
    return name, arguments


@given(calls())
def test_one_input_one_output_and_nothing_dangling(
    call: tuple[str, dict[str, Any]],
) -> None:
    name, arguments = call
    dag, n = GENERATORS[name](**arguments), arguments["n"]
    size = n + 2 + (n - 1) * arguments.get("width", 0)
    assert list(dag) == list(range(size)) and len(computing_nodes(dag)) == n
    assert list(dag.edges) == edge_list(dag)
    assert all(i < j for i, j in dag.edges)
    assert [v for v in dag if not dag.pred[v]] == [0]
    assert [v for v in dag if not dag.succ[v]] == [size - 1]
    assert len(nx.descendants(dag, 0)) == len(nx.ancestors(dag, size - 1)) == size - 1
    assert nx.utils.graphs_equal(dag, GENERATORS[name](**arguments))


@pytest.mark.parametrize("text", TEXTS)
def test_says_how_it_came_about(text: str) -> None:
    dag = from_text(text, n=16, seed=7)
    assert dag.graph["generator"] == text.partition(":")[0]
    assert dag.graph["networkx"] == nx.__version__
    arguments = dag.graph["arguments"]
    assert arguments["n"] == 16
    assert arguments.get("seed") == (7 if is_random(text) else None)
    again = GENERATORS[dag.graph["generator"]](**arguments)
    assert nx.utils.graphs_equal(again, dag)


def test_is_the_same_in_another_process() -> None:
    code = (
        "import sys\n"
        "from ddw_graph.generators import from_text\n"
        "for text in sys.argv[1:]:\n"
        "    print(list(from_text(text, n=32, seed=5).edges))\n"
        "assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules)\n"
    )
    here = [str(list(from_text(text, n=32, seed=5).edges)) for text in TEXTS]
    for salt in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, *TEXTS],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.splitlines() == here


def test_no_global_generator_is_read_or_set() -> None:
    # In a process of its own, since beartype's checks draw from the global generator.
    code = (
        "import random, sys\n"
        "import numpy as np\n"
        "from ddw_graph.generators import from_text\n"
        "def draw():\n"
        "    return [list(from_text(t, n=16, seed=0).edges) for t in sys.argv[1:]]\n"
        "random.seed(1); np.random.seed(1)\n"
        "before = random.getstate(), np.random.get_state()[1].tolist()\n"
        "first = draw()\n"
        "assert before == (random.getstate(), np.random.get_state()[1].tolist())\n"
        "random.seed(2); np.random.seed(2)\n"
        "assert draw() == first\n"
    )
    run = [sys.executable, "-c", code, *TEXTS]
    subprocess.run(run, cwd=Path(__file__).parents[2], check=True)


@pytest.mark.parametrize("text", [text for text in TEXTS if is_random(text)])
def test_another_seed_is_another_graph(text: str) -> None:
    graphs = {tuple(from_text(text, n=32, seed=seed).edges) for seed in range(20)}
    assert len(graphs) == 20


REJECTED: list[tuple[Callable[..., nx.DiGraph], dict[str, Any], str]] = [
    (complete, {"n": 0}, r"n must be in 1\.\.9998, got n=0"),
    (vgg, {"n": 0}, "got n=0"),
    (resnet, {"n": -2}, "got n=-2"),
    (densenet, {"n": 0}, "got n=0"),
    (residual, {"n": 0}, "got n=0"),
    (complete, {"n": True}, "n must be an integer, got n=True"),
    (complete, {"n": MAX_NODES - 1}, "got n=9999"),
    (dilated, {"n": 0, "dilation": 1, "period": 1}, "got n=0"),
    (dilated, {"n": 8, "dilation": 0, "period": 1}, "dilation must be at least 1, got"),
    (
        dilated,
        {"n": 8, "dilation": 1, "period": True},
        "period must be an integer, got",
    ),
    (streams, {"n": 0, "width": 4}, "got n=0"),
    (streams, {"n": 8, "width": 0}, "width must be at least 1, got width=0"),
    (streams, {"n": 5001, "width": 1}, "at most 9998, got n=5001, width=1"),
    (streams, {"n": 2, "width": 10**9}, "at most 9998, got n=2, width=1000000000"),
    (erdos_renyi, {"n": 8, "p": 1.5, "seed": 0}, r"p must be .* \[0, 1\], got p=1.5"),
    (erdos_renyi, {"n": 8, "p": -0.1, "seed": 0}, "got p=-0.1"),
    (erdos_renyi, {"n": 8, "p": float("nan"), "seed": 0}, "got p=nan"),
    (erdos_renyi, {"n": 8, "p": 0.5, "seed": -1}, "seed must be at least 0"),
    (erdos_renyi, {"n": 8, "p": 0.5, "seed": True}, "seed must be an integer"),
    (barabasi_albert, {"n": 8, "m": 0, "seed": 0}, "m must be at least 1, got m=0"),
    (barabasi_albert, {"n": 8, "m": 8, "seed": 0}, "below n, got m=8, n=8"),
    (watts_strogatz, {"n": 8, "k": 3, "p": 0.5, "seed": 0}, "k must be even .* k=3"),
    (watts_strogatz, {"n": 8, "k": 8, "p": 0.5, "seed": 0}, "k < n, got k=8, n=8"),
    (watts_strogatz, {"n": 8, "k": 0, "p": 0.5, "seed": 0}, "got k=0"),
    (watts_strogatz, {"n": 8, "k": 4, "p": 2.0, "seed": 0}, "got p=2.0"),
    (
        watts_strogatz,
        {"n": 8, "k": 4, "p": 0.5, "seed": 0, "tries": 0},
        "tries must be at least 1, got tries=0",
    ),
]


@pytest.mark.parametrize(("generator", "arguments", "message"), REJECTED)
def test_names_the_argument_it_rejects(
    generator: Callable[..., nx.DiGraph], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(WiringError, match=message):
        generator(**arguments)
