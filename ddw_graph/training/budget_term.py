"""The term of a loss that pulls the expected MACs of a sample toward a budget."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ddw_graph.errors import RunError
from ddw_graph.nn.cost import NetworkCost
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_text

CLOSING_EDGES = "dynamic:gate=hard,bias=1.5,threshold=0.5"
"""What the commands take with a budget where no edges are named.

All open at the start, and close enough to their thresholds to close within a few epochs
by what an image shows: with a bias of 3 the same nodes die for every image.
"""


def mac_shares(
    price: NetworkCost, adjacency: Sequence[Float[Tensor, "batch _ _ ..."]]
) -> Float[Tensor, " batch"]:
    """Returns the MACs that each sample asks for, as a share of those with all edges.

    Args:
        adjacency: What the network returned, ``(batch, N_k, N_k)`` for each stage.
    """
    return price.expected_macs(adjacency) / price.total_macs


def budget_term(shares: Float[Tensor, " batch"], budget: float) -> Float[Tensor, ""]:
    """Returns the squared distance of a batch's mean share from a budget.

    Of the mean, so that an image may ask for more where another asks for less.

    Args:
        shares: The MACs that each sample asks for, from ``mac_shares``.
        budget: The share that is wanted, in ``(0, 1]``.

    Example:
        >>> import torch
        >>> budget_term(torch.tensor([0.5, 1.0]), 0.5)
        tensor(0.0625)
    """
    return (shares.mean() - budget).square()


def check_closing(edges: Edges) -> None:
    """Checks that edges can keep a budget: that they close in training.

    Raises:
        RunError: If their kind does not set ``closes_in_training``, as dynamic edges
            with the gate ``hard`` do.
    """
    if not getattr(edges, "closes_in_training", False):
        raise RunError(
            "a budget needs edges that close in training as at inference, dynamic "
            f"with gate=hard, got {edge_text(edges)}"
        )
