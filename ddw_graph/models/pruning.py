"""Pruning for good: what never opens leaves the wiring."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import check, to_dict

EdgeSet = set[tuple[int, int]]


def prune(network: Network, batches: Iterable[Tensor]) -> Network:
    """Returns a network without the edges and nodes that never open on some images.

    For these images it computes what the network does; for others, where a gate would
    have opened what has left. It is a plain network with smaller wirings: to be saved,
    trained on and pruned again.

    Args:
        network: A network with a configuration; it stays as it is.
        batches: Images, a tensor ``(batch, channels, height, width)`` each.

    Raises:
        ModelError: If there is no image, or the network has no configuration.

    Example:
        >>> from ddw_graph import create_model
        >>> shut = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=1"
        >>> model = create_model("randwire_tiny", wiring="complete", n=4, edges=shut)
        >>> small = prune(model, [torch.randn(2, 3, 32, 32)])
        >>> edges = [stage.dag.number_of_edges() for stage in small.stages]
        >>> all(left <= 15 for left in edges)
        True
    """
    if network.config is None:
        raise ModelError("a network to prune needs a config, got one without")
    opened = _ever_open(network, batches)
    config: dict[str, Any] = copy.deepcopy(network.config)
    stages, kept_nodes, wirings, neutral = [], [], [], []
    for place, (stage, edges) in enumerate(zip(network.stages, opened, strict=True)):
        nodes, edges = _kept(stage, edges)
        label = {node: new for new, node in enumerate(nodes)}
        dag: nx.DiGraph = nx.DiGraph()
        dag.add_nodes_from(range(len(nodes)))
        for i, j in sorted(edges):
            dag.add_edge(label[i], label[j], **stage.dag.edges[i, j])
        check(dag)
        had = (config.get("neutral") or [None] * len(network.stages))[place]
        if had is not None:
            had = [[label[i], label[j]] for i, j in had if (i, j) in edges]
        stages.append(_pruned(stage, dag, nodes, edges, had))
        kept_nodes.append(nodes)
        wirings.append(to_dict(dag))
        neutral.append(had)
    config["wirings"] = wirings
    if "node" in config:
        before = config.get("blocks") or [
            list(range(stage.plan.nodes - 2)) for stage in network.stages
        ]
        config["blocks"] = [
            [blocks[node - 1] for node in nodes[1:-1]]
            for blocks, nodes in zip(before, kept_nodes, strict=True)
        ]
        config["neutral"] = neutral if config["neutral"] else None
    else:
        # What the DAG would choose by itself may change with it.
        for key in ("transition", "output"):
            found = {getattr(stage.plan, key) for stage in network.stages}
            if len(found) > 1:
                raise ModelError(
                    f"stages to prune must share one {key}, got "
                    f"{' and '.join(sorted(found))}"
                )
            config[key] = found.pop()
        if not isinstance(config.get("operation", ""), str):
            # Each node may have its own: note which nodes are left, as first numbered.
            counts = [range(1, stage.plan.nodes - 1) for stage in network.stages]
            config["nodes"] = [
                [numbers[node - 1] for node in nodes[1:-1]]
                for numbers, nodes in zip(
                    config.get("nodes") or counts, kept_nodes, strict=True
                )
            ]
    small = Network(
        copy.deepcopy(network.stem),
        stages,
        copy.deepcopy(network.head),
        in_channels=network.in_channels,
    )
    small.config = config
    # In training new modules are so by themselves, and copied ones may be frozen.
    return small if network.training else small.eval()


@torch.no_grad()
def _ever_open(network: Network, batches: Iterable[Tensor]) -> list[EdgeSet]:
    """Returns for each stage the edges that some image opens, in evaluation."""
    model = copy.deepcopy(network).eval()
    for stage in model.stages:
        scale = stage.weights.neutral_scale
        if scale is not None:
            # An edge that is open and weighs 0 is no closed one: its target computes.
            scale[scale == 0] = torch.finfo(scale.dtype).tiny
    seen: list[Tensor] = []
    for x in batches:
        if not len(x):
            continue
        _, adjacency = model(x, return_adjacency=True)
        # Somewhere, where weights differ by position too.
        opened = [(by_sample((m != 0).float(), axes=3) > 0).any(0) for m in adjacency]
        seen = [a | b for a, b in zip(seen, opened, strict=True)] if seen else opened
    if not seen:
        raise ModelError("pruning needs at least one image to go by, got none")
    return [
        {(i, j) for j, i in matrix.nonzero().tolist()}
        if stage.weights.can_close
        else set(stage.plan.edges)  # a weight of 0 closes nothing
        for stage, matrix in zip(network.stages, seen, strict=True)
    ]


def _kept(stage: Stage, opened: EdgeSet) -> tuple[list[int], EdgeSet]:
    """Returns the nodes and edges of a stage that stay.

    A node that never computes leaves, unless the stage needs it: the first one, where
    it changes width and stride, and those of which the output is the mean. What such a
    node needs to be part of a wiring stays with it, and stays closed.
    """
    plan = stage.plan
    last = plan.nodes - 1
    needed = {0, last}
    if plan.transition == "input":
        needed.add(1)
    if plan.output == "mean":
        needed |= {i for i, _ in plan.predecessors[last]}
    alive = {j for _, j in opened}
    # From the back: a node that is needed keeps one that it hears.
    edges = set(opened)
    nodes = needed | alive
    for node in range(last, 0, -1):
        heard = [i for i, _ in plan.predecessors[node]]
        if node in nodes and not any((i, node) in edges for i in heard):
            source = next((i for i in heard if i in nodes), heard[0])
            nodes.add(source)
            edges.add((source, node))
    beside = [j for j in plan.successors[0] if j > 1]
    if stage.projection is not None and not any((0, j) in edges for j in beside):
        # The input's router reads what is projected: one edge keeps the projection.
        target = next((j for j in reversed(beside) if j in nodes), beside[-1])
        nodes.add(target)
        edges.add((0, target))
    # From the front: a node that stays keeps a way to the output.
    for node in range(last):
        targets = plan.successors[node]
        if node in nodes and not any((node, j) in edges for j in targets):
            target = next((j for j in reversed(targets) if j in nodes), targets[-1])
            nodes.add(target)
            edges.add((node, target))
    return sorted(nodes), edges


def _pruned(
    stage: Stage,
    dag: nx.DiGraph,
    nodes: Sequence[int],
    edges: EdgeSet,
    neutral: Sequence[Sequence[int]] | None,
) -> Stage:
    """Returns a stage on the nodes and edges that stay."""
    old = copy.deepcopy(stage)
    like = next(old.parameters(), torch.empty(0))
    new = Stage(
        dag,
        old.in_channels,
        old.channels,
        stride=old.stride,
        operation=[old.operations[node - 1] for node in nodes[1:-1]],
        edges=old.edges,
        transition=old.plan.transition,
        output=old.plan.output,
        channel_axis=old.plan.channel_axis,
        drop_path=old.drop_path,
        projection=lambda *_: _given(old.projection),
        entrance=old.entrance,
        exit=old.exit,
        neutral=None if neutral is None else [(i, j) for i, j in neutral],
    ).to(like.device, like.dtype)
    new.weights.take_over(old.weights, edges, nodes)
    scale = new.weights.neutral_scale
    if scale is not None and old.weights.neutral_scale is not None:
        scale.data.copy_(old.weights.neutral_scale[old.plan.places_of(edges)])
    new.skips, new.recompute = old.skips, old.recompute
    return new


def _given(projection: nn.Module | None) -> nn.Module:
    assert projection is not None  # fewer edges need no projection that was not there
    return projection
