"""What is compared before an exported network is kept."""

import pytest
import torch
from torch import Tensor, nn

from ddw_graph.deployment.parity import BATCHES, TOLERANCE, parity
from ddw_graph.errors import ExportError


class Two(nn.Module):
    """Gives logits and something like an adjacency."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 100 * x.flatten(1), x[:, 0]


SHAPE = (1, 3, 3)


def test_differences_are_relative_to_the_largest_value() -> None:
    def near(x: Tensor) -> list[Tensor]:
        logits, matrix = Two()(x)
        logits[0, 0] += 5e-5 * logits.abs().max()
        return [logits, matrix * (1 + 2e-5)]

    found = parity(Two(), near, SHAPE)
    assert found.logits == pytest.approx(5e-5, rel=0.01)
    assert found.adjacency == pytest.approx(2e-5, rel=0.01)
    assert found.batches == BATCHES == (1, 5)


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
def test_says_what_differs(change: object, words: str) -> None:
    with pytest.raises(ExportError, match=words):
        parity(Two(), lambda x: change(*Two()(x)), SHAPE)  # type: ignore[operator]


def test_what_is_not_finite_cannot_be_compared() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (x.flatten(1) / 0,)

    with pytest.raises(ExportError, match="logits must be finite"):
        parity(Odd(), lambda x: [x.flatten(1) / 0], SHAPE)
