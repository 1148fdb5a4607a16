"""Pruning for good: edges and nodes that never open leave the wiring."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.models.parts import build_stage, parts_of_stage
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import outputs
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import check, to_dict

EdgeSet = set[tuple[int, int]]


def prune(network: Network, batches: Iterable[Tensor | Sequence[Tensor]]) -> Network:
    """Returns a copy without the edges and nodes that never open on some images.

    For these images it computes what the network does; for others it does not where a
    removed edge would have opened. It is a plain network with smaller wirings: save it,
    train it further, prune it again.

    Args:
        network: A network with a configuration.
        batches: Images ``(batch, channels, height, width)``, with labels or without.

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
    if not network.in_channels:
        raise ModelError("a network to prune takes images, got one of other inputs")
    opened = _ever_open(network, batches)
    small = copy.deepcopy(network)
    config: dict[str, Any] = small.config or {}
    counts = [[*range(1, len(stage.places) + 1)] for stage in network.stages]
    numbers = config.get("nodes") or counts
    stages = []
    for place, (stage, edges) in enumerate(zip(small.stages, opened, strict=True)):
        nodes, edges = _kept(stage, edges)
        label = {node: new for new, node in enumerate(nodes)}
        dag: nx.DiGraph = nx.DiGraph()
        dag.add_nodes_from((label[node], stage.dag.nodes[node]) for node in nodes)
        for i, j in sorted(edges):
            dag.add_edge(label[i], label[j], **stage.dag.edges[i, j])
        start = stage.neutral
        if start is not None:
            start = [(label[i], label[j]) for i, j in start if (i, j) in edges]
        stages.append(_pruned(stage, check(dag), nodes, edges, start))
        left = [at for node, at in stage.places.items() if node in nodes]
        numbers[place] = [numbers[place][at] for at in left]
    starts: list[Any] = [each.neutral and [*map(list, each.neutral)] for each in stages]
    # The operations that are left, as first numbered.
    config |= {
        "wirings": [to_dict(stage.dag) for stage in stages],
        "neutral": None if starts == [None] * len(starts) else starts,
        "nodes": numbers,
    }
    if "node" not in config:
        # The default of a smaller DAG may be another one.
        for key in ("transition", "output"):
            found = {getattr(stage.plan, key) for stage in network.stages}
            if len(found) > 1:
                raise ModelError(
                    f"stages to prune must share one {key}, got "
                    f"{' and '.join(sorted(found))}"
                )
            config[key] = found.pop()
    small = small.with_stages(stages)
    small.config = config
    # New modules are in training mode, and copied ones may be frozen.
    return small if network.training else small.eval()


def _ever_open(
    network: Network, batches: Iterable[Tensor | Sequence[Tensor]]
) -> list[EdgeSet]:
    """Returns for each stage the edges that some image opens, in evaluation."""
    model = copy.deepcopy(network)
    for stage in model.stages:
        scale = stage.weights.neutral_scale
        if scale is not None:
            # An edge that is open and weighs 0 is not closed: its target computes.
            scale.data[scale == 0] = torch.finfo(scale.dtype).tiny
    seen: list[Tensor] = []
    some = (b for b in batches if len(b if isinstance(b, Tensor) else b[0]))
    for output in outputs(model, some):
        # An edge with a weight for each position is open where one of them is.
        opened = [
            (by_sample((m != 0).float(), axes=3) > 0).any(0) for m in output.adjacency
        ]
        seen = [a | b for a, b in zip(seen, opened, strict=True)] if seen else opened
    if not seen:
        raise ModelError("prune needs at least one image, got none")
    return [
        {(i, j) for j, i in matrix.nonzero().tolist()}
        if stage.weights.can_close
        else set(stage.plan.edges)  # a weight of 0 closes nothing
        for stage, matrix in zip(network.stages, seen, strict=True)
    ]


def _kept(stage: Stage, opened: EdgeSet) -> tuple[list[int], EdgeSet]:
    """Returns the nodes and edges of a stage that stay.

    A node that never computes leaves, unless the stage needs it: the first one, where
    it changes width and stride, and the sinks where the output is their mean. The edges
    that such a node needs to be part of a wiring stay too, and stay closed.
    """
    plan = stage.plan
    last = plan.nodes - 1
    needed = {0, last}
    if plan.transition == "input":
        needed.add(1)
    if plan.output == "mean":
        needed |= {*plan.predecessors[last]}
    alive = {j for _, j in opened}
    if alive.isdisjoint(plan.computing):
        needed.add(plan.computing[0])
    # From the back: a node that stays keeps a predecessor.
    edges = set(opened)
    nodes = needed | alive
    for node in range(last, 0, -1):
        sources = plan.predecessors[node]
        if node in nodes and not any((i, node) in edges for i in sources):
            source = next((i for i in sources if i in nodes), sources[0])
            nodes.add(source)
            edges.add((source, node))
    others = [j for j in plan.successors[0] if j > 1]
    if stage.projection is not None and not any((0, j) in edges for j in others):
        # The input's router reads what is projected: one edge keeps the projection.
        target = next((j for j in reversed(others) if j in nodes), others[-1])
        nodes.add(target)
        edges.add((0, target))
    # From the front: a node that stays keeps a path to the output.
    for node in range(last):
        targets = plan.successors[node]
        if node in nodes and not any((node, j) in edges for j in targets):
            target = next((j for j in reversed(targets) if j in nodes), targets[-1])
            nodes.add(target)
            edges.add((node, target))
    return sorted(nodes), edges


def _pruned(
    old: Stage,
    dag: nx.DiGraph,
    nodes: Sequence[int],
    edges: EdgeSet,
    neutral: Sequence[tuple[int, int]] | None,
) -> Stage:
    """Returns a stage with the nodes and edges that stay."""
    left = [old.operations[at] for node, at in old.places.items() if node in nodes]
    parts = replace(parts_of_stage(old), operations=left)
    new = build_stage(parts, dag, old.edges, neutral=neutral, drop_path=old.drop_path)
    like = next(old.parameters(), torch.empty(0))
    new = new.to(like.device, like.dtype)
    new.weights.take_over(old.weights, edges, nodes)
    scale = new.weights.neutral_scale
    if scale is not None and old.weights.neutral_scale is not None:
        scale.data.copy_(old.weights.neutral_scale[old.plan.places_of(edges)])
    new.skips, new.recompute = old.skips, old.recompute
    return new
