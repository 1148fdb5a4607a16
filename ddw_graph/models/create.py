"""Networks by name, and again from the configuration that one carries."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import networkx as nx
from torch import nn

from ddw_graph.errors import ModelError, UserError
from ddw_graph.generators.arguments import node_count
from ddw_graph.generators.registry import parse
from ddw_graph.generators.stages import Wiring, stage_wirings
from ddw_graph.models.backbones import BACKBONES, backbone, is_backbone
from ddw_graph.models.features import FeatureNetwork
from ddw_graph.models.parts import (
    Parts,
    assembled,
    edge_sets,
    parts_of,
    with_blocks,
)
from ddw_graph.models.randwire import LAYOUTS, Layout, classifier, stem, width
from ddw_graph.models.rewiring import described
from ddw_graph.models.tracing import taken_apart
from ddw_graph.nn.arguments import (
    check_integers,
    check_share,
    is_integer,
    saved_or_given,
)
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import (
    edge_settings,
    from_saved,
    is_static,
    kind_name,
    saved_text,
)
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import OperationLike, operation_after_pruning
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import from_dict, to_dict

MOST_CHANNELS = 65_536
"""Largest C: beyond it a typing mistake would fill the memory."""


def list_models() -> list[str]:
    """Returns the names that ``create_model`` knows.

    Example:
        >>> len(list_models())
        12
    """
    return sorted((*LAYOUTS, *BACKBONES))


@overload
def create_model(
    name: str,
    *,
    wiring: Wiring | None = ...,
    edges: str | Edges = ...,
    num_classes: int = ...,
    in_channels: int = ...,
    node: str | None = ...,
    n: int | None = ...,
    channels: float | None = ...,
    operation: OperationLike | None = ...,
    transition: str | None = ...,
    output: str | None = ...,
    head: int | None = ...,
    drop_path: float | None = ...,
    dropout: float | None = ...,
    seed: int = ...,
    features_only: Literal[False] = ...,
    out_indices: None = ...,
) -> Network: ...


@overload
def create_model(
    name: str,
    *,
    wiring: Wiring | None = ...,
    edges: str | Edges = ...,
    num_classes: int = ...,
    in_channels: int = ...,
    node: str | None = ...,
    n: int | None = ...,
    channels: float | None = ...,
    operation: OperationLike | None = ...,
    transition: str | None = ...,
    output: str | None = ...,
    head: int | None = ...,
    drop_path: float | None = ...,
    dropout: float | None = ...,
    seed: int = ...,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
) -> FeatureNetwork: ...


def create_model(
    name: str,
    *,
    wiring: Wiring | None = None,
    edges: str | Edges = "dynamic",
    num_classes: int = 1000,
    in_channels: int = 3,
    node: str | None = None,
    n: int | None = None,
    channels: float | None = None,
    operation: OperationLike | None = None,
    transition: str | None = None,
    output: str | None = None,
    head: int | None = None,
    drop_path: float | None = None,
    dropout: float | None = None,
    seed: int = 0,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
) -> Network | FeatureNetwork:
    """Returns a network with freshly initialised weights.

    Args:
        name: One of ``list_models()``; ``torchvision/NAME`` or ``timm/NAME`` for any
            other backbone that ``rewire`` takes.
        wiring: A DAG for every stage, a list of one DAG a stage, a function from n to
            a DAG, or a text such as ``"ws:k=4,p=0.75"``. By default the complete DAG,
            but for fixed and learned edges WS(4, 0.75) in RandWire's networks, and for
            fixed edges its own in a backbone: the original network.
        edges: A kind of edge weights; see ``Stage``.
        num_classes: Number of classes.
        in_channels: Channels of an image.
        node: What a node of a backbone is: ``branch``, what a block adds to its
            shortcut (the paper's), or ``block``, the whole block, which is the default
            for the original network alone.
        n: Nodes that compute, in a full stage of RandWire's; ``randwire_regular``'s
            first stage has half of them. By default the network's own; in a backbone n
            is a stage's number of blocks.
        channels: C, from which every width of RandWire's follows; need not be whole.
        operation: What a node of RandWire's computes, ``sepconv`` by default; see
            ``Stage``.
        transition: Where width and stride change; see ``ddw_graph.nn.plan.plan``. In a
            backbone always ``input``.
        output: How output nodes gather; see ``ddw_graph.nn.plan.plan``. In a backbone
            always ``sum``.
        head: Width of the 1x1 convolution and its normalisation before RandWire's
            pooling, in channels; 0 for none. By default the network's own.
        drop_path: Probability that, in training, a sample loses one input of a node.
        dropout: Probability of dropout before RandWire's classifier.
        seed: Fixes the random graphs, from which each stage draws its own. It does not
            fix the weights: those come from torch's generator, as in any module.
        features_only: Whether to return a ``FeatureNetwork``, which has no head.
        out_indices: The levels that it returns; see there.

    Raises:
        ModelError: If the name is unknown, a setting is out of range or not one of this
            network, or a DAG does not allow it.
        WiringError: If a wiring is none, or does not fit the stages, or n is out of
            range.

    Example:
        >>> model = create_model("randwire_tiny", wiring="ws:k=4,p=0.75")
        >>> [stage.plan.nodes for stage in model.stages]
        [10, 10, 10]
        >>> model = create_model("resnet18", edges="dynamic", num_classes=10)
        >>> [stage.plan.nodes for stage in model.stages]
        [4, 4, 4, 4]

    Source:
        Xie et al. 2019, arXiv:1904.01569, Table 1; DDW, sections 4.1 and 4.3.
    """
    if out_indices is not None and not features_only:
        raise ModelError(f"out_indices needs features_only=True, got {out_indices}")
    settings = edge_settings(edges)
    if is_backbone(name):
        for key, value in (
            ("n", n),
            ("channels", channels),
            ("operation", operation),
            ("transition", transition),
            ("output", output),
            ("head", head),
            ("dropout", dropout),
        ):
            if value is not None:
                raise ModelError(f"{key} is for RandWire's networks, got {name}")
        if node is None:
            original = kind_name(settings) == "fixed" and wiring is None
            node = "block" if original else "branch"
        parts = _backbone_parts(name, node, num_classes, in_channels)
        network = assembled(
            parts,
            *described(
                parts,
                name,
                edges=settings,
                wiring=wiring,
                neutral=False,
                drop_path=drop_path or 0.0,
                seed=seed,
            ),
            edges=settings,
        )
    else:
        layout = _layout(name)
        if node is not None:
            raise ModelError(f"node is for backbones, got {name}")
        dags = _randwire_wirings(layout, wiring, settings, n, seed)
        operation = "sepconv" if operation is None else operation
        config: dict[str, Any] = {
            "name": name,
            "edges": saved_text(settings),
            "num_classes": num_classes,
            "in_channels": in_channels,
            "channels": layout.channels if channels is None else channels,
            "operation": operation if _is_text(operation) else None,
            "transition": transition,
            "output": output,
            "drop_path": layout.drop_path if drop_path is None else drop_path,
            "dropout": layout.dropout if dropout is None else dropout,
            "wirings": [to_dict(dag) for dag in dags],
        }
        if head is not None:  # told only then: earlier runs, which lack it, go on
            config["head"] = head
        network = _build(config, dags, operation, settings)
    return FeatureNetwork(network, out_indices) if features_only else network


def _randwire_wirings(
    layout: Layout, wiring: Wiring | None, edges: Edges, n: int | None, seed: int
) -> list[nx.DiGraph]:
    """Returns the wirings of RandWire's stages."""
    if wiring is None:
        wiring = "ws:k=4,p=0.75" if is_static(edges) else "complete"
    if n is not None:
        n = node_count(n)
    of_stage: list[Any] = [wiring] * len(layout.nodes)
    if isinstance(wiring, Sequence) and not isinstance(wiring, str):
        of_stage = list(wiring)
    wanted = layout.n if n is None else n
    nodes = [
        None if n is None and _says_n(one) else max(1, int(wanted * share))
        for one, share in zip(of_stage, layout.nodes, strict=False)
    ]
    nodes += [None] * (len(layout.nodes) - len(nodes))  # too few: told of below
    return stage_wirings(wiring, nodes, seed=seed)


def _backbone_parts(name: str, node: str, num_classes: int, in_channels: int) -> Parts:
    check_integers(num_classes=num_classes, in_channels=in_channels)
    model = backbone(name, num_classes=num_classes, in_channels=in_channels)
    return parts_of(taken_apart(model), node)


def _is_text(operation: Any) -> bool:
    """Returns whether a configuration can hold an operation: names."""
    if isinstance(operation, list):
        return all(isinstance(each, str) for each in operation)
    return isinstance(operation, str)


def _says_n(wiring: Any) -> bool:
    """Returns whether a stage's wiring settles the number of nodes by itself."""
    if isinstance(wiring, str):
        return wiring.startswith("file:") or parse(wiring).n is not None
    return isinstance(wiring, nx.Graph)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        known = ", ".join((*list_models(), "torchvision/NAME or timm/NAME"))
        raise ModelError(f"the network must be one of {known}, got {name!r}")
    return LAYOUTS[name]


def image_size(name: str) -> int:
    """Returns height and width of the images that a network is meant for, pixels.

    That is 224 for every backbone, whatever its library trains it at.

    Raises:
        ModelError: If no network of this package has that name. Those of libraries are
            not looked up.

    Example:
        >>> image_size("randwire_small")
        224
    """
    return 224 if is_backbone(name) else _layout(name).image_size


def from_config(
    config: Mapping[str, Any],
    *,
    operation: OperationLike | None = None,
    edges: str | Edges | None = None,
    backbone: nn.Module | None = None,
) -> Network:
    """Returns the network that a configuration describes, freshly initialised.

    Its wirings are those of the configuration, edge by edge: nothing is drawn again.

    Args:
        config: The ``config`` of a network.
        operation: What a node computes, where the network was made with a callable,
            which a configuration cannot hold.
        edges: The kind of edges, where it has no name or holds a callable.
        backbone: The backbone, with any weights, where ``rewire`` was given one that
            has no name here; it becomes part of the network.

    Raises:
        ModelError: If something is missing, unknown, or out of range.
        WiringError: If a wiring is none.
    """
    try:
        dags = [from_dict(wiring) for wiring in config["wirings"]]
        kind = from_saved(config["edges"], edges)
        if "node" in config:
            parts = _named_parts(config, backbone)
            return assembled(parts, dags, config, edges=kind)
        chosen = saved_or_given("operation", config["operation"], operation)
        return _build(dict(config), dags, chosen, kind)
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"a network's configuration must hold what create_model takes, got {error}"
        ) from error


