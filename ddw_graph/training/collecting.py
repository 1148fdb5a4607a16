"""Collecting: what a network returned, as it becomes a collection."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ddw_graph.errors import DataError, ModelError, reason_of
from ddw_graph.nn.checks import check_adjacency, check_count
from ddw_graph.nn.cost import NetworkCost, StageWork, cost
from ddw_graph.nn.edges import kind_name
from ddw_graph.nn.features import Weights, by_sample
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.stage import Stage
from ddw_graph.training.collection import (
    Collection,
    StageEdges,
    checked_columns,
    columns_of,
)
from ddw_graph.training.positions import Positions


def stage_edges(stage: Stage, work: StageWork | None = None) -> StageEdges:
    """Returns the edges of a network's stage; MACs of 0 where work is None."""
    plan = stage.plan
    return StageEdges(
        plan.nodes,
        np.array(plan.edges),
        np.array(plan.constant) | (kind_name(stage.edges) == "fixed"),
        np.array(work.nodes if work else [0] * plan.nodes),
        np.array(work.edges if work else [0] * len(plan.edges)),
    )


def collection_of(
    adjacency: Tensor | Sequence[Tensor],
    model: nn.Module,
    *,
    logits: Float[Tensor, "samples classes"] | None = None,
    labels: Int[Tensor, " samples"] | None = None,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    inputs: Tensor | None = None,
) -> Collection:
    """Returns the collection of what a network returned, in memory.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.
        logits: What the model returned for the same images: gives ``prediction``, and
            with ``labels`` ``loss``.
        labels: The class of each sample.
        classes: Names of the classes; by default their numbers.
        image_size: Height and width of the images, pixels: gives ``expected_macs`` of a
            ``Network``.
        inputs: The images or tokens that the model was given: the collection then keeps
            them, and the weights by position, of every sample.

    Raises:
        ModelError: If the adjacency does not fit the model's stages.
        DataError: If logits, labels or inputs do not fit the samples or the classes.

    Example:
        >>> from ddw_graph import create_model
        >>> network = create_model("randwire_tiny", n=2, num_classes=10)
        >>> images = torch.zeros(5, 3, 28, 28)
        >>> logits, adjacency = network(images, return_adjacency=True)
        >>> collection = collection_of(adjacency, network, logits=logits)
        >>> collection.samples, collection.column("prediction").shape
        (5, (5,))
    """
    pairs = stage_adjacencies(adjacency, model)
    price = None
    if image_size is not None:
        if not isinstance(model, Network):
            raise ModelError(
                "MACs by image_size are those of a Network, got "
                f"{type(model).__name__}; leave image_size out"
            )
        price = cost(model, image_size)
    samples = len(pairs[0][1])
    for name, given in (("logits", logits), ("labels", labels), ("inputs", inputs)):
        if given is not None and len(given) != samples:
            raise DataError(
                f"{name} must be those of {samples} samples, got {len(given)}"
            )
    if classes is None:
        count = int(labels.max()) + 1 if labels is not None and samples else 0
        count = max(count, 0 if logits is None else logits.shape[1])
        classes = [str(number) for number in range(count)]
    columns: dict[str, Tensor] = {}
    if labels is not None:
        columns["label"] = labels
    if logits is not None:
        columns["prediction"] = logits.argmax(1)
        if labels is not None:
            columns["loss"] = functional.cross_entropy(
                logits, labels.to(logits.device), reduction="none"
            )
    if price is not None:
        columns["expected_macs"] = price.expected_macs([m for _, m in pairs])
    arrays = tuple(sample_weights(m, s.plan).cpu().numpy() for s, m in pairs)
    kept = None
    if inputs is not None:
        batch = inputs, [matrix for _, matrix in pairs]
        kept = positions_of([batch], [stage.plan for stage, _ in pairs])
    work = price.work if price else [None] * len(pairs)
    numbers = {name: c.detach().cpu().double().numpy() for name, c in columns.items()}
    return Collection(
        tuple(stage_edges(s, w) for (s, _), w in zip(pairs, work, strict=True)),
        arrays,
        checked_columns(numbers, len(classes), "a collection"),
        tuple(classes),
        _other_macs(price) if price else 0,
        kept=kept,
    )


@torch.no_grad()
def sample_rows(
    output: Output, network: Network, price: NetworkCost
) -> Float[Tensor, "rows columns"]:
    """Returns what is collected of a batch, a row for each sample, on its device.

    In float64: a number for each edge of each stage, then the columns of
    ``columns_of``. Samples with a prediction at each position, such as windows of a
    text, have no class; their loss is the mean over positions.

    Raises:
        DataError: If the batch has no labels.
    """
    if output.labels is None:
        raise DataError("a collection needs batches of samples and labels, got samples")
    logits, labels = output.logits, output.labels
    loss = functional.cross_entropy(
        logits.movedim(-1, 1), labels, reduction="none"
    ).reshape(len(labels), -1)
    known: tuple[Tensor, ...] = (loss.mean(1),)
    if logits.ndim == 2:
        known = (labels, logits.argmax(1), *known)
    pairs = zip(output.adjacency, network.stages, strict=True)
    weights = [sample_weights(matrix, stage.plan) for matrix, stage in pairs]
    known = (*known, price.expected_macs(output.adjacency))
    columns = (*weights, *(each[:, None] for each in known))
    return torch.cat([column.double() for column in columns], 1)


