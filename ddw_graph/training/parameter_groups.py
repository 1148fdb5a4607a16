"""Groups of parameters for an optimizer, by weight decay and learning rate."""

from typing import Any

from torch import nn

from ddw_graph.nn.edge_weights import edge_parameters
from ddw_graph.training.recipe import BaseRecipe

NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
"""Layers whose parameters ``norm_weight_decay`` is for."""


def parameter_groups(model: nn.Module, recipe: BaseRecipe) -> list[dict[str, Any]]:
    """Returns the parameters that train, in groups for an optimizer.

    Edge weights list which of their parameters take no weight decay, and how their
    learning rate scales. Thresholds, router biases and edge logits take none: it would
    pull them toward an edge weight that nobody chose. With AdamW, neither do vectors.
    Parameters of normalisation are a group of their own where the recipe has a weight
    decay for them. ``scale`` is a group's learning rate in multiples of the recipe's.
    """
    network: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    of_edges = edge_parameters(model)
    by_edges: dict[tuple[float, bool], list[nn.Parameter]] = {}
    apart = recipe.norm_weight_decay is not None
    of_norms = _parameters_of(model, *NORMALISATIONS) if apart else set()
    for parameter in filter(lambda each: each.requires_grad, model.parameters()):
        if id(parameter) in of_edges:
            by_edges.setdefault(of_edges[id(parameter)], []).append(parameter)
        elif id(parameter) in of_norms:
            norms.append(parameter)
        else:
            network.append(parameter)
    decay = recipe.weight_decay
    vectors: list[nn.Parameter] = []
    if recipe.optimizer == "adamw":
        vectors = [parameter for parameter in network if parameter.ndim < 2]
        network = [parameter for parameter in network if parameter.ndim > 1]
    groups: list[dict[str, Any]] = [
        {"params": network, "weight_decay": decay, "scale": 1.0},
        {"params": vectors, "weight_decay": 0.0, "scale": 1.0},
        {"params": norms, "weight_decay": recipe.norm_weight_decay, "scale": 1.0},
        *(
            {
                "params": parameters,
                "weight_decay": decay if decays else 0.0,
                "scale": recipe.router_lr * scale,
            }
            for (scale, decays), parameters in sorted(by_edges.items(), reverse=True)
        ),
    ]
    return [group for group in groups if group["params"]]


def _parameters_of(model: nn.Module, *kinds: type[nn.Module]) -> set[int]:
    """Returns the identities of the parameters of a model's modules of some kinds."""
    return {
        id(parameter)
        for module in model.modules()
        if isinstance(module, kinds)
        for parameter in module.parameters()
    }