def _named_parts(config: Mapping[str, Any], given: nn.Module | None) -> Parts:
    """Returns the parts of the backbone that a configuration names."""
    if config["name"] is None and given is None:
        raise ModelError(
            "this network was rewired from a backbone of the caller's own: backbone "
            "must be given, got None"
        )
    classes, channels = config["num_classes"], config["in_channels"]
    blocks = config.get("blocks")
    if config["name"] is not None:
        parts = _backbone_parts(config["name"], config["node"], classes, channels)
        return parts if blocks is None else with_blocks(parts, blocks)
    assert given is not None
    parts = parts_of(taken_apart(given), config["node"])
    if (parts.num_classes, parts.in_channels) != (classes, channels):
        raise ModelError(
            f"the backbone must have {classes} classes and {channels} channels, got "
            f"{parts.num_classes} and {parts.in_channels}"
        )
    return parts if blocks is None else with_blocks(parts, blocks)


def _build(
    config: dict[str, Any],
    dags: Sequence[nx.DiGraph],
    operation: OperationLike,
    edges: Edges,
) -> Network:
    """Returns the network of a configuration, its wirings, operation and edges."""
    layout = _layout(config["name"])
    if len(dags) != len(layout.widths):
        raise ModelError(
            f"{config['name']} has {len(layout.widths)} stages, got {len(dags)} wirings"
        )
    check_integers(num_classes=config["num_classes"], in_channels=config["in_channels"])
    channels = config["channels"]
    if isinstance(channels, str) or not 0 < channels <= MOST_CHANNELS:
        raise ModelError(f"channels must be in (0, {MOST_CHANNELS}], got {channels}")
    last = config.get("head", layout.head)
    if not is_integer(last) or not 0 <= last <= MOST_CHANNELS:
        raise ModelError(
            f"head must be an integer in [0, {MOST_CHANNELS}], got {last!r}"
        )
    check_share("dropout", config["dropout"])
    neutral = edge_sets(config, len(dags))
    entering = width(channels, layout.stem[-1][0])
    stages = []
    # The nodes, numbered as before pruning, that a pruned network still has.
    left = config.get("nodes") or [None] * len(dags)
    for place, (dag, nodes) in enumerate(zip(dags, left, strict=True)):
        leaving = width(channels, layout.widths[place])
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
        stem(layout, channels, config["in_channels"]),
        stages,
        classifier(entering, last, config["num_classes"], config["dropout"]),
        in_channels=config["in_channels"],
    )
    model.config = config
    return model
