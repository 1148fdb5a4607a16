"""A stage as a loop over samples and edges: the definition that the fast one meets."""

import torch
from torch import Tensor

from ddw_graph.nn.edge_weights import DynamicWeights, LearnedWeights, Router
from ddw_graph.nn.edges import Dynamic
from ddw_graph.nn.stage import Stage


def naive_stage(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns output and adjacency of a stage in evaluation, one sample at a time."""
    outputs, matrices = [], []
    for sample in x:
        y, matrix = _sample(stage, sample[None])
        outputs.append(y)
        matrices.append(matrix)
    return torch.cat(outputs), torch.stack(matrices)


def _sample(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
    dag = stage.dag
    last = dag.number_of_nodes() - 1
    mean = stage.plan.output == "mean"
    adjacency = torch.zeros(last + 1, last + 1, dtype=x.dtype)
    is_open = torch.zeros(last + 1, last + 1, dtype=torch.bool)
    emitted = {0: x if stage.projection is None else stage.projection(x)}
    alive = {0: True}
    total = x
    for j in range(last + 1):
        if j:
            heard = sorted(dag.predecessors(j))
            total = torch.zeros((), dtype=x.dtype)
            for i in heard:
                what = x if j == 1 else emitted[i]
                total = total + adjacency[j, i] * what
            alive[j] = any(bool(is_open[j, i]) for i in heard)
            if j == last:
                break
            emitted[j] = stage.operations[j - 1](total)
        targets = sorted(dag.successors(j))
        weights = [_weight(stage, j, t, emitted[j], mean) for t in targets]
        opened = [w is None or w[1] for w in weights]
        values = [
            _constant(stage, t) if w is None else w[0]
            for t, w in zip(targets, weights, strict=True)
        ]
        if not any(opened):
            opened[max(range(len(targets)), key=lambda k: values[k])] = True
        for target, value, is_so in zip(targets, values, opened, strict=True):
            is_open[target, j] = bool(is_so) and alive[j]
            adjacency[target, j] = value if is_open[target, j] else 0
    return total, adjacency


def _constant(stage: Stage, target: int) -> Tensor:
    last = stage.dag.number_of_nodes() - 1
    value = 1 / stage.dag.in_degree(last) if target == last else 1.0
    return torch.tensor(value, dtype=torch.float64)


def _weight(
    stage: Stage, source: int, target: int, features: Tensor, mean: bool
) -> tuple[Tensor, bool] | None:
    """Returns an edge's weight and whether it is open; None where it is constant."""
    last = stage.dag.number_of_nodes() - 1
    if mean and (source == 0 or target == last):
        return None
    weighted = [
        (i, j)
        for i, j in sorted(stage.dag.edges)
        if not (mean and (i == 0 or j == last))
    ]
    if isinstance(stage.weights, LearnedWeights):
        logit = stage.weights.logit[weighted.index((source, target))]
        return logit.sigmoid(), True
    if not isinstance(stage.weights, DynamicWeights):
        return torch.ones((), dtype=torch.float64), True
    assert isinstance(stage.edges, Dynamic)
    router = stage.weights.routers[str(source)]
    assert isinstance(router, Router)
    linear = router.linear
    place = [j for i, j in weighted if i == source].index(target)
    pooled = features[0].mean((1, 2))
    alpha = (linear.weight[place] @ pooled + linear.bias[place]).sigmoid()
    if stage.edges.gate == "none":
        return alpha, True
    assert stage.weights.threshold is not None
    receivers = sorted({j for _, j in weighted})
    tau = stage.weights.threshold[receivers.index(target)]
    psi = alpha * (alpha - tau).sigmoid()
    return alpha if stage.edges.gate == "eq5" else psi, bool(alpha >= tau)
