"""Other edge weights for a network that stays the same function."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.nn.dynamic import Dynamic
from ddw_graph.nn.edge_weights import Edges, Gated
from ddw_graph.nn.edges import edge_config, edge_settings, edge_text
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import Fixed, Learned, LearnedWeights


def convert(network: Network, *, edges: str | Edges) -> Network:
    """Returns a network with other edge weights that computes the same in evaluation.

    From fixed edges to any kind that has a neutral start; from dynamic edges to such
    with the gate ``hard`` in place of ``psi`` or the reverse, which differ in training
    only; from learned edges to free ones (``learned:form=free``).

    Args:
        network: The network; it does not change.
        edges: A kind of edge weights; see ``Stage``.

    Raises:
        ModelError: If the new kind cannot keep what the network computes.

    Example:
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", edges="fixed", n=4).eval()
        >>> routed = convert(model, edges="dynamic:per=position")
        >>> images = torch.randn(2, 3, 32, 32)
        >>> torch.allclose(model(images), routed(images), atol=1e-5)
        True
    """
    settings = edge_settings(edges)
    new = copy.deepcopy(network)
    for stage in new.stages:
        _convert(stage, settings)
    if new.config is not None:
        new.config["edges"] = edge_config(settings)
        neutral = [stage.neutral for stage in new.stages]
        new.config["neutral"] = neutral if any(neutral) else None
    return new


def _convert(stage: Stage, settings: Edges) -> None:
    """Gives a stage other edge weights, with which it computes the same."""
    old, weights = stage.edges, stage.weights
    like = next(stage.operations.parameters(), torch.empty(0))
    if old == settings:
        return
    if isinstance(old, Fixed):
        stage.weigh(settings, neutral=stage.plan.weighted_edges)
    elif isinstance(old, Learned) and settings == Learned(form="free"):
        values = _row(stage)
        stage.weigh(settings)
        assert isinstance(stage.weights, LearnedWeights)
        stage.weights.logit.data.copy_(values)
    elif _differ_in_training_only(old, settings):
        stage.weigh(settings, neutral=stage.neutral)
        stage.weights.load_state_dict(weights.state_dict())
    else:
        raise ModelError(
            f"{edge_text(old)} edges cannot become {edge_text(settings)} edges and "
            "compute the same: fixed edges can become any kind, psi gates hard ones "
            "and the reverse, learned edges learned:form=free"
        )
    stage.weights.to(like.device, like.dtype).train(weights.training)


def _row(stage: Stage) -> Tensor:
    """Returns the weights of a stage's edges, which are the same for all samples."""
    rows = []
    for node in range(stage.plan.nodes):
        answer = stage.weights.outgoing(node, torch.empty(0))
        rows.append(answer.weights if isinstance(answer, Gated) else answer)
    return torch.cat(rows, dim=1)[0]


def _differ_in_training_only(one: Edges, other: Edges) -> bool:
    """Returns whether two kinds are dynamic, with the gates psi and hard."""
    if not isinstance(one, Dynamic) or not isinstance(other, Dynamic):
        return False
    gates = {one.gate, other.gate}
    return gates == {"psi", "hard"} and replace(one, gate=other.gate) == other