def from_rows(
    rows: Iterable[Float[Tensor, "_ columns"]],
    network: Network,
    price: NetworkCost,
    classes: Sequence[str] = (),
) -> Collection:
    """Returns the collection of batches of ``sample_rows``, in memory.

    Raises:
        DataError: If samples have classes and there are no names of them, or the other
            way round.
    """
    stages = tuple(map(stage_edges, network.stages, price.work))
    ends, names = np.cumsum([len(stage.edges) for stage in stages]), columns_of(classes)
    parts = []
    for each in rows:
        *weights, known = np.split(each.cpu().numpy(), ends, axis=1)
        if known.shape[1] != len(names):
            raise DataError(
                f"a collection of samples {'with' if classes else 'without'} classes "
                f"needs {' '.join(names)} of each, got {known.shape[1]} numbers"
            )
        parts.append([*(array.astype(np.float32) for array in weights), known])
    *arrays, known = map(np.concatenate, zip(*parts, strict=True))
    return Collection(
        stages,
        tuple(arrays),
        checked_columns(
            dict(zip(names, known.T, strict=True)), len(classes), "a collection"
        ),
        tuple(classes),
        _other_macs(price),
    )


def positions_of(
    batches: Iterable[tuple[Tensor, Sequence[Tensor]]],
    plans: Sequence[StagePlan],
    vocabulary: Sequence[str] = (),
) -> Positions:
    """Returns the weights by position of batches of samples.

    Args:
        batches: What the network was given, and the adjacency that it returned.
        vocabulary: The text of each token.

    Raises:
        DataError: If samples have different positions, or a token is not in the
            vocabulary.
    """
    parts = []
    for inputs, adjacency in batches:
        kind = torch.float32 if inputs.is_floating_point() else torch.int64
        pairs = zip(adjacency, plans, strict=True)
        weights = [position_weights(*pair).cpu().numpy() for pair in pairs]
        parts.append([inputs.detach().to("cpu", kind).numpy(), *weights])
    try:
        kept, *arrays = map(np.concatenate, zip(*parts, strict=True))
    except ValueError as error:
        raise DataError(
            f"all samples must have the same positions: {reason_of(error)}"
        ) from error
    return Positions(tuple(arrays), kept, tuple(vocabulary))


def edge_weights(matrix: Tensor, plan: StagePlan) -> Weights:
    """Returns the weights in a stage's adjacency, detached, in float32 or float64.

    Shapes:
        - matrix: ``(batch, N, N, ...)``
        - output: ``(batch, edges, ...)``, in the wiring's order of edges
    """
    sources, targets = plan.ends
    values = matrix.detach()[:, targets, sources]
    # NumPy has no bfloat16, and in it a mean would be rounded.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def position_weights(
    matrix: Tensor, plan: StagePlan
) -> Float[Tensor, "batch edges *positions"]:
    """Returns the weights of ``edge_weights`` averaged over channels.

    Without axes of positions where weights do not differ along them.
    """
    values = edge_weights(matrix, plan)
    if values.ndim > 2:
        values = values.mean(2 if plan.channel_axis == 1 else -1)
    return values if values.shape[2:].numel() > 1 else values.flatten(1)


def stage_adjacencies(
    adjacency: Tensor | Sequence[Tensor], model: nn.Module
) -> list[tuple[Stage, Tensor]]:
    """Returns each stage of a model with its adjacency, which must fit the stages."""
    stages = _stages(model)
    if not stages:
        raise ModelError(
            "model must be a Stage or contain stages, the one that returned the "
            f"adjacency, got {type(model).__name__}"
        )
    matrices = [adjacency] if isinstance(adjacency, Tensor) else list(adjacency)
    check_count(matrices, len(stages))
    pairs = list(zip(stages, matrices, strict=True))
    for place, (stage, matrix) in enumerate(pairs, start=1):
        check_adjacency(matrix, stage.plan, f"stage {place}")
    batches = [len(matrix) for matrix in matrices]
    if len(set(batches)) > 1:
        raise ModelError(
            "adjacency must hold the same samples for each stage, got "
            f"{', '.join(map(str, batches))} samples"
        )
    return pairs


def sample_weights(matrix: Tensor, plan: StagePlan) -> Float[Tensor, "batch edges"]:
    """Returns the weights of ``edge_weights`` averaged to one for each sample."""
    return by_sample(edge_weights(matrix, plan))


def _stages(module: nn.Module) -> list[Stage]:
    """Returns the stages in a module, in the order in which it holds them.

    A stage within another's operation does not count: no adjacency is returned of it.
    """
    if isinstance(module, Stage):
        return [module]
    return [stage for child in module.children() for stage in _stages(child)]


def _other_macs(price: NetworkCost) -> int:
    ends = price.parts[0].total_macs + price.parts[-1].total_macs
    return ends + sum(work.terminals for work in price.work)
