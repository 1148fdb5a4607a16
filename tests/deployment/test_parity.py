"""What is compared before an exported network is kept."""

import pytest
import torch
from torch import Tensor, nn

from ddw_graph.deployment.parity import BATCHES, TOLERANCE, Runs, parity
from ddw_graph.errors import ExportError


class Two(nn.Module):
    """Gives logits and something like an adjacency."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 100 * x.flatten(1), x[:, 0]


X = [
    torch.randn(n, 1, 3, 3, generator=torch.Generator().manual_seed(n)) for n in (1, 5)
]


def test_differences_are_relative_to_the_largest_value() -> None:
    def near(x: Tensor) -> list[Tensor]:
        logits, matrix = Two()(x)
        logits[0, 0] += 5e-5 * logits.abs().max()
        return [logits, matrix * (1 + 2e-5)]

    found = parity(Two(), near, X)
    assert found.logits == pytest.approx(5e-5, rel=0.01)
    assert found.adjacency == pytest.approx(2e-5, rel=0.01)
    assert found.batches == BATCHES == (1, 5) and found.rounding < 1e-6


class Amplifying(nn.Module):
    """Makes of rounding what a deep network may, a share of the largest value."""

    def __init__(self, rounding: float) -> None:
        super().__init__()
        self.rounding = rounding

    def forward(self, x: Tensor) -> tuple[Tensor]:
        off = self.rounding if x.dtype == torch.float32 else 0.0
        return (x.flatten(1) * (1 + off),)


def runs(off: float) -> Runs:
    return lambda x: [x.flatten(1) * (1 + off)]


@pytest.mark.parametrize(
    ("rounding", "allowed"), [(0.0, 1e-4), (5e-5, 1e-4), (3e-4, 6e-4), (0.5, 1e-3)]
)
def test_a_file_may_be_twice_as_far_off_as_pytorch_itself(
    rounding: float, allowed: float
) -> None:
    # As exact as float64, or rounding as PyTorch does: both are the network.
    for off in (0.0, rounding):
        found = parity(Amplifying(rounding), runs(off), X)
        assert found.logits < 1e-6
        assert found.rounding == pytest.approx(rounding, rel=0.01, abs=1e-6)
    found = parity(Amplifying(rounding), runs(-0.9 * allowed), X)
    assert found.logits == pytest.approx(0.9 * allowed, rel=0.02)
    rule = f"does to {allowed:.1g} of .* PyTorch itself makes {rounding:.1e}; nothing"
    with pytest.raises(ExportError, match=rule.replace("+", r"\+")):
        parity(Amplifying(rounding), runs(-1.1 * allowed), X)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y, m: [y * (1 + 3 * TOLERANCE), m], "3.0e-04 in the logits of 1"),
        (lambda y, m: [y, m + m.abs().max()], "in the adjacency of stage 1"),
        (lambda y, m: [y * torch.nan, m], "got nan in the logits"),
        (lambda y, m: [y], "2 outputs, got 1"),
        (lambda y, m: [y[:, :2], m], r"shape \(1, 9\), the file gives \(1, 2\)"),
        (lambda y, m: [y if len(y) == 1 else 2 * y, m], "logits of 5 images"),
    ],
)
def test_what_differs_is_named(change: object, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        parity(Two(), lambda x: change(*Two()(x)), X)  # type: ignore[operator]


def test_what_is_not_finite_cannot_be_compared() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (x.flatten(1) / 0,)

    with pytest.raises(ExportError, match="logits must be finite"):
        parity(Odd(), lambda x: [x.flatten(1) / 0], X)
