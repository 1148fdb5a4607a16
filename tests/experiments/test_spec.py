"""A sweep's file says what runs, and every mistake in it is one line that names it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.errors import UserError
from ddw_graph.experiments.axes import Choices, Range
from ddw_graph.experiments.plan import Plan, run_name
from ddw_graph.experiments.spec import read_spec, spec_of
from ddw_graph.training.data import load_data
from tests.experiments.small import plan

WS = {"generator": "ws", "k": [2, 4], "p": 0.5}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "must have fixed, entries or axes, got none"),
    ({"axes": {}, "serch": "grid"}, "may hold axes, .*, got serch = 'grid'"),
    ({"axes": 3}, "axes must be a table, got 3"),
    ({"entries": 3}, "entries must be a list of tables, got 3"),
    (
        {"entries": [{"edges": "fixed", "paper": {"a": ["table4", "DDW", "b"]}}]},
        "paper must give table, row and column of a figure .*, got a = ",
    ),
    ({"entries": [{"edges": "fixed"}] * 2}, "entries must differ, got"),
    ({"entries": [{"seed": 1}], "search": "random", "trials": 1}, "need search grid"),
    ({"axes": {}, "search": "best"}, "search must be one of grid, .*, got 'best'"),
    ({"axes": {}, "search": "random"}, "search random needs trials, got None"),
    ({"axes": {}, "trials": 3}, "search grid has no trials, got 3"),
    ({"axes": {}, "trials": True}, "trials must be an integer, got True"),
    ({"axes": {}, "objective": "test_loss"}, "only search optuna .* search grid"),
    ({"axes": {}, "objective": ["speed"]}, "objective must be one of test_acc"),
    ({"fixed": {"learning-rate": 1}}, "fixed may hold .*, got learning-rate = 1"),
    ({"fixed": {"epochs": "two"}}, "fixed.epochs must be an integer, got 'two'"),
    ({"fixed": {"n": True}}, "fixed.n must be an integer, got True"),
    ({"fixed": {"edges": "dynamc"}}, "fixed.edges: .*, got 'dynamc'"),
    ({"fixed": {"channels": float("inf")}}, "fixed.channels must be finite, got inf"),
    ({"axes": {"data": ["cifar10"]}}, r"axes may hold .*, got data = \['cifar10'"),
    ({"axes": {"seed": []}}, "axes.seed must be a list that is not empty"),
    ({"axes": {"seed": [0, 1, 0]}}, "axes.seed must hold each value once, got 0"),
    ({"axes": {"seed": [0, 1.5]}}, "axes.seed must be an integer, got 1.5"),
    ({"axes": {"seed": [-1]}}, r"axes.seed must be in \[0, 4294967296\), got -1"),
    ({"axes": {"epochs": [1, 0]}}, "axes.epochs must be at least 1, got 0"),
    ({"axes": {"learning_rate": [float("nan")]}}, "learning_rate must be in .*, got n"),
    (
        {"axes": {"edges": ["dynamic", "dynamic:bias=3"]}},
        "axes.edges must hold each value once, got 'dynamic:bias=3' twice",
    ),
    ({"axes": {"wiring": ["ws:k=4"]}}, "axes.wiring: ws needs k and p"),
    ({"axes": {"wiring": [{**WS, "q": 2}]}}, "axes.wiring: ws may hold n, k, p, got q"),
    ({"axes": {"wiring": [{**WS, "k": []}]}}, "axes.wiring ws.k must be a list that"),
    ({"axes": {"wiring": [{**WS, "p": "x"}]}}, "wiring ws.p must be a number, got 'x'"),
    ({"axes": {"wiring": [3]}}, "axes.wiring must be a text, got 3"),
    ({"axes": {"wiring": [{"k": 2}]}}, "axes.wiring must hold texts such as"),
    ({"axes": {"seed": {"least": 0}}}, "axes.seed must be a list or hold min, max"),
    ({"axes": {"edges": {"min": 0, "max": 1}}}, "axes.edges must be a list"),
    (
        {"axes": {"learning_rate": {"min": 1, "max": 0.1}}},
        "axes.learning_rate must have min below max, got 1.0 and 0.1",
    ),
    (
        {"axes": {"mixup": {"min": 0, "max": 1, "log": True}}},
        "axes.mixup.min must be more than 0 with log, got 0.0",
    ),
    ({"fixed": {"seed": 1}, "axes": {"seed": [2]}}, "seed must be fixed, an axis or"),
    ({"equal_macs": True, "axes": {"channels": [4]}}, "got channels that vary too"),
]


@pytest.mark.parametrize(("table", "message"), MISTAKES)
def test_names_the_key_and_the_value(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        spec_of(table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"model": ["resnet"]}, "the network must be one of .*, got 'resnet'"),
        ({"n": [0]}, r"n must be in 1\.\.9998, got n=0 .at n = 0."),
        ({"channels": [1e9]}, "channels = 1000000000.0"),
        ({"budget": [0.5], "edges": ["learned"]}, "got learned"),
        ({"warmup_epochs": [9]}, "warmup_epochs must be in"),
    ],
)
@pytest.mark.parametrize("search", ["grid", "optuna"])
def test_what_no_run_can_have_is_refused_before_anything_runs(
    search: str, axes: dict[str, Any], message: str
) -> None:
    learns = {"search": "optuna", "trials": 1} if search == "optuna" else {}
    whole = plan({"fixed": {}, "axes": axes, **learns})
    with pytest.raises(UserError, match=message):
        for point in whole.points():
            whole.run(point)


def test_a_file_is_read_or_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_bytes(b"\xef\xbb\xbf[axes]\r\nseed = [0, 1]\r\n")
    assert read_spec(path).axes == {"seed": Choices((0, 1))}
    ranges = spec_of({"axes": {"n": {"min": 2, "max": 4}, "mixup": [0, 1]}}).axes
    assert ranges == {"n": Range(2, 4, whole=True), "mixup": Choices((0.0, 1.0))}
    for content, message in (
        (b"search = ", "must hold TOML"),
        (b"\xff", "must hold TOML"),
        (b"[axes]\nseed = []", "sweep.toml: axes.seed must be a list"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_spec(path)
    with pytest.raises(UserError, match="must be readable"):
        read_spec(tmp_path / "none.toml")


def test_the_grid_is_every_combination_of_every_family() -> None:
    wirings = ["vgg", {"generator": "ws", "k": [2, 4], "p": [0.0, 0.5]}, "ba:m=2"]
    table = {"axes": {"wiring": wirings, "edges": ["fixed", "dynamic"], "seed": [0, 1]}}
    points = plan({**table, "fixed": {"n": 6}}).points()
    assert len(points) == 6 * 2 * 2 == len({run_name(point) for point in points})
    assert [point["wiring"] for point in points[:12:2]] == [
        "vgg",
        "ws:k=2,p=0.0",
        "ws:k=2,p=0.5",
        "ws:k=4,p=0.0",
        "ws:k=4,p=0.5",
        "ba:m=2",
    ]
    assert [point["seed"] for point in points[10:14]] == [0, 0, 1, 1]
    assert points[0] == {"wiring": "vgg", "edges": "fixed", "seed": 0}
    twice = ["ws:k=2,p=0.5", {"generator": "ws", "k": 2, "p": [0.5]}]
    with pytest.raises(UserError, match="axes.wiring must give each value once"):
        plan({"axes": {"wiring": twice}, "fixed": {}}).points()
    ranged = {"axes": {"learning_rate": {"min": 0.1, "max": 1}}}
    with pytest.raises(UserError, match="a grid needs a list for axes.learning_rate"):
        plan(ranged).points()


def test_more_trials_leave_those_before_unchanged() -> None:
    rate = {"min": 0.001, "max": 0.1, "log": True}
    family = {"generator": "ws", "k": [2, 4], "p": {"min": 0.0, "max": 1.0}}
    axes = {"learning_rate": rate, "wiring": ["complete", family]}

    def points(trials: int, seed: int = 0) -> list[dict[str, Any]]:
        table = {"search": "random", "trials": trials, "search_seed": seed}
        return plan({**table, "axes": axes, "fixed": {"n": 6}}).points()

    assert points(9)[:4] == points(4) != points(4, seed=1)
    assert len({run_name(point) for point in points(9)}) == 9
    few = {"search": "random", "trials": 3, "axes": {"seed": [0, 1]}}
    with pytest.raises(UserError, match="trials must be at most .*, got 3 and found 2"):
        plan(few).points()


@given(share=st.floats(0, 1, exclude_max=True), log=st.booleans(), whole=st.booleans())
def test_a_number_lies_in_its_range(share: float, log: bool, whole: bool) -> None:
    among = Range(2, 9, log, whole) if whole else Range(0.003, 7.7, log)
    found = among.at(share)
    assert among.low <= found <= among.high and isinstance(found, int) == whole


def test_every_point_has_a_name_of_its_own() -> None:
    values = ["a/b", "a_b", "a b", "猫", "犬", "x" * 300]
    values = [f"file:{value}.json" for value in values]
    names = [run_name({"wiring": value, "seed": 1}) for value in values]
    assert len({*names}) == 6 and all(len(name) < 140 for name in names)
    assert all("/" not in name and " " not in name for name in names)
    assert run_name({}) == "run"


def test_the_files_of_the_documentation_are_sweeps() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    specs = [spec_of(tomllib.loads(block)) for block in blocks]
    assert [spec.search for spec in specs] == ["grid", "random", "optuna"]
    points = Plan(specs[0], load_data()).points()
    assert f"list the {len(points)} runs" in page
