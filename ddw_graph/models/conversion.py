"""Other edge weights for a network, which computes the same with them."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.nn.dynamic import Dynamic
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_settings, edge_text, kind_name, saved_text
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import Learned


def convert(network: Network, *, edges: str | Edges) -> Network:
    """Returns a copy with other edge weights that computes the same in evaluation.

    Fixed edges become any kind that has a neutral start; dynamic edges with the gate
    ``psi`` those with ``hard`` or the reverse, which differ only in training; learned
    edges free ones (``learned:form=free``).

    Raises:
        ModelError: If the new kind cannot keep what the network computes.

    Example:
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", edges="fixed").double()
        >>> routed = convert(model, edges="dynamic:per=position")
        >>> images = torch.randn(2, 3, 32, 32).double()
        >>> torch.allclose(model.eval()(images), routed.eval()(images))
        True
    """
    settings = edge_settings(edges)
    new = copy.deepcopy(network)
    like = next(new.parameters(), torch.empty(0))
    for stage in new.stages:
        _convert(stage, settings, like)
    if new.config is not None:
        new.config["edges"] = saved_text(settings)
        neutral = [stage.neutral for stage in new.stages]
        new.config["neutral"] = None if None in neutral else neutral
    return new


def _convert(stage: Stage, settings: Edges, like: Tensor) -> None:
    """Gives a stage other edge weights, with which it computes the same."""
    old, weights = stage.edges, stage.weights
    if old == settings:
        return
    neutral, values = stage.neutral, None
    if kind_name(old) == "fixed":
        neutral = [*stage.plan.weighted_edges]
    elif getattr(old, "form", None) == "sigmoid" and settings == Learned(form="free"):
        neutral, values = None, {"logit": weights.row(torch.empty(0))}
    elif _differ_in_training_only(old, settings):
        values = weights.state_dict()
    else:
        raise ModelError(
            f"{edge_text(old)} edges cannot become {edge_text(settings)} edges and "
            "compute the same: fixed edges can become any kind with a neutral start, "
            "psi gates hard ones and the reverse, learned edges learned:form=free"
        )
    stage.weigh(settings, neutral)
    stage.weights.to(like.device, like.dtype).train(weights.training)
    if values is not None:
        stage.weights.load_state_dict(values)


def _differ_in_training_only(one: Edges, other: Edges) -> bool:
    """Returns whether two kinds are dynamic, with the gates psi and hard."""
    if not isinstance(one, Dynamic) or not isinstance(other, Dynamic):
        return False
    gates = {one.gate, other.gate}
    return gates == {"psi", "hard"} and replace(one, gate=other.gate) == other
