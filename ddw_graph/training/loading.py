"""Batches of samples, loaded by this process or by others."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ddw_graph.errors import LostError, UserError, reason_of
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.subsets import own_order
from ddw_graph.training.world import World

Collate = Callable[[list[Any]], Any]


def batch_sizes(samples: int, batch_size: int) -> list[int]:
    """Returns the sizes of the batches of a set.

    A last batch of one joins the batch before it: batch normalisation cannot normalise
    one image where its features have one pixel.

    Example:
        >>> batch_sizes(10, 4), batch_sizes(9, 4)
        ([4, 4, 2], [4, 5])
    """
    whole, rest = divmod(samples, batch_size)
    sizes = [batch_size] * whole + [rest] * (rest > 0)
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def shares(samples: int, batch_size: int, world: World) -> list[Tensor]:
    """Returns which samples of a set, in its order, a process has of each batch.

    Empty shares are left out.
    """
    whole = torch.split(torch.arange(samples), batch_sizes(samples, batch_size))
    return [own for batch in whole if len(own := world.share(batch))]


def batches(
    dataset: Dataset[Any],
    batch_size: int,
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
    pin: bool = False,
    collate: Collate | None = None,
) -> Iterator[Any]:
    """Yields the samples of a data set in its order, in batches.

    The last batch may be smaller, or larger by one. Several processes share each batch:
    the first has its first samples, and so on. Empty shares are left out.

    Args:
        batch_size: Samples in a batch, those of all processes.
        workers: Processes that load; 0 for this one.
        pin: Whether to pin batches, so that a GPU copies them while it computes.
        collate: Makes a batch of samples; torch's ``default_collate`` by default.

    Raises:
        UserError: What the data set raises, such as of an image that cannot be read.
        LostError: If a process that loads is killed.
    """
    count = len(dataset)  # type: ignore[arg-type]
    source = _Batches(dataset, None, collate)
    return _loaded(source, shares(count, batch_size, world), workers, pin)


def training_batches(
    dataset: Dataset[Any],
    batch_size: int,
    key: Key,
    *,
    fewest: int = 1,
    start: int = 0,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
    pin: bool = False,
    collate: Collate | None = None,
) -> Iterator[tuple[Any, int]]:
    """Yields the samples of a data set in batches, shuffled by a key.

    What the data set draws from torch's global generator depends on the key and the
    sample's index only, whoever loads it and wherever a run resumes. All processes have
    as many batches. ``batch_sizes`` has the sizes of those of all processes.

    Args:
        dataset: If it has a method ``order``, that returns the order for a key.
        batch_size: See ``batches``, as for all that is not explained here.
        fewest: Samples that each process needs. Where a share has fewer, the first
            samples of the whole batch follow behind it.
        start: Batches to skip; their samples are not loaded.

    Yields:
        A batch, and how many of its samples count: those behind are such stand-ins.
    """
    order = own_order(dataset, key)
    if order is None:
        count = len(dataset)  # type: ignore[arg-type]
        order = torch.randperm(count, generator=key.generator(Purpose.ORDER))
    whole = torch.split(order, batch_sizes(len(order), batch_size))[start:]
    counts, filled = [], []
    for batch in whole:
        own = world.share(batch)
        more = torch.arange(max(0, fewest - len(own))) % len(batch)
        filled.append(torch.cat([own, batch[more]]))
        counts.append(len(own))
    source = _Batches(dataset, key, collate)
    return zip(_loaded(source, filled, workers, pin), counts, strict=True)


def _loaded(
    source: "_Batches", parts: Iterable[Tensor], workers: int, pin: bool
) -> Iterator[Any]:
    """Yields the batch of each part's indices, made here or in other processes."""
    loader: DataLoader[Any] = DataLoader(
        source,
        batch_sampler=(part.tolist() for part in parts),
        num_workers=workers,
        pin_memory=pin,
        collate_fn=_unchanged,
        # Its own, so that making a loader does not draw from the global generator.
        generator=torch.Generator().manual_seed(0),
    )
    with worker_faults():
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch


@contextmanager
def worker_faults() -> Iterator[None]:
    """Reports in one line that a process that loads samples was killed.

    torch raises that error wherever this process happens to be: also within a step.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise LostError(
            "a process that loads images was killed; run the same command again to "
            f"resume, train with --resume ({reason_of(error).rstrip('. ')})"
        ) from error


class Waits:
    """Yields items, and measures how long the caller waits for them.

    Example:
        >>> waits = Waits("ab")
        >>> list(waits), waits.seconds < 1
        (['a', 'b'], True)
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        """Yields the items."""
        began = time.perf_counter()
        for item in self.items:
            self.seconds += time.perf_counter() - began
            yield item
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


class _Batches(Dataset[Any]):
    """Makes batches of a data set, in this process or in a worker.

    The key seeds the global generator for each sample; evaluation has none. A
    ``UserError`` is returned rather than raised: torch would replace the message of one
    that is raised in a worker by a traceback.
    """

    def __init__(
        self, dataset: Dataset[Any], key: Key | None, collate: Collate | None
    ) -> None:
        self.dataset = dataset
        self.key = None if getattr(dataset, "at_once", False) else key
        self.collate = collate or default_collate

    def __getitems__(self, indices: Sequence[int]) -> Any:
        try:
            return self.collate(self._samples(indices))
        except UserError as error:
            return error

    def _samples(self, indices: Sequence[int]) -> list[Any]:
        if self.key is None:
            several: Any = getattr(self.dataset, "__getitems__", None)
            return several(indices) if several else [self.dataset[i] for i in indices]
        samples = []
        # Saved and restored once for all, which takes as long as a small image.
        with torch.random.fork_rng(devices=[]):
            for index in indices:
                self.key.seed_global(Purpose.TRANSFORMS, index)
                samples.append(self.dataset[index])
        return samples


def _unchanged(batch: Any) -> Any:
    return batch
