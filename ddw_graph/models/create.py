"""Networks by name, and again from the configuration that one carries."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import networkx as nx

from ddw_graph.errors import ModelError, UserError
from ddw_graph.generators.registry import parse
from ddw_graph.generators.stages import Wiring, stage_wirings
from ddw_graph.models.randwire import LAYOUTS, Layout, head, stem, width
from ddw_graph.nn.edges import KINDS, Edges, edge_settings
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import Operation
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import from_dict, to_dict

MOST_CHANNELS = 65_536
"""Largest C: beyond it a typing mistake would fill the memory."""


def list_models() -> list[str]:
    """Returns the names that ``create_model`` knows.

    Example:
        >>> list_models()
        ['randwire_regular', 'randwire_small', 'randwire_tiny']
    """
    return sorted(LAYOUTS)


def create_model(
    name: str,
    *,
    wiring: Wiring | None = None,
    edges: str | Edges = "dynamic",
    num_classes: int = 1000,
    in_channels: int = 3,
    n: int | None = None,
    channels: float | None = None,
    operation: str | Operation = "sepconv",
    transition: str | None = None,
    output: str | None = None,
    drop_path: float | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> Network:
    """Returns a network with freshly initialised weights.

    Args:
        name: One of ``list_models()``.
        wiring: A DAG for every stage, a list of one DAG a stage, a function from n to
            a DAG, or a text such as ``"ws:k=4,p=0.75"``. By default the complete DAG
            for dynamic edges and WS(4, 0.75) for the others.
        edges: ``fixed``, ``learned``, ``dynamic``, or their settings.
        num_classes: Number of classes.
        in_channels: Channels of an image.
        n: Nodes that compute, in a full stage; ``randwire_regular``'s first stage has
            half of them. By default the network's own.
        channels: C, from which every width follows; need not be whole.
        operation: What a node computes; see ``Stage``.
        transition: Where width and stride change; see ``ddw_graph.nn.plan.plan``.
        output: How output nodes gather; see ``ddw_graph.nn.plan.plan``.
        drop_path: Probability that, in training, a sample loses one input of a node.
        dropout: Probability of dropout before the classifier.
        seed: Fixes the random graphs, from which each stage draws its own. It does not
            fix the weights: those come from torch's generator, as in any module.

    Raises:
        ModelError: If the name is unknown, a setting is out of range, or a DAG does
            not allow it.
        WiringError: If a wiring is none, or does not fit the stages.

    Example:
        >>> model = create_model("randwire_tiny", wiring="ws:k=4,p=0.75")
        >>> [stage.plan.nodes for stage in model.stages]
        [10, 10, 10]

    Source:
        Xie et al. 2019, arXiv:1904.01569, Table 1; DDW, section 4.3.
    """
    layout = _layout(name)
    edges = edge_settings(edges)
    if wiring is None:
        wiring = "complete" if edges.kind == "dynamic" else "ws:k=4,p=0.75"
    if n is not None and n < 1:
        raise ModelError(f"n must be at least 1, got {n}")
    of_stage: list[Any] = [wiring] * len(layout.nodes)
    if isinstance(wiring, Sequence) and not isinstance(wiring, str):
        of_stage = list(wiring)
    nodes = [
        None if n is None and _says_n(one) else max(1, int((n or layout.n) * share))
        for one, share in zip(of_stage, layout.nodes, strict=False)
    ]
    nodes += [None] * (len(layout.nodes) - len(nodes))  # too few: told of below
    dags = stage_wirings(wiring, nodes, seed=seed)
    config: dict[str, Any] = {
        "name": name,
        "edges": {"kind": edges.kind, **asdict(edges)},
        "num_classes": num_classes,
        "in_channels": in_channels,
        "channels": layout.channels if channels is None else channels,
        "operation": operation if isinstance(operation, str) else None,
        "transition": transition,
        "output": output,
        "drop_path": layout.drop_path if drop_path is None else drop_path,
        "dropout": layout.dropout if dropout is None else dropout,
        "wirings": [to_dict(dag) for dag in dags],
    }
    return _build(config, dags, operation)


def _says_n(wiring: Any) -> bool:
    """Returns whether a stage's wiring settles the number of nodes by itself."""
    if isinstance(wiring, str):
        return wiring.startswith("file:") or parse(wiring).n is not None
    return isinstance(wiring, nx.Graph)


def _layout(name: str) -> Layout:
    if name not in LAYOUTS:
        known = ", ".join(list_models())
        raise ModelError(f"the network must be one of {known}, got {name!r}")
    return LAYOUTS[name]


def image_size(name: str) -> int:
    """Returns height and width of the images that a network is meant for, pixels.

    Raises:
        ModelError: If no network has that name.

    Example:
        >>> image_size("randwire_small")
        224
    """
    return _layout(name).image_size


def from_config(
    config: Mapping[str, Any], *, operation: Operation | None = None
) -> Network:
    """Returns the network that a configuration describes, freshly initialised.

    Its wirings are those of the configuration, edge by edge: nothing is drawn again.

    Args:
        config: The ``config`` of a network.
        operation: What a node computes, where the network was made with a callable,
            which a configuration cannot hold.

    Raises:
        ModelError: If something is missing, unknown, or out of range.
        WiringError: If a wiring is none.
    """
    try:
        dags = [from_dict(wiring) for wiring in config["wirings"]]
        chosen = operation or config["operation"]
        if chosen is None:
            raise ModelError(
                "this network was made with an operation of the caller's own: "
                "operation must be given, got None"
            )
        return _build(dict(config), dags, chosen)
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"a network's configuration must hold what create_model takes, got {error}"
        ) from error


def _build(
    config: dict[str, Any], dags: Sequence[nx.DiGraph], operation: str | Operation
) -> Network:
    """Returns the network of a configuration, its wirings and its operation."""
    layout = _layout(config["name"])
    if len(dags) != len(layout.widths):
        raise ModelError(
            f"{config['name']} has {len(layout.widths)} stages, got {len(dags)} wirings"
        )
    for key, least in (("num_classes", 1), ("in_channels", 1)):
        if config[key] < least:
            raise ModelError(f"{key} must be at least {least}, got {config[key]}")
    channels = config["channels"]
    if not 0 < channels <= MOST_CHANNELS:
        raise ModelError(f"channels must be in (0, {MOST_CHANNELS}], got {channels}")
    if not 0 <= config["dropout"] <= 1:
        raise ModelError(f"dropout must be in [0, 1], got {config['dropout']}")
    settings = dict(config["edges"])
    edges = KINDS[settings.pop("kind")](**settings)
    entering = width(channels, layout.stem[-1][0])
    stages = []
    for place, dag in enumerate(dags):
        leaving = width(channels, layout.widths[place])
        try:
            stage = Stage(
                dag,
                entering,
                leaving,
                stride=layout.strides[place],
                operation=operation,
                edges=edges,
                transition=config["transition"],
                output=config["output"],
                drop_path=config["drop_path"],
            )
        except ModelError as error:
            raise ModelError(f"stage {place + 1}: {error}") from error
        stages.append(stage)
        entering = leaving
    model = Network(
        stem(layout, channels, config["in_channels"]),
        stages,
        head(layout, entering, config["num_classes"], config["dropout"]),
        in_channels=config["in_channels"],
    )
    model.config = config
    return model
