"""The parts of a backbone, whatever its wiring: whole blocks, or branches, as nodes."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import torch
from torch import nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models.branches import BlockParts, split_block
from ddw_graph.nn.arguments import check_one_of
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.host_network import HostNetwork, Run
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import projection_1x1
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import check, computing_nodes, edge_list

NODES = ("block", "branch")
WIRED = ("node", "edges", "drop_path", "neutral", "wirings", "runs", "nodes")
"""Entries of a configuration that a wiring makes; the others make the parts."""


@dataclass(frozen=True)
class StageParts:
    """The parts of a stage.

    Args:
        operations: The module of each node that computes.
        wiring: The wiring by which the backbone runs them, every edge weighing 1.
        stride: Stride of the first operation.
        projection: The backbone's own shortcut past the first operation.
        entrance: What runs before the input node.
        exit: What runs on what the output node gathers.
        channel_axis: The features' axis of channels, like ``transition`` and ``output``
            as for ``Stage``.
        run: The blocks that the stage takes the place of, where it stays in the
            network.
        exact: Whether the wiring computes what the backbone does, to rounding.
    """

    operations: Sequence[nn.Module]
    wiring: nx.DiGraph
    in_channels: int
    channels: int
    stride: int = 1
    projection: nn.Module | None = None
    entrance: nn.Module | None = None
    exit: nn.Module | None = None
    channel_axis: int = 1
    transition: str = "input"
    output: str = "sum"
    run: Run | None = None
    exact: bool = True


@dataclass(frozen=True)
class Parts:
    """The parts of a network; the modules are the network's own.

    Args:
        node: What a node is: ``block`` or ``branch``.
        make: Makes the network of its stages, with all that is outside of them.
        stages: The stages.
        in_channels: Channels of an image; 0 where the network takes other inputs.
        num_classes: Number of logits; 0 for a language model.
        origin: Entries of the configuration that make the parts again.
    """

    node: str
    make: Callable[[Sequence[Stage]], Network]
    stages: Sequence[StageParts]
    in_channels: int
    num_classes: int
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """The blocks of each stage, where the network's own forward runs them."""
        return [stage.run for stage in self.stages if stage.run is not None]

    @property
    def is_network(self) -> bool:
        """Whether the stages' wirings with weights 1 are the network, to rounding.

        They are not where something follows the sum of a branch and its shortcut: in
        the unrolled form it follows every longer sum too.
        """
        return all(stage.exact for stage in self.stages)


def with_nodes(parts: Parts, node: str) -> Parts:
    """Returns the parts with whole blocks or branches as nodes.

    Args:
        parts: Parts with such nodes, or a chain of whole blocks.
        node: ``block``: the whole block with its shortcut; the chain of them is the
            network. ``branch``: what a block adds to its shortcut; the edges are the
            shortcuts. What follows the addition in a block, such as a ReLU, runs before
            the next branch, and behind the last one at the stage's exit.
    """
    check_one_of("node", node, NODES)
    if node == parts.node:
        return parts
    chain = all(
        edge_list(stage.wiring) == edge_list(vgg(len(stage.operations)))
        for stage in parts.stages
    )
    if parts.node == "branch" or not chain:
        raise ModelError(
            f"node {node!r} needs a backbone or a chain of whole blocks, got a network "
            f"with nodes of the kind {parts.node!r} on "
            f"{'a chain' if chain else 'another wiring'}"
        )
    stages = []
    for place, stage in enumerate(parts.stages, start=1):
        try:
            stages.append(_branches(stage))
        except ModelError as error:
            raise ModelError(f"stage {place}: {error}") from error
    return replace(parts, node=node, stages=stages)


def kept_shortcut(block: nn.Module) -> nn.Module | None:
    """Returns a copy of a block's projection for the nodes after it, if it has one."""
    try:
        branches = split_block(block)
    except ModelError:
        return None  # A block need not have a branch to be a node.
    # Not one that weights follow, or another branch: it has not the output's width.
    following = branches[0].activation
    weights = following.parameters() if following else ()
    if len(branches) > 1 or any(parameter.ndim > 1 for parameter in weights):
        return None
    return copy.deepcopy(branches[0].projection)


def _branches(stage: StageParts) -> StageParts:
    split = [split_block(block, stage.run) for block in stage.operations]
    blocks = [branch for branches in split for branch in branches]
    if stage.channel_axis == -1 and not any(block.has_shortcut for block in blocks):
        raise ModelError(
            "a block to split adds a branch to a shortcut in its own forward, got a "
            f"{type(stage.operations[0]).__name__} that does not; take node='block'"
        )
    first, *others = blocks
    if any(block.projection is not None for block in others):
        raise ModelError(
            "branches share the projection of a stage's first block, got a stage with "
            "a projection in a later block"
        )
    changes = (stage.in_channels, stage.stride) != (stage.channels, 1)
    if first.projection is not None and not changes:
        raise ModelError(
            "a stage projects its input where width or stride change, got a projection "
            f"of {stage.channels} channels to as many"
        )
    operations = [first.branch]
    for before, block in zip(blocks, others, strict=False):
        operation = block.branch
        if before.activation is not None:
            steps = OrderedDict(activation=before.activation, branch=block.branch)
            operation = nn.Sequential(steps)
        operations.append(operation)
    return replace(
        stage,
        operations=operations,
        wiring=_unrolled(blocks),
        projection=first.projection,
        exit=blocks[-1].activation,
        exact=all(block.activation is None for block in blocks),
    )


