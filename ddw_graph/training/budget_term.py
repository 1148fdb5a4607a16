"""The term of a loss that pulls the expected MACs of a sample toward a budget."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from ddw_graph.errors import RunError
from ddw_graph.nn.cost import NetworkCost
from ddw_graph.nn.edges import Dynamic, edge_text
from ddw_graph.nn.network import Network


def mac_shares(
    price: NetworkCost, adjacency: Sequence[Float[Tensor, "batch nodes nodes"]]
) -> Float[Tensor, " batch"]:
    """Returns the MACs that each sample asks for, in shares of those of every edge.

    Args:
        price: What the network costs with every edge open.
        adjacency: What the network returned, a tensor for each stage.
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


def check_can_close(model: Network) -> None:
    """Checks that training a network can keep a budget: that its edges close in it.

    Raises:
        RunError: If a stage has other edges than dynamic ones with the gate ``hard``.
    """
    for stage in model.stages:
        if not isinstance(stage.edges, Dynamic) or stage.edges.gate != "hard":
            raise RunError(
                "a budget needs edges that close in training as at inference, dynamic "
                f"with gate=hard, got {edge_text(stage.edges)}"
            )
