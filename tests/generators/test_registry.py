"""Your own generators: registered, installed, or named on the command line."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from ddw_graph.errors import UserError
from ddw_graph.generators import GENERATORS, complete, from_text, register, registry
from ddw_graph.generators.registry import import_generator
from ddw_graph.models import create_model
from ddw_graph.wiring import WiringError, edge_list, from_dict, load, save, to_dict

MODULE = """
from __future__ import annotations
import pathlib
import networkx as nx
from ddw_graph.wiring import with_terminals

pathlib.Path(__file__).with_suffix(".imported").touch()


def hubs(n: int, count: int = 1, *, p: float = 0.5, seed: int) -> "nx.DiGraph":
    inner = nx.gnp_random_graph(n, p, seed=seed)
    inner = nx.DiGraph((min(e), max(e)) for e in inner.edges)
    inner.add_edges_from((i, j) for i in range(count) for j in range(i + 1, n))
    return with_terminals(inner)


def other(size: int) -> nx.DiGraph: ...
"""


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Lets each test register as it likes, in a folder with a module of its own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "own_wirings", sys)  # restored at the end
    del sys.modules["own_wirings"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_wirings.py").write_text(MODULE)
    before = dict(GENERATORS)
    yield tmp_path / "own_wirings.imported"
    registry._REGISTERED.clear()
    registry._REGISTERED.update(before)


def chain(n: int) -> nx.DiGraph:
    """Returns a chain."""
    return nx.path_graph(n + 2, create_using=nx.DiGraph)


def test_a_registered_function_is_a_generator_like_any_other() -> None:
    mine = register("mine")(chain)
    assert mine(3).graph["wiring"] == "mine:n=3"
    assert edge_list(from_text("mine:n=3", n=None, seed=0)) == edge_list(chain(3))
    model = create_model("randwire_tiny", wiring="mine", n=4, edges="fixed")
    assert [len(stage.dag) for stage in model.stages] == [6, 6, 6]
    with pytest.raises(WiringError, match="mine takes n, got k"):
        from_text("mine:k=3", n=4, seed=0)
    register("mine")(chain)  # as a notebook's cell that runs again
    with pytest.raises(TypeError):
        GENERATORS["mine"] = complete  # type: ignore[index]


def test_the_signature_gives_names_types_defaults_and_the_seed(own: Path) -> None:
    import_generator("own_wirings.hubs")
    text = "own_wirings.hubs:p=1"
    drawn = from_text(text, n=6, seed=3)
    assert drawn.graph["wiring"] == "own_wirings.hubs:n=6,count=1,p=1.0,seed=3"
    for wrong, message in (
        ("count=2.5", "count must be an integer"),
        ("p=often", "p must be a number"),
        ("p=nan", "p must be a finite number"),
        ("q=1", "takes n and count and p, got q"),
        ("seed=1", "seed must not be in a text"),
    ):
        with pytest.raises(WiringError, match=message):
            from_text(f"own_wirings.hubs:{wrong}", n=6, seed=3)


def _cycle(n: int) -> nx.DiGraph:
    return nx.DiGraph([(0, 1), (1, 2), (2, 1), (2, 3)])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_cycle, "a wiring must be acyclic, got the cycle 1 -> 2 -> 1"),
        (lambda n: chain(n + 1), "n must be 2, got n=3"),
        (lambda n: nx.path_graph(4), ".* directed graph"),
        (lambda n: [[0, 1]], ".* directed graph .* got a list"),
        (lambda n: None, ".* got a NoneType"),
    ],
)
def test_what_is_no_wiring_is_refused(
    function: Callable[[int], Any], message: str
) -> None:
    mine = register("mine")(function)
    with pytest.raises(
        WiringError, match=f"the generator mine must return a wiring: {message}"
    ):
        mine(2)
    with pytest.raises(WiringError, match="a wiring must|n=3"):
        create_model("randwire_tiny", wiring=function, n=2)


def _starred(n: int, *more: int) -> nx.DiGraph:
    raise AssertionError


def _listed(n: int, sizes: list[int]) -> nx.DiGraph:
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("mine", lambda size: chain(size), r"first argument must be n, .*\(size\)"),
        ("mine", lambda: chain(3), "first argument must be n"),
        ("mine", lambda n, k: chain(n), "annotated as int, float or str, got k"),
        ("mine", lambda n, k=True: chain(n), "annotated .* got k=True"),
        ("mine", _starred, "annotated .* got .*more"),
        ("mine", _listed, "annotated .* got sizes"),
        ("ws", chain, "must be free, got 'ws', .*watts_strogatz"),
        ("a:b", chain, "must be letters, digits and _, got 'a:b'"),
        ("", chain, "must be letters, digits and _, got ''"),
        ("file", chain, "must be letters, digits and _, got 'file'"),
    ],
)
def test_what_is_no_generator_is_refused(
    name: str, function: Callable[..., nx.DiGraph], message: str
) -> None:
    with pytest.raises(WiringError, match=message):
        register(name)(function)


def test_an_installed_package_names_its_generators(
    monkeypatch: pytest.MonkeyPatch, own: Path
) -> None:
    sys.path.append(str(own.parent))
    entries = EntryPoints(
        EntryPoint(name, f"own_wirings:{function}", registry.GROUP)
        for name, function in (("hubs", "hubs"), ("lost", "lost"), ("other", "other"))
    )
    monkeypatch.setattr(
        registry, "entry_points", lambda **which: entries.select(**which)
    )
    assert not own.exists()  # nothing is imported before it is asked for
    assert len(from_text("hubs:count=2", n=5, seed=0)) == 7
    with pytest.raises(WiringError, match="lost must be importable: .*'lost'"):
        from_text("lost", n=5, seed=0)
    with pytest.raises(WiringError, match=r"must be n, .*other\(size\)"):
        from_text("other", n=5, seed=0)
    with pytest.raises(WiringError, match="ba, complete, .* hubs, lost, .*file:PATH"):
        from_text("nets", n=5, seed=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_wirings.lost", "must be importable: .*'lost'"),
        ("no_such_module.hubs", "must be importable: No module"),
        ("own_wirings.pathlib", "must be a function"),
        ("own_wirings.other", r"first argument must be n, .*\(size\)"),
        ("os.getcwd", "first argument must be n"),
    ],
)
def test_a_dotted_name_that_is_no_generator(name: str, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        import_generator(name)


def test_a_module_named_in_a_file_is_never_imported(own: Path) -> None:
    from ddw_graph import load as load_network
    from ddw_graph import save as save_network
    from ddw_graph.experiments.spec import read_spec

    text = "own_wirings.hubs:n=2,count=1,p=0.5,seed=0"
    sys.path.append(str(own.parent))
    dag = complete(2)
    dag.graph["wiring"] = text
    save(dag, "a.json")
    assert load("a.json").graph["wiring"] == text
    assert to_dict(from_dict(to_dict(dag)))["generator"] == "own_wirings.hubs"
    save_network(create_model("randwire_tiny", wiring=dag, n=2), "a.safetensors")
    loaded = load_network("a.safetensors").stages[0].dag
    assert loaded.graph["wiring"] == text and loaded.edges == dag.edges
    family = "{ generator = 'own_wirings.hubs', count = [1] }"
    for wiring in ("['own_wirings.hubs:count=1']", f"[{family}]"):
        Path("sweep.toml").write_text(f"[axes]\nwiring = {wiring}\n")
        with pytest.raises(UserError, match="imported where the command line names"):
            read_spec(Path("sweep.toml"))
    assert not own.exists() and "own_wirings" not in sys.modules
