"""Collecting: the weight of every edge for every sample of a data set."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, Subset

from ddw_graph.errors import DataError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.training.collecting import from_rows, positions_of, sample_rows
from ddw_graph.training.collection import (
    Collection,
    check_replaceable,
    open_collection,
)
from ddw_graph.training.evaluation import outputs_for


def collect(
    network: Network,
    samples: Dataset[Any],
    folder: Path | None = None,
    *,
    classes: Sequence[str] = (),
    batch_size: int | None = None,
    workers: int = 0,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    seen: Callable[[Tensor], None] | None = None,
) -> Collection:
    """Evaluates a network on a data set and keeps the weights of every edge.

    Memory holds the weights of all samples, 4 bytes each. With a folder, they are
    written there at the end, and then mapped from disk.

    Args:
        network: The network, in whose precision the samples are evaluated.
        samples: Images with labels, such as ``ImageData.test_inputs()``, or windows of
            a text.
        folder: Where the collection goes.
        classes: Name of each class; none where samples have no classes.
        batch_size: Samples in a batch; by default that of ``default_batch``.
        progress: Called with the number of samples done.
        seen: Called with each batch of samples.

    Raises:
        DataError: If the folder exists and is not to be replaced, a sample cannot be
            read, or there is none.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from ddw_graph import create_model
        >>> network = create_model("randwire_tiny", n=2, num_classes=2)
        >>> images = TensorDataset(torch.zeros(5, 3, 28, 28), torch.arange(5) % 2)
        >>> collect(network, images, classes=("a", "b")).samples
        5
    """
    found = outputs_for(network, samples, batch_size=batch_size, workers=workers)
    price = cost(network, tuple(samples[0][0].shape[-2:]))

    def rows() -> Iterator[Tensor]:
        done = 0
        for output in found:
            yield sample_rows(output, network, price)
            if seen is not None:
                seen(output.images)
            done += len(output.images)
            if progress is not None:
                progress(done)

    if folder is None:
        return from_rows(rows(), network, price, classes)
    check_replaceable(folder, overwrite=overwrite)
    from_rows(rows(), network, price, classes).write(folder, overwrite=overwrite)
    return open_collection(folder)


def keep_positions(
    collection: Collection,
    network: Network,
    samples: Dataset[Any],
    count: int = 8,
    *,
    vocabulary: Sequence[str] = (),
    batch_size: int | None = None,
    workers: int = 0,
) -> Collection:
    """Evaluates a collection's first samples again and keeps their weights by position.

    They go into the collection's folder, in place of those that are there.

    Args:
        collection: The collection, in a folder.
        network: The network that it is of.
        samples: The samples that it is of.
        count: How many are kept; memory holds all of them.
        vocabulary: The text of each token, for samples that are tokens.

    Raises:
        DataError: If the collection is in memory, of another network or other samples,
            or has fewer of them.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> from ddw_graph import create_model
        >>> network = create_model(
        ...     "randwire_tiny", n=2, num_classes=2, edges="dynamic:per=position"
        ... )
        >>> images = TensorDataset(torch.zeros(5, 3, 32, 32), torch.arange(5) % 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     target = Path(folder, "analysis")
        ...     collection = collect(network, images, target, classes=("a", "b"))
        ...     keep_positions(collection, network, images, 3).positions(0).shape
        (3, 6, 16, 16)
    """
    if collection.folder is None:
        raise DataError("positions are kept in a folder, got a collection in memory")
    if not 1 <= count <= collection.samples:
        raise DataError(
            f"positions must be those of 1 to {collection.samples} samples, got {count}"
        )
    if len(samples) != collection.samples:  # type: ignore[arg-type]
        raise DataError(
            f"the samples must be the {collection.samples} of {collection.folder}, got "
            f"{len(samples)}"  # type: ignore[arg-type]
        )
    edges = [list(stage.plan.edges) for stage in network.stages]
    if edges != [list(map(tuple, s.edges.tolist())) for s in collection.stages]:
        raise DataError(
            f"{collection.folder} must hold the collection of this network, got one of "
            "other wirings"
        )
    first = Subset(samples, range(count))
    labels: list[Any] = []

    def kept() -> Iterator[tuple[Tensor, list[Tensor]]]:
        for output in outputs_for(
            network, first, batch_size=batch_size, workers=workers
        ):
            labels.extend([] if output.labels is None else output.labels.tolist())
            yield output.images, output.adjacency

    plans = [stage.plan for stage in network.stages]
    positions = positions_of(kept(), plans, vocabulary)
    if "label" in collection.columns:
        if labels != collection.column("label")[:count].tolist():
            raise DataError(
                f"the samples must be those of {collection.folder}, got others"
            )
    positions.write(collection.folder)
    return open_collection(collection.folder)