def _unrolled(blocks: Sequence[BlockParts]) -> nx.DiGraph:
    """Returns which branches are in the sum that each node receives.

    A branch without a shortcut starts the sum anew. Where the first one has none this
    is ``generators.residual``, where all have one the complete DAG.
    """
    dag = nx.DiGraph()
    dag.add_nodes_from(range(len(blocks) + 2))
    oldest = 0
    for node, has_shortcut in enumerate([*(b.has_shortcut for b in blocks), True], 1):
        dag.add_edges_from((i, node) for i in range(oldest, node))
        if not has_shortcut:
            oldest = node
    return check(dag)


def after_pruning(parts: Parts, nodes: Sequence[Sequence[int]] | None) -> Parts:
    """Returns the parts that pruning has left.

    Args:
        nodes: For each stage the nodes that are left, as first numbered, from 1; None
            for all.
    """
    if nodes is None:
        return parts
    stages = []
    for place, (stage, left) in enumerate(
        zip(parts.stages, nodes, strict=True), start=1
    ):
        count = len(stage.operations)
        if list(left) != [node for node in range(1, count + 1) if node in left]:
            raise ModelError(
                f"the nodes left by pruning in stage {place} must be ascending and in "
                f"[1, {count}], got {left}"
            )
        operations = [stage.operations[node - 1] for node in left]
        stages.append(replace(stage, operations=operations))
    return replace(parts, stages=stages)


def parts_of_network(network: Network) -> Parts:
    """Returns the parts of a network made from a backbone, on its own wirings."""
    config = network.config or {}
    node = config.get("node")
    if node is None:
        raise ModelError(
            "only a network made from a backbone can be rewired, got "
            f"{config.get('name', 'one of your own')}; create_model makes RandWire's "
            "with any wiring"
        )
    runs: Sequence[Run | None] = [None] * len(network.stages)
    if isinstance(network, HostNetwork):
        runs = network.runs
    stages = [
        replace(
            parts_of_stage(stage),
            projection=_kept_projection(stage, node),
            run=run,
            exact=node == "block" or stage.exit is None,
        )
        for stage, run in zip(network.stages, runs, strict=True)
    ]
    return Parts(
        node,
        network.with_stages,
        stages,
        network.in_channels,
        config.get("num_classes", 0),
        {key: value for key, value in config.items() if key not in WIRED},
    )


def parts_of_stage(stage: Stage) -> StageParts:
    """Returns the parts of a stage, on its own wiring."""
    return StageParts(
        operations=list(stage.operations),
        wiring=stage.dag,
        in_channels=stage.in_channels,
        channels=stage.channels,
        stride=stage.stride,
        projection=stage.projection,
        entrance=stage.entrance,
        exit=stage.exit,
        channel_axis=stage.plan.channel_axis,
        transition=stage.plan.transition,
        output=stage.plan.output,
    )


def _kept_projection(stage: Stage, node: str) -> nn.Module | None:
    """Returns the projection past the first operation, also where no edge needed it."""
    if stage.projection is not None:
        return stage.projection
    if node == "block":
        return kept_shortcut(stage.operations[0])
    if stage.exit is not None and (stage.in_channels, 1) != (
        stage.channels,
        stage.stride,
    ):
        raise ModelError(
            "this network has lost its backbone's projection, because its wiring fed "
            "only the first branch; rewire the backbone itself"
        )
    return None


def build_network(
    parts: Parts, dags: Sequence[nx.DiGraph], config: Mapping[str, Any], *, edges: Edges
) -> Network:
    """Returns the network that wires some parts, with its configuration.

    Args:
        config: Its ``drop_path`` and ``neutral`` (for each stage the edges that weigh 1
            at the start, or None) are those of the stages.
        edges: The kind of edges that its ``edges`` names.
    """
    if len(dags) != len(parts.stages):
        raise ModelError(
            f"the backbone has {len(parts.stages)} stages, got {len(dags)} wirings"
        )
    neutral = neutral_edges(config, len(dags))
    stages = []
    for place, (each, dag, kept) in enumerate(
        zip(parts.stages, dags, neutral, strict=True), start=1
    ):
        n = len(computing_nodes(dag))
        if n != len(each.operations):
            raise ModelError(
                f"stage {place} of the backbone has {len(each.operations)} blocks (n), "
                f"got a wiring with n={n}"
            )
        try:
            stage = build_stage(
                each, dag, edges, neutral=kept, drop_path=config["drop_path"]
            )
        except ModelError as error:
            raise ModelError(f"stage {place}: {error}") from error
        stages.append(stage)
    network = parts.make(stages)
    network.config = dict(config)
    return network


def neutral_edges(
    config: Mapping[str, Any], stages: int
) -> list[list[tuple[int, int]] | None]:
    """Returns for each stage the edges that weigh 1 at the start, or None."""
    neutral = config.get("neutral") or [None] * stages
    return [each and [(i, j) for i, j in each] for each in neutral]


def build_stage(
    parts: StageParts,
    dag: nx.DiGraph,
    edges: Edges,
    *,
    neutral: Sequence[tuple[int, int]] | None,
    drop_path: float,
) -> Stage:
    """Returns the stage of some parts and a wiring, where its operations are."""

    def projection(in_channels: int, channels: int, stride: int) -> nn.Module:
        return parts.projection or projection_1x1(in_channels, channels, stride)

    stage = Stage(
        dag,
        parts.in_channels,
        parts.channels,
        stride=parts.stride,
        operation=list(parts.operations),
        edges=edges,
        transition=parts.transition,
        output=parts.output,
        channel_axis=parts.channel_axis,
        drop_path=drop_path,
        projection=projection if parts.channel_axis == 1 or parts.projection else None,
        entrance=parts.entrance,
        exit=parts.exit,
        neutral=neutral,
    )
    like = next(stage.operations.parameters(), torch.empty(0))
    return stage.to(like.device, like.dtype)
