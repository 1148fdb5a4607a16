"""RandWire's two regimes, and a small network of the same kind for small images."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
from torch import nn

from ddw_graph.errors import ModelError, WiringError
from ddw_graph.generators.arguments import node_count
from ddw_graph.generators.stages import Wiring, stage_wirings
from ddw_graph.generators.texts import has_n
from ddw_graph.models.parts import neutral_edges
from ddw_graph.nn.arguments import (
    check_integers,
    check_share,
    is_integer,
    saved_or_given,
)
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_settings, is_static, saved_text
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import OperationLike, conv_bn, operation_after_pruning
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import to_dict

MOST_CHANNELS = 65_536
"""Largest C: beyond it a typing mistake would fill the memory."""


@dataclass(frozen=True)
class Layout:
    """The layout of a network of RandWire's kind, with its default settings.

    Widths are multiples of C, rounded to whole channels.

    Args:
        nodes: For each stage the number of nodes that compute, as a share of n.
        widths: For each stage its width, in C.
        strides: For each stage its stride.
        stem: For each convolution of the stem its width in C and its stride.
        head: Width of the 1x1 convolution before the pooling, in channels; 0 for none.
        channels: C.
        n: n.
        drop_path: Probability that a node loses an input in training.
        dropout: Probability of dropout before the classifier.
        image_size: Height and width of the images that it is meant for, pixels.
    """

    nodes: tuple[float, ...]
    widths: tuple[float, ...]
    strides: tuple[int, ...]
    stem: tuple[tuple[float, int], ...]
    head: int
    channels: float
    n: int
    drop_path: float = 0.0
    dropout: float = 0.0
    image_size: int = 224


LAYOUTS = {
    "randwire_small": Layout(
        nodes=(1, 1, 1),
        widths=(1, 2, 4),
        strides=(2, 2, 2),
        stem=((0.5, 2), (1, 2)),
        head=1280,
        channels=78,
        n=32,
    ),
    "randwire_regular": Layout(
        nodes=(0.5, 1, 1, 1),
        widths=(1, 2, 4, 8),
        strides=(2, 2, 2, 2),
        stem=((0.5, 2),),
        head=1280,
        channels=109,
        n=32,
        drop_path=0.1,
        dropout=0.2,
    ),
    "randwire_tiny": Layout(
        nodes=(1, 1, 1),
        widths=(1, 2, 4),
        strides=(2, 2, 2),
        stem=((1, 1),),
        head=0,
        channels=16,
        n=8,
        image_size=28,
    ),
}
"""The small and the regular regime (Xie et al. 2019, arXiv:1904.01569, Table 1), and a
layout of ours for images of 8 to 64 px."""


def create_randwire(
    name: str,
    *,
    wiring: Wiring | None = None,
    edges: str | Edges = "dynamic",
    n: int | None = None,
    channels: float | None = None,
    operation: OperationLike = "sepconv",
    num_classes: int = 1000,
    in_channels: int = 3,
    transition: str | None = None,
    output: str | None = None,
    head: int | None = None,
    drop_path: float | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> Network:
    """Returns one of RandWire's networks; see ``create_model``.

    Args:
        name: One of ``LAYOUTS``, whose values are the defaults of ``n``, ``channels``,
            ``head``, ``drop_path`` and ``dropout``.
        wiring: For fixed and learned edges WS(4, 0.75) by default.
        n: Nodes that compute, in a full stage; ``randwire_regular``'s first stage has
            half of them.
        channels: C, from which every width follows; need not be whole.
        operation: What a node computes; see ``Stage``.
        transition: Where width and stride change; see ``ddw_graph.nn.plan.plan``.
        output: How output nodes gather; see ``ddw_graph.nn.plan.plan``.
        head: Width of the 1x1 convolution and its normalisation before the pooling, in
            channels; 0 for none.
        dropout: Probability of dropout before the classifier.

    Source:
        Xie et al. 2019, arXiv:1904.01569, Table 1.
    """
    layout = LAYOUTS[name]
    settings = edge_settings(edges)
    dags = _wirings(layout, wiring, settings, n, seed)
    # A configuration holds names only.
    each = operation if isinstance(operation, list) else [operation]
    named = all(isinstance(one, str) for one in each)
    config = {
        "name": name,
        "edges": saved_text(settings),
        "num_classes": num_classes,
        "in_channels": in_channels,
        "channels": layout.channels if channels is None else channels,
        "operation": operation if named else None,
        "transition": transition,
        "output": output,
        "head": layout.head if head is None else head,
        "drop_path": layout.drop_path if drop_path is None else drop_path,
        "dropout": layout.dropout if dropout is None else dropout,
        "wirings": [to_dict(dag) for dag in dags],
    }
    return _network(config, dags, settings, operation)


def restore_randwire(
    config: Mapping[str, Any],
    dags: Sequence[nx.DiGraph],
    edges: Edges,
    *,
    operation: OperationLike | None = None,
) -> Network:
    """Returns the network of a configuration, its wirings and its edge weights."""
    chosen = saved_or_given("operation", config["operation"], operation)
    return _network(dict(config), dags, edges, chosen)


def _wirings(
    layout: Layout, wiring: Wiring | None, edges: Edges, n: int | None, seed: int
) -> list[nx.DiGraph]:
    if wiring is None:
        wiring = "ws:k=4,p=0.75" if is_static(edges) else "complete"
    wanted = layout.n if n is None else node_count(n)

    def has_own_n(one: Any) -> bool:
        return has_n(one) if isinstance(one, str) else isinstance(one, nx.Graph)

    of_stage: list[Any] = [wiring] * len(layout.nodes)
    if isinstance(wiring, Sequence) and not isinstance(wiring, str):
        of_stage = list(wiring)
    nodes = [
        None if n is None and has_own_n(one) else max(1, int(wanted * share))
        for one, share in zip(of_stage, layout.nodes, strict=False)
    ]
    nodes += [None] * (len(layout.nodes) - len(nodes))  # too few are refused below
    try:
        return stage_wirings(wiring, nodes, seed=seed)
    except WiringError as error:
        if {*nodes} <= {None, n} or "n=" not in str(error):
            raise
        stages = ", ".join(map(str, nodes))
        raise WiringError(
            f"{error}; n={wanted} of the network gives stages of n={stages}"
        ) from error


def _network(
    config: dict[str, Any],
    dags: Sequence[nx.DiGraph],
    edges: Edges,
    operation: OperationLike,
) -> Network:
    """Returns the network of a configuration, its wirings, edges and operation."""
    layout = LAYOUTS[config["name"]]
    if len(dags) != len(layout.widths):
        raise ModelError(
            f"{config['name']} has {len(layout.widths)} stages, got {len(dags)} wirings"
        )
    check_integers(num_classes=config["num_classes"], in_channels=config["in_channels"])
    channels, head = config["channels"], config["head"]
    if isinstance(channels, str) or not 0 < channels <= MOST_CHANNELS:
        raise ModelError(f"channels must be in (0, {MOST_CHANNELS}], got {channels}")
    if not is_integer(head) or not 0 <= head <= MOST_CHANNELS:
        raise ModelError(
            f"head must be an integer in [0, {MOST_CHANNELS}], got {head!r}"
        )
    check_share("dropout", config["dropout"])
    neutral = neutral_edges(config, len(dags))
    # The nodes, as first numbered, that pruning has left.
    left = config.get("nodes") or [None] * len(dags)
    entering = _width(channels, layout.stem[-1][0])
    stages = []
    for place, (dag, nodes) in enumerate(zip(dags, left, strict=True)):
        leaving = _width(channels, layout.widths[place])
        own = copy.deepcopy(operation)  # each stage has modules of its own
        try:
            stage = Stage(
                dag,
                entering,
                leaving,
                stride=layout.strides[place],
                operation=operation_after_pruning(own, nodes) if nodes else own,
                edges=edges,
                transition=config["transition"],
                output=config["output"],
                drop_path=config["drop_path"],
                neutral=neutral[place],
            )
        except ModelError as error:
            raise ModelError(f"stage {place + 1}: {error}") from error
        stages.append(stage)
        entering = leaving
    model = Network(
        _stem(layout, channels, config["in_channels"]),
        stages,
        _classifier(entering, head, config["num_classes"], config["dropout"]),
        in_channels=config["in_channels"],
    )
    model.config = config
    return model


def _width(channels: float, multiple: float) -> int:
    """Returns a multiple of C in whole channels, at least 1."""
    return max(1, round(channels * multiple))


def _stem(layout: Layout, channels: float, in_channels: int) -> nn.Sequential:
    """Returns the dense 3x3 convolutions before the first stage.

    The first is convolution and BN; the others begin with a ReLU, as the nodes of the
    stage that follows do.
    """
    layers: list[nn.Module] = []
    entering = in_channels
    for multiple, stride in layout.stem:
        if layers:
            layers.append(nn.ReLU())
        leaving = _width(channels, multiple)
        layers += conv_bn(entering, leaving, 3, stride)
        entering = leaving
    return nn.Sequential(*layers)


def _classifier(
    in_channels: int, head: int, num_classes: int, dropout: float
) -> nn.Sequential:
    """Returns the 1x1 convolution if the head has a width, pooling, linear layer."""
    layers: list[nn.Module] = [nn.ReLU()]
    if head:
        layers += [*conv_bn(in_channels, head, 1), nn.ReLU()]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(head or in_channels, num_classes),
    )
