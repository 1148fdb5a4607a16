"""The test of instances gives each image the wiring that it says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.instance_runs import instance_tests
from ddw_graph.experiments.instance_summary import instance_summary, verdict, verdicts
from ddw_graph.experiments.instances import (
    WIRINGS,
    instance_test,
    shuffled,
    shuffled_in_classes,
)
from ddw_graph.experiments.summary import Difference, paired_difference
from ddw_graph.models import from_config
from ddw_graph.nn.network import Network
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.launch import train
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run_folder import read_json, write_json
from tests.training.small import small_config, small_data

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(torch.tensor)


def network(edges: str) -> Network:
    return from_config(small_config(edges))


@pytest.mark.parametrize("gate", ["psi", "hard", "eq5", "none"])
def test_own_is_the_plain_evaluation_to_the_sample(gate: str) -> None:
    model = network(f"dynamic:gate={gate},bias=0,router_std=5,threshold=0.4")
    data = small_data()
    tested, _ = instance_test(model, data, seed=0, batch_size=7)
    plain = evaluate(model, data.test_inputs())
    own = tested[0]
    assert [each.wiring for each in tested] == list(WIRINGS)
    assert (own.accuracy, own.changed) == (plain.accuracy, 0)
    assert own.loss == pytest.approx(plain.loss)
    # The wiring counts: another one gives another loss.
    assert all(each.loss != own.loss for each in tested[1:])


def test_the_mean_of_constant_routers_is_the_own_wiring() -> None:
    model = network("dynamic:bias=1,router_std=0")
    tested, varied = instance_test(model, small_data(), seed=0)
    assert len({(each.accuracy, each.loss) for each in tested}) == 1
    for stage in varied:
        assert (stage.std, stage.image_share, stage.class_share) == (0.0, None, None)


def test_shuffles_do_not_stop_at_a_batch() -> None:
    model, data = network("dynamic:bias=0,router_std=5"), small_data()
    one, other = (
        instance_test(model, data, seed=3, batch_size=size)[0] for size in (5, 24)
    )
    for few, all_ in zip(one, other, strict=True):
        assert (few.wiring, few.accuracy) == (all_.wiring, all_.accuracy)
        assert few.loss == pytest.approx(all_.loss)


@given(labels=LABELS, seed=st.integers(0, 9))
def test_a_shuffle_within_classes_keeps_their_wirings(
    labels: torch.Tensor, seed: int
) -> None:
    order = shuffled_in_classes(labels, seed=seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert torch.equal(labels[order], labels)
    assert torch.equal(order, shuffled_in_classes(labels, seed=seed))
    whole = shuffled(len(labels), seed=seed)
    assert sorted(whole.tolist()) == list(range(len(labels)))
    assert torch.equal(whole, shuffled(len(labels), seed=seed))
    many = torch.arange(90) % 3
    moved = shuffled_in_classes(many, seed=seed) != torch.arange(90)
    assert moved.float().mean() > 0.8
    other = shuffled_in_classes(many, seed=seed + 1)
    assert not torch.equal(shuffled_in_classes(many, seed=seed), other)
    assert not torch.equal(many[shuffled(90, seed=seed)], many)
    assert not torch.equal(shuffled(90, seed=seed), shuffled(90, seed=seed + 1))


def test_static_wirings_have_no_instances() -> None:
    with pytest.raises(RunError, match="depend on the image, .* got learned"):
        instance_test(network("learned"), small_data(), seed=0)


def test_a_network_is_tested_once(tmp_path: Path) -> None:
    data, out = small_data(), tmp_path / "out"
    runs = {}
    for seed in (0, 1):
        runs[seed] = tmp_path / "runs" / str(seed)
        quick = recipe_named("small", epochs=1)
        train(from_config(small_config()), data, quick, seed=seed, folder=runs[seed])
    group = [Group("ddw", runs)]
    found = instance_tests(group, data, out)
    kept = list((out / "tested").iterdir())
    assert len(kept) == 2 and len(found[0]) == 8 and len(found[1]) == 6
    assert [row["seed"] for row in found[0]] == [0] * 4 + [1] * 4
    known = read_json(kept[0])
    known["wirings"][0]["accuracy"] = -1.0
    write_json(kept[0], known)
    again, _ = instance_tests(group, data, out)
    assert [row["accuracy"] for row in again].count(-1.0) == 1
    # A part of the runs loses nothing of the others.
    assert instance_tests([Group("ddw", {0: runs[0]})], data, out)[0] == again
    # Another network of the same entry and seed is tested again, and counts once.
    other = [Group("ddw", {known["seed"]: runs[1 - known["seed"]]})]
    rows, _ = instance_tests(other, data, out)
    assert len(rows) == 8 and all(row["accuracy"] >= 0 for row in rows)
    write_json(kept[0], {"wirings": [], "entry": "a", "seed": 0})
    with pytest.raises(RunError, match="must hold a test of instances"):
        instance_tests(group, data, out)


def rows(**accuracy: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "entry": "ddw",
            "seed": seed,
            "wiring": wiring,
            "accuracy": value,
            "loss": 1.0,
            "changed": 0,
        }
        for wiring, values in accuracy.items()
        for seed, value in enumerate(values)
    ]


def test_what_the_own_wiring_has_more_is_paired_by_seed() -> None:
    own, mean = [0.8, 0.9, 0.85], [0.7, 0.85, 0.76]
    told = rows(own=own, mean=mean, shuffled=mean)
    told += rows(**{"class": own})[::-1]
    table = {row["wiring"]: row for row in instance_summary(told)}
    expected = paired_difference([80, 90, 85], [70, 85, 76])
    assert list(table) == list(WIRINGS) and table["own"]["own_minus_this"] is None
    assert table["mean"]["own_minus_this"] == pytest.approx(expected.mean)
    assert table["mean"]["own_minus_this_low"] == pytest.approx(expected.low)
    assert table["class"]["own_minus_this"] == pytest.approx(0)
    (words,) = verdicts(list(table.values())).values()
    assert words.startswith("instance-aware") and "not shown to be" in words


@pytest.mark.parametrize(
    ("low", "high", "of_class", "words"),
    [
        (0.1, 0.5, 0.1, ("instance-aware:", "and aware of more than the class")),
        (0.1, 0.5, -0.1, ("instance-aware:", "but not shown to be aware of more")),
        (-0.1, 0.5, 0.1, ("not shown to be instance-aware:", "more seeds would tell")),
        (-0.1, 0.2, 0.1, ("not instance-aware:", "no better than the mean one")),
        (0.0, 0.0, 0.1, ("not instance-aware:", "no better than the mean one")),
        (-0.5, -0.1, 0.1, ("not instance-aware:", "worse than the mean one")),
        (None, None, 0.1, ("open:", "one seed has no interval")),
    ],
)
def test_the_verdict_is_the_intervals(
    low: float | None, high: float | None, of_class: float, words: tuple[str, str]
) -> None:
    mean = 0.2 if low is None or high is None else (low + high) / 2
    said = verdict(Difference(mean, low, high), Difference(0.3, of_class, 0.5))
    assert said.startswith(words[0]) and words[1] in said
