"""What a backbone is made of, whatever its wiring: whole blocks, or branches."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
from torch import nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models.branches import Branched, branched
from ddw_graph.models.tracing import Backbone, BlockStage
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import projection_1x1
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import check, edge_list

NODES = ("block", "branch")


@dataclass(frozen=True)
class StageParts:
    """What a stage is made of.

    Args:
        operations: The module of each node that computes.
        wiring: The wiring by which the backbone runs them, every edge weighing 1.
        in_channels: Width of the stage's input.
        channels: Width of every node's output.
        stride: Stride of the first operation.
        projection: The backbone's own shortcut past the first operation.
        entrance: What runs before the input node.
        exit: What runs on the output node's sum.
    """

    operations: Sequence[nn.Module]
    wiring: nx.DiGraph
    in_channels: int
    channels: int
    stride: int
    projection: nn.Module | None
    entrance: nn.Module | None
    exit: nn.Module | None


@dataclass(frozen=True)
class Parts:
    """What a network is made of; the modules are the network's own.

    Args:
        node: What a node is: ``block`` or ``branch``.
        stem: What runs before the first stage.
        stages: The stages.
        head: What runs behind the last stage.
        in_channels: Channels of an image.
        num_classes: Number of logits.
    """

    node: str
    stem: nn.Module
    stages: Sequence[StageParts]
    head: nn.Module
    in_channels: int
    num_classes: int

    @property
    def is_network(self) -> bool:
        """Whether the stages' wirings with weights 1 are the network, to rounding.

        They are not where something follows the sum of a branch and its shortcut: in
        the unrolled form it follows every longer sum too.
        """
        return self.node == "block" or all(stage.exit is None for stage in self.stages)


def parts_of(backbone: Backbone, node: str) -> Parts:
    """Returns the parts of a backbone with whole blocks or branches as nodes.

    Args:
        backbone: The backbone.
        node: ``block``: the whole block with its shortcut; the chain of them is the
            network. ``branch``: what a block adds to its shortcut; the edges are the
            shortcuts. What follows the addition in a block, a ReLU say, comes before
            the next branch, and behind the last one at the stage's exit.

    Raises:
        ModelError: If ``node`` is neither, or a block has no such branch.
    """
    if node not in NODES:
        raise ModelError(f"node must be one of {', '.join(NODES)}, got {node!r}")
    stages = []
    for place, stage in enumerate(backbone.stages, start=1):
        try:
            stages.append(_blocks(stage) if node == "block" else _branches(stage))
        except ModelError as error:
            raise ModelError(f"stage {place}: {error}") from error
    return Parts(
        node,
        backbone.stem,
        stages,
        backbone.head,
        backbone.in_channels,
        backbone.num_classes,
    )


def _blocks(stage: BlockStage) -> StageParts:
    return StageParts(
        stage.blocks,
        vgg(len(stage.blocks)),
        stage.in_channels,
        stage.channels,
        stage.stride,
        _copied_shortcut(stage.blocks[0]),
        stage.entrance,
        exit=None,
    )


def _copied_shortcut(block: nn.Module) -> nn.Module | None:
    """Returns a copy of what a block does in its shortcut, for the nodes after it.

    The block itself keeps its own.
    """
    try:
        return copy.deepcopy(branched(block).projection)
    except ModelError:
        return None  # A block need not have a branch to be a node.


def _branches(stage: BlockStage) -> StageParts:
    blocks = [branched(block) for block in stage.blocks]
    first, *others = blocks
    if any(block.projection is not None for block in others):
        raise ModelError(
            "branches share what a stage's first block projects, got a stage with a "
            "projection in a later block"
        )
    if first.projection is not None and (stage.in_channels, stage.stride) == (
        stage.channels,
        1,
    ):
        raise ModelError(
            "a stage projects its input where width or stride change, got a projection "
            f"of {stage.channels} channels to as many"
        )
    operations = [first.branch]
    for before, block in zip(blocks, others, strict=False):
        operations.append(_begins_with(before.activation, block.branch))
    return StageParts(
        operations,
        _piled_up(blocks),
        stage.in_channels,
        stage.channels,
        stage.stride,
        first.projection,
        stage.entrance,
        blocks[-1].activation,
    )


def _begins_with(activation: nn.Module | None, branch: nn.Module) -> nn.Module:
    if activation is None:
        return branch
    return nn.Sequential(OrderedDict(activation=activation, branch=branch))


def _piled_up(blocks: Sequence[Branched]) -> nx.DiGraph:
    """Returns which branches are in the sum that each node hears.

    A block without a shortcut starts the sum anew. Where the first one has none this is
    ``generators.residual``, where all have one the complete DAG.
    """
    dag = nx.DiGraph()
    dag.add_nodes_from(range(len(blocks) + 2))
    oldest = 0
    for node, has_shortcut in enumerate([*(b.has_shortcut for b in blocks), True], 1):
        dag.add_edges_from((i, node) for i in range(oldest, node))
        if not has_shortcut:
            oldest = node
    return check(dag)


def with_blocks(parts: Parts, blocks: Sequence[Sequence[int]]) -> Parts:
    """Returns the parts of a network of which some blocks are left.

    Args:
        parts: The parts of the whole network.
        blocks: For each stage the blocks that are left, counted from 0.

    Raises:
        ModelError: If a block does not exist, or the order is another one.
    """
    stages = []
    for place, (stage, left) in enumerate(
        zip(parts.stages, blocks, strict=True), start=1
    ):
        count = len(stage.operations)
        if list(left) != sorted(set(left)) or not set(left) <= set(range(count)):
            raise ModelError(
                f"blocks left of stage {place} must be ascending and in [0, {count}), "
                f"got {left}"
            )
        stages.append(replace(stage, operations=[stage.operations[i] for i in left]))
    return replace(parts, stages=stages)


def parts_of_network(network: Network, node: str | None) -> Parts:
    """Returns the parts of a network that was wired from a backbone's.

    The wiring of each stage is the one that it has. A chain of blocks may be unrolled
    into branches.

    Raises:
        ModelError: If the network is of another kind, or ``node`` asks for what it does
            not have.
    """
    config = network.config or {}
    had = config.get("node")
    if had is None:
        raise ModelError(
            "a network is rewired where a backbone is in it, got "
            f"{config.get('name', 'one of your own')}; create_model makes RandWire's "
            "with any wiring"
        )
    stages = [
        StageParts(
            list(stage.operations),
            stage.dag,
            stage.in_channels,
            stage.channels,
            stage.stride,
            _kept_projection(stage, had),
            stage.entrance,
            stage.exit,
        )
        for stage in network.stages
    ]
    classes = config["num_classes"]
    if node in (None, had):
        terminals = network.stem, stages, network.head
        return Parts(had, *terminals, network.in_channels, classes)
    chain = all(
        edge_list(stage.wiring) == edge_list(vgg(len(stage.operations)))
        for stage in stages
    )
    if had == "branch" or not chain:
        raise ModelError(
            f"node {node!r} can be made of a backbone or of a chain of whole blocks, "
            f"got a network whose nodes are of the kind {had!r}, on "
            f"{'a chain' if chain else 'another wiring'}"
        )
    blocks = [
        BlockStage(s.entrance, s.operations, s.in_channels, s.channels, s.stride)
        for s in stages
    ]
    backbone = Backbone(
        network.stem, blocks, network.head, network.in_channels, classes
    )
    return parts_of(backbone, str(node))


def _kept_projection(stage: Stage, node: str) -> nn.Module | None:
    """Returns the projection past the first operation, also where no edge needed it."""
    if stage.projection is not None:
        return stage.projection
    if node == "block":
        return _copied_shortcut(stage.operations[0])
    if stage.exit is not None and (stage.in_channels, 1) != (
        stage.channels,
        stage.stride,
    ):
        raise ModelError(
            "a wiring that fed the first branch alone has left out the backbone's "
            "projection, and no other wiring can be made of what is there; rewire the "
            "backbone"
        )
    return None


def assembled(
    parts: Parts,
    dags: Sequence[nx.DiGraph],
    config: Mapping[str, Any],
    *,
    edges: Edges,
) -> Network:
    """Returns the network that wires some parts, with its configuration.

    Args:
        parts: The parts.
        dags: A wiring for each stage.
        config: Its ``drop_path`` and ``neutral`` (for each stage the edges that weigh 1
            at the start, or None) are those of the stages.
        edges: The kind of edges that its ``edges`` names.

    Raises:
        ModelError: If the wirings do not fit, or a neutral start is not possible.
    """
    if len(dags) != len(parts.stages):
        raise ModelError(
            f"the backbone has {len(parts.stages)} stages, got {len(dags)} wirings"
        )
    neutral = edge_sets(config, len(dags))
    stages = []
    for place, (each, dag, kept) in enumerate(
        zip(parts.stages, dags, neutral, strict=True), start=1
    ):
        if len(dag) - 2 != len(each.operations):
            raise ModelError(
                f"stage {place} of the backbone has {len(each.operations)} blocks (n), "
                f"got a wiring with n={len(dag) - 2}"
            )
        try:
            stages.append(_wired(each, dag, edges, kept, config["drop_path"]))
        except ModelError as error:
            raise ModelError(f"stage {place}: {error}") from error
    network = Network(parts.stem, stages, parts.head, in_channels=parts.in_channels)
    network.config = dict(config)
    return network


def edge_sets(
    config: Mapping[str, Any], stages: int
) -> list[list[tuple[int, int]] | None]:
    """Returns for each stage the edges that weigh 1 at the start, or None."""
    neutral = config.get("neutral") or [None] * stages
    return [each and [(i, j) for i, j in each] for each in neutral]


def _wired(
    parts: StageParts,
    dag: nx.DiGraph,
    edges: Edges,
    neutral: list[tuple[int, int]] | None,
    drop_path: float,
) -> Stage:
    def projection(in_channels: int, channels: int, stride: int) -> nn.Module:
        return parts.projection or projection_1x1(in_channels, channels, stride)

    stage = Stage(
        dag,
        parts.in_channels,
        parts.channels,
        stride=parts.stride,
        operation=list(parts.operations),
        edges=edges,
        transition="input",
        output="sum",
        drop_path=drop_path,
        projection=projection,
        entrance=parts.entrance,
        exit=parts.exit,
        neutral=neutral,
    )
    # What is new goes where the backbone is.
    parameter = next(stage.operations.parameters())
    return stage.to(parameter.device, parameter.dtype)
