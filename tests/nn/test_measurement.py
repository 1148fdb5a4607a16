"""Acts take turns, and what warms up does not count."""

import time

import pytest
import torch
from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.nn import measurement
from ddw_graph.nn.measurement import inference_times, paired_times


def test_acts_take_turns_and_the_warm_up_does_not_count() -> None:
    ran: list[str] = []
    acts = {name: lambda name=name: ran.append(name) for name in "abc"}
    times = paired_times(acts, rounds=3, warmup=2)
    assert ran == [*"abc"] * 5
    assert {name: len(seconds) for name, seconds in times.items()} == dict.fromkeys(
        "abc", 3
    )


def test_each_act_has_its_own_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def spend(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    times = paired_times({"a": lambda: spend(1), "b": lambda: spend(4)}, rounds=2)
    assert times == {"a": [1, 1], "b": [4, 4]}


@pytest.mark.parametrize(("rounds", "warmup"), [(0, 1), (3, -1)])
def test_there_is_a_round_to_count(rounds: int, warmup: int) -> None:
    with pytest.raises(RunError, match=f"got rounds={rounds}, warmup={warmup}"):
        paired_times({}, rounds=rounds, warmup=warmup)


def test_inference_is_for_one_image_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[bool, bool]] = []

    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return x

    monkeypatch.setattr(
        measurement,
        "paired_times",
        lambda acts, **_: {n: [act(), 1, 2][1:] for n, act in acts.items()},
    )
    assert inference_times({"a": Model()}, torch.zeros(5, 1, 2, 2)) == {"a": 300.0}
    assert seen == [(False, False)]
