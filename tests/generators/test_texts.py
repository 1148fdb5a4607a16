"""Texts that name a wiring."""

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import complete, from_text, streams, watts_strogatz
from ddw_graph.generators.registry import wiring_text
from ddw_graph.generators.texts import has_n, plain_text
from ddw_graph.wiring import WiringError, save


@pytest.mark.parametrize(
    "text", ["ws:k=4,p=0.75", " ws : p = 0.75 , k = 4 ", "ws:n=16,k=4,p=.75"]
)
def test_a_text_is_a_call(text: str) -> None:
    expected = watts_strogatz(16, 4, 0.75, seed=3)
    assert nx.utils.graphs_equal(from_text(text, n=16, seed=3), expected)


@given(
    name=st.sampled_from(["er", "ba", "ws", "vgg", "complete"]),
    n=st.none() | st.integers(1, 99),
    k=st.integers(0, 50),
    p=st.floats(0, 1),
)
def test_a_call_and_its_text_are_one(
    name: str, n: int | None, k: int, p: float
) -> None:
    wanted = {"er": "p", "ba": "m", "ws": "kp"}.get(name, "")
    given: dict[str, object] = {key: {"m": k, "k": k, "p": p}[key] for key in wanted}
    text = wiring_text(name, ({} if n is None else {"n": n}) | given)
    assert plain_text(plain_text(text)) == plain_text(text)
    assert {*plain_text(text).split(",")} == {*text.split(",")}
    assert has_n(text) == (n is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nets", "must be ba, complete, .*file:PATH, got 'nets'$"),
        ("", "file:PATH, got ''"),
        ("mine.nets", "got 'mine.nets'; .* imported where the command line names it"),
        ("mine:nets", "a function of your own MODULE.FUNCTION, got 'nets' in 'mine:"),
        ("ws", r"ws needs k and p, as in ws:k=\.\.\.,p=\.\.\., got 'ws'"),
        ("ws:k=4", "needs k and p"),
        ("complete:k=4", "complete takes n, got k"),
        ("ba:m=5,k=4", "ba takes n and m, got k"),
        ("streams:width=2.5", "width must be an integer, got width=2.5"),
        ("ws:k=4,p=0.75,seed=3", "seed must not be in a text"),
        ("ws:k=4,k=6,p=0.1", "k must be given once"),
        ("ws:k=4,p", "key=value with commas between.* got 'p'"),
        ("ws:k=4,,p=0.1", "key=value"),
        ("ws:k=4.0,p=0.1", "k must be an integer, got k=4.0"),
        ("ws:k=4_0,p=0.1", "k must be an integer, got k=4_0"),
        ("ws:k=" + "4" * 5000 + ",p=0.1", "k must be an integer"),
        ("er:p=often", "p must be a number, got p=often"),
        ("er:p=nan", "p must be a finite number, got p=nan"),
        ("er:n=9,p=0.1", "n must be 9, that of er:n=9,p=0.1, got n=16"),
        ("file:", "cannot be read|not a regular file|no such file"),
    ],
)
def test_what_is_wrong_with_a_text_is_named(text: str, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        from_text(text, n=16, seed=0)


def test_n_comes_from_somewhere() -> None:
    for n in (None, 3):
        assert len(from_text("streams:n=3,width=2", n=n, seed=0)) == 9
    with pytest.raises(WiringError, match="vgg needs n"):
        from_text("vgg", n=None, seed=0)


@pytest.mark.parametrize("dag", [complete(3), streams(3, 2)])
def test_a_file_brings_its_own_n(dag: nx.DiGraph, tmp_path: Path) -> None:
    text = f"file:{tmp_path}/a.json"
    save(dag, f"{tmp_path}/a.json")
    for n in (None, 3):
        assert nx.utils.graphs_equal(from_text(text, n=n, seed=0), dag)
    assert has_n(text)
    with pytest.raises(WiringError, match=r"n must be 3, .*a\.json, got n=4"):
        from_text(text, n=4, seed=0)
    with pytest.raises(WiringError, match="missing.json: no such file"):
        from_text(f"file:{tmp_path}/missing.json", n=None, seed=0)
