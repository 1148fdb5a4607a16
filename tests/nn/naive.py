"""A stage as a loop over samples and edges: the definition that the fast one meets."""

from typing import Any

import torch
from torch import Tensor

from ddw_graph.nn.dynamic import Dynamic
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import Learned


def naive_stage(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns output and adjacency of a stage in evaluation, one sample at a time.

    The adjacency has all axes of the features, each of its size.
    """
    pairs = [_sample(stage, sample[None]) for sample in x]
    outputs, matrices = zip(*pairs, strict=True)
    return torch.cat(outputs), torch.stack(matrices)


def expanded(adjacency: Tensor, matrix: Tensor) -> Tensor:
    """Returns an adjacency that a stage returned with the axes of a naive one."""
    missing = matrix.ndim - adjacency.ndim
    return adjacency.reshape(*adjacency.shape, *[1] * missing).expand_as(matrix)


def _sample(stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
    dag = stage.dag
    last = dag.number_of_nodes() - 1
    mean = stage.plan.output == "mean"
    weights: dict[tuple[int, int], Tensor] = {}
    is_open: dict[tuple[int, int], Tensor] = {}
    x = x if stage.entrance is None else stage.entrance(x)
    emitted = {0: x if stage.projection is None else stage.projection(x)}
    alive = {0: torch.ones([1] * x.ndim, dtype=torch.bool)}
    total = x
    for j in range(last + 1):
        if j:
            sources = sorted(dag.predecessors(j))
            takes = stage.plan.takes_transition(j)
            inputs = {i: x if takes and not i else emitted[i] for i in sources}
            carrying = [i for i in sources if not (mean and (i == 0 or j == last))]
            for i, weight in _incoming(stage, j, carrying, inputs).items():
                weights[i, j] = weight
            total = torch.zeros((), dtype=x.dtype)
            alive[j] = torch.zeros([1] * x.ndim, dtype=torch.bool)
            for i in sources:
                if not i and takes and stage.changes:
                    # One weight a sample, as the input has other sizes.
                    weights[i, j] = weights[i, j].mean()
                    is_open[i, j] = is_open[i, j].any().view([1] * x.ndim)
                total = total + weights[i, j] * inputs[i]
                alive[j] = alive[j] | is_open[i, j]
            if j == last:
                break
            emitted[j] = total
            if j in stage.plan.computing:
                place = stage.plan.computing.index(j)
                emitted[j] = stage.operations[place](total)
        targets = sorted(dag.successors(j))
        values, opened = [], []
        for target in targets:
            if mean and (j == 0 or target == last):
                value = 1 / dag.in_degree(last) if target == last else 1.0
                value *= dag.edges[j, target].get("weight", 1.0)
                weight, opens = torch.tensor(value, dtype=x.dtype), torch.tensor(True)
            else:
                weight, opens = _outgoing(stage, j, target, emitted[j])
            values.append(weight.reshape(weight.shape or [1] * x.ndim))
            opened.append(opens.reshape(opens.shape or [1] * x.ndim))
        heights = _stack(values).abs()
        none = ~_stack(opened).any(0)
        for place, target in enumerate(targets):
            strongest = heights.argmax(0) == place
            opens = (opened[place] | (none & strongest)) & alive[j]
            is_open[j, target] = opens
            weights[j, target] = values[place] * opens
    y = total if stage.exit is None else stage.exit(total)
    shape = (*total.shape[1:],)
    matrix = torch.zeros(last + 1, last + 1, *shape, dtype=x.dtype)
    for (i, j), weight in weights.items():
        matrix[j, i] = weight[0] if weight.ndim else weight
    return y, matrix


def _stack(tensors: list[Tensor]) -> Tensor:
    shapes = [each.shape for each in tensors]
    shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
    return torch.stack([each.expand(shape) for each in tensors])


def _rms(x: Tensor, axis: int) -> Tensor:
    eps = torch.finfo(x.dtype).eps
    return x / (x.square().mean(axis, keepdim=True) + eps).sqrt()


def _outgoing(
    stage: Stage, source: int, target: int, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns what an edge weighs by its source's word, and where it is open."""
    plan, true = stage.plan, torch.tensor(True)
    weights: Any = stage.weights
    place = plan.weighted_edges.index((source, target))
    scale: Tensor | float = 1.0
    if weights._start is not None:
        scale = weights.neutral_scale[place] / weights._start[1]
    if isinstance(stage.edges, Learned) and stage.edges.form != "softmax":
        logit = weights.logit[place]
        return scale * (logit if stage.edges.form == "free" else logit.sigmoid()), true
    if not isinstance(stage.edges, Dynamic):
        value = stage.dag.edges[source, target].get("weight", 1.0)
        return torch.tensor(value, dtype=features.dtype), true
    settings, axis = stage.edges, plan.channel_axis
    linear = weights.routers[str(source)].linear
    row = plan.weighted(source).index(target)
    if settings.norm == "rms":
        features = _rms(features, axis)
    shape = [1] * features.ndim
    shape[axis] = -1
    logit = (features * linear.weight[row].view(shape)).sum(axis, keepdim=True)
    if settings.per == "sample":
        logit = logit.mean()
    alpha = (logit + linear.bias[row]).sigmoid()
    if settings.gate == "none":
        return scale * alpha, true
    receivers = sorted({j for _, j in plan.weighted_edges})
    tau = weights.threshold[receivers.index(target)]
    psi = alpha * (alpha - tau).sigmoid()
    return scale * (alpha if settings.gate == "eq5" else psi), alpha >= tau


def _incoming(
    stage: Stage, node: int, sources: list[int], inputs: dict[int, Tensor]
) -> dict[int, Tensor]:
    """Returns what edges weigh by their receiver's word, if it has one."""
    weights: Any = stage.weights
    shares = weights.weighs_inputs or getattr(stage.edges, "form", None) == "softmax"
    if not shares or not sources:
        return {}
    axis, edges = stage.plan.channel_axis, list(stage.plan.weighted_edges)
    places = [edges.index((i, node)) for i in sources]
    text = str(node)

    def along(vector: Tensor) -> Tensor:
        shape = [1] * inputs[sources[0]].ndim
        shape[axis] = -1
        return vector.view(shape)

    if hasattr(weights, "static"):
        if len(sources) == 1:
            return {}
        newest = _rms(inputs[sources[-1]], axis)
        first, second = weights.first[text].weight, weights.second[text].weight
        hidden = [(newest * along(row)).sum(axis, keepdim=True) for row in first]
        hidden = [torch.nn.functional.gelu(each) for each in hidden]
        return {
            i: weights.static[text][k]
            + sum(second[k, m] * each for m, each in enumerate(hidden))
            for k, i in enumerate(sources)
        }
    if hasattr(weights, "logit"):
        scores = [weights.logit[place] for place in places]
    elif text in weights.queries:
        query = along(weights.queries[text])
        products = [_rms(inputs[i], axis) * query for i in sources]
        scores = [product.sum(axis, keepdim=True) for product in products]
    else:
        scores = [torch.zeros((), dtype=inputs[sources[0]].dtype)]
    total = sum(score.exp() for score in scores)
    shares = [score.exp() / total for score in scores]
    if weights.neutral_scale is not None:
        scale = [len(sources) * weights.neutral_scale[place] for place in places]
        shares = [s * share for s, share in zip(scale, shares, strict=True)]
    return dict(zip(sources, shares, strict=True))
