"""Gates: how a router's value and a threshold become the weight of an edge."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

GATES = ("psi", "hard", "eq5", "none")


def psi(
    alpha: Float[Tensor, "rows edges ..."], tau: Float[Tensor, "..."]
) -> Float[Tensor, "rows edges ..."]:
    """Returns ``alpha * sigmoid(alpha - tau)``, the threshold made differentiable.

    With ``s = sigmoid(alpha - tau)`` its derivatives are ``s + alpha * s * (1 - s)``
    to alpha and ``alpha * s * (s - 1)`` to tau. The paper's Eqs. 7 and 8 leave the
    first out, and the second has lost its sigmoids in the text after Eq. 9.

    Args:
        tau: Threshold of the node that receives each edge, to broadcast.

    Example:
        >>> psi(torch.tensor([[0.9]]), torch.tensor([0.0]))
        tensor([[0.6399]])

    Source:
        DDW, section 3.3, after Eq. 5.
    """
    return alpha * torch.sigmoid(alpha - tau)


def gated(
    gate: str,
    alpha: Float[Tensor, "rows edges ..."],
    tau: Float[Tensor, "..."],
    *,
    training: bool,
) -> tuple[Float[Tensor, "rows edges ..."], Bool[Tensor, "rows edges ..."] | None]:
    """Returns the weight that each edge has while open, and which edges are open.

    ========  ================  ======================================
    gate      in training       at inference
    ========  ================  ======================================
    ``psi``   psi               psi, open where ``alpha >= tau``
    ``hard``  as at inference   psi, open where ``alpha >= tau``
    ``eq5``   psi               alpha, open where ``alpha >= tau``
    ``none``  alpha             alpha
    ========  ================  ======================================

    Args:
        tau: Threshold of the node that receives each edge, to broadcast.

    Source:
        DDW, Eq. 5 (``eq5``) and the sentence after it (``psi``).
    """
    if gate == "none":
        return alpha, None
    if training and gate != "hard":
        return psi(alpha, tau), None
    return alpha if gate == "eq5" else psi(alpha, tau), alpha >= tau


def keep_strongest(
    weights: Float[Tensor, "rows edges ..."], is_open: Bool[Tensor, "rows edges ..."]
) -> Bool[Tensor, "rows edges ..."]:
    """Opens the heaviest edge where no edge is open, for each sample and position.

    So that every node that computes passes something on, and by induction some path
    reaches the output for every sample.

    Example:
        >>> keep_strongest(torch.tensor([[0.1, 0.3]]), torch.tensor([[False, False]]))
        tensor([[False,  True]])
    """
    # Not by a scatter of truth values, which torch.jit.trace cannot record.
    places = torch.arange(weights.shape[1], device=weights.device)
    places = places.view(-1, *[1] * (weights.ndim - 2))
    strongest = places == weights.abs().argmax(1, keepdim=True)
    return is_open | (strongest & ~is_open.any(1, keepdim=True))


def masked(
    weights: Float[Tensor, "rows edges ..."],
    is_open: Bool[Tensor, "rows edges ..."],
    *,
    straight_through: bool,
) -> Float[Tensor, "rows edges ..."]:
    """Returns the weights with closed edges at 0."""
    closed = weights * is_open
    if not straight_through:
        return closed
    return weights + (closed - weights).detach()
