"""Acts take turns, and what warms up does not count."""

import pytest
import torch
from torch import nn

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
