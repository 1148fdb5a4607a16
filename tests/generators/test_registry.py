"""Texts that name a wiring."""

from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import (
    GENERATORS,
    complete,
    from_text,
    is_random,
    streams,
    watts_strogatz,
)
from ddw_graph.generators.registry import generator_call, parse
from ddw_graph.wiring import WiringError, save


def test_every_generator_has_its_name() -> None:
    assert list(GENERATORS) == [
        "complete",
        "er",
        "ba",
        "ws",
        "vgg",
        "resnet",
        "densenet",
        "residual",
        "dilated",
        "streams",
    ]
    with pytest.raises(TypeError):
        GENERATORS["mine"] = complete  # type: ignore[index]


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
def test_a_recipe_and_its_text_are_one(
    name: str, n: int | None, k: int, p: float
) -> None:
    given: dict[str, int | float] = {"m": k, "k": k, "p": p}
    wanted = {"er": "p", "ba": "m", "ws": "kp"}.get(name, "")
    made = generator_call(name, {key: given[key] for key in wanted}, n=n)
    assert parse(str(made)) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nets",
            "unknown generator 'nets'; known are complete, er, ba, ws, .*file:PATH",
        ),
        ("", "unknown generator ''"),
        ("ws", r"ws needs k and p, e.g. ws:k=4,p=0.75; k and p are missing"),
        ("ws:k=4", "p is missing"),
        ("er", r"er needs p, e.g. er:p=0.2; p is missing"),
        ("complete:k=4", "complete takes no argument but n, got k"),
        ("ba:m=5,k=4", "ba takes m, got k"),
        ("streams", r"streams needs width, e.g. streams:width=4; width is missing"),
        ("dilated:period=2", "e.g. dilated:dilation=4,period=5; dilation is missing"),
        ("streams:width=2.5", "width must be an integer, got width=2.5"),
        ("ws:k=4,p=0.75,seed=3", "the seed is given beside a text"),
        ("ws:k=4,k=6,p=0.1", "k is given twice"),
        ("ws:k=4,p", "key=value with commas between, got 'p'"),
        ("ws:k=4,,p=0.1", "key=value"),
        ("ws:k=4.0,p=0.1", "k must be an integer, got k=4.0"),
        ("ws:k=4_0,p=0.1", "k must be an integer, got k=4_0"),
        ("ws:k=" + "4" * 5000 + ",p=0.1", "k must be an integer"),
        ("er:p=often", "p must be a number, got p=often"),
        ("er:p=nan", r"p must be a number in \[0, 1\], got p=nan"),
        ("er:n=9,p=0.1", "er:n=9,p=0.1 says n=9, but n=16 is asked for"),
        ("file:", "cannot be read|not a regular file|no such file"),
    ],
)
def test_says_what_a_text_lacks(text: str, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        from_text(text, n=16, seed=0)


def test_n_comes_from_somewhere() -> None:
    assert len(from_text("vgg:n=3", n=None, seed=0)) == 5
    assert len(from_text("vgg:n=3", n=3, seed=0)) == 5
    assert len(from_text("streams:n=3,width=2", n=3, seed=0)) == 9
    with pytest.raises(WiringError, match="vgg needs n"):
        from_text("vgg", n=None, seed=0)


def test_a_file_brings_its_own_n(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    save(complete(3), path)
    for n in (None, 3):
        assert from_text(f"file:{path}", n=n, seed=0).edges == complete(3).edges
    with pytest.raises(WiringError, match="holds n=3, but n=4 is asked for"):
        from_text(f"file:{path}", n=4, seed=0)
    save(streams(3, 2), tmp_path / "streams.json")
    read = from_text(f"file:{tmp_path}/streams.json", n=3, seed=0)
    assert nx.utils.graphs_equal(read, streams(3, 2))
    with pytest.raises(WiringError, match="missing.json: no such file"):
        from_text(f"file:{tmp_path}/missing.json", n=None, seed=0)


def test_chance() -> None:
    random = [name for name in GENERATORS if is_random(name)]
    assert random == ["er", "ba", "ws"]
    assert is_random("ws:k=4,p=0.75") and not is_random("file:ws.json")
