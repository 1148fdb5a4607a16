"""The gates and their derivatives, as corrected."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.nn.gates import gated, masked, psi

UNIT = st.floats(0.01, 0.99)


@given(weight=st.floats(-3, 3), bias=st.floats(-3, 3), pooled=st.floats(-2, 2))
def test_equations_7_and_8_carry_the_derivative_of_psi(
    weight: float, bias: float, pooled: float
) -> None:
    # The loss is psi itself, so the factor before dphi/dz in Eqs. 7 and 8 is dpsi/dphi.
    w, b = torch.tensor([weight, bias], dtype=torch.float64).requires_grad_()
    phi = torch.sigmoid(w * pooled + b)
    tau = torch.tensor([0.3], dtype=torch.float64)
    by_w, by_b = torch.autograd.grad(psi(phi[None, None], tau).sum(), (w, b))
    s = torch.sigmoid(phi - tau[0])
    expected = (s + phi * s * (1 - s)) * phi * (1 - phi)
    torch.testing.assert_close(by_b, expected.detach())
    torch.testing.assert_close(by_w, (expected * pooled).detach())


@pytest.mark.parametrize(
    ("gate", "training", "weights", "is_open"),
    [
        ("psi", True, "psi", None),
        ("psi", False, "psi", [[False, True]]),
        ("hard", True, "psi", [[False, True]]),
        ("hard", False, "psi", [[False, True]]),
        ("eq5", True, "psi", None),
        ("eq5", False, "alpha", [[False, True]]),
        ("none", True, "alpha", None),
        ("none", False, "alpha", None),
    ],
)
def test_each_gate_is_its_row_of_the_table(
    gate: str, training: bool, weights: str, is_open: list[list[bool]] | None
) -> None:
    alpha, tau = torch.tensor([[0.4, 0.5]]), torch.tensor([0.5, 0.5])
    value, opened = gated(gate, alpha, tau, training=training)
    expected = {"alpha": alpha, "psi": alpha * torch.sigmoid(alpha - tau)}[weights]
    torch.testing.assert_close(value, expected)
    assert (opened.tolist() if opened is not None else None) == is_open


def test_straight_through_has_the_values_of_the_mask_and_the_gradient_of_none() -> None:
    weights = torch.rand(3, 4, requires_grad=True)
    is_open = torch.rand(3, 4) > 0.5
    value = masked(weights, is_open, straight_through=True)
    assert torch.equal(value, weights * is_open)
    torch.autograd.backward(value.sum())
    assert torch.equal(weights.grad, torch.ones(3, 4))  # type: ignore[arg-type]
