"""The gates and their derivatives, as corrected."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.nn.gates import gated, keep_strongest, masked, psi

UNIT = st.floats(0.01, 0.99)


@given(alpha=UNIT, tau=st.floats(-1, 2))
def test_psi_has_the_corrected_derivatives(alpha: float, tau: float) -> None:
    a = torch.tensor([[alpha]], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([tau], dtype=torch.float64, requires_grad=True)
    by_alpha, by_tau = torch.autograd.grad(psi(a, t).sum(), (a, t))
    s = 1 / (1 + torch.exp(torch.tensor(tau - alpha, dtype=torch.float64)))
    torch.testing.assert_close(by_tau[0], alpha * s * (s - 1))
    torch.testing.assert_close(by_alpha[0, 0], s + alpha * s * (1 - s))


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


def test_only_a_sample_without_an_open_edge_gets_one() -> None:
    weights = torch.tensor([[0.1, 0.3, 0.2], [0.1, 0.3, 0.2]])
    is_open = torch.tensor([[False, False, False], [True, False, False]])
    assert keep_strongest(weights, is_open).tolist() == [
        [False, True, False],
        [True, False, False],
    ]


def test_straight_through_has_the_values_of_the_mask_and_the_gradient_of_none() -> None:
    weights = torch.rand(3, 4, requires_grad=True)
    is_open = torch.rand(3, 4) > 0.5
    value = masked(weights, is_open, straight_through=True)
    assert torch.equal(value, weights * is_open)
    torch.autograd.backward(value.sum())
    assert torch.equal(weights.grad, torch.ones(3, 4))  # type: ignore[arg-type]
