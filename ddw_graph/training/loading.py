"""Batches of images, loaded by this process or by others."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ddw_graph.errors import DataError, LostError, RunError, UserError
from ddw_graph.training.augmentation import PLAIN, Augmentation
from ddw_graph.training.encoded import BadImage, BadImagesError
from ddw_graph.training.images import Batch, Images, shuffled
from ddw_graph.training.keys import Key

Hears = Callable[[Sequence[BadImage]], None]
"""Hears of the images that a batch is without, in the order of batches."""

Item = TypeVar("Item")


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """Returns the sizes of the batches of a set.

    A last batch of one joins the batch before it: batch normalisation has nothing to
    normalise one image by where its features are of one pixel.

    Example:
        >>> batch_sizes(10, 4), batch_sizes(9, 4)
        ([4, 4, 2], [4, 5])
    """
    whole, rest = divmod(images, batch_size)
    sizes = [batch_size] * whole + [rest] * (rest > 0)
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def batches(
    images: Images,
    batch_size: int,
    *,
    shuffle: Key | None = None,
    augment: bool = False,
    augmentation: Augmentation = PLAIN,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
    bad: Hears | None = None,
    pin: bool = False,
) -> Iterator[Batch]:
    """Yields the images in batches; the last may be smaller, or larger by one.

    Several processes share each batch: the first has its first images, and so on. All
    have as many batches, of which some may have no image for one of them.

    Args:
        images: The images.
        batch_size: Images in a batch, those of all processes.
        shuffle: Names the order; None for that of the set.
        augment: Whether to augment; needs ``shuffle``.
        augmentation: What is done beside flips, shifts and crops.
        workers: Processes that load; 0 for this one.
        rank: Which of the processes that share the batches.
        world_size: How many they are.
        start: Batches to leave out; their images are not loaded.
        bad: Hears of images that cannot be read. Batches are then without them, and
            may be empty; the first of them is an error by default.
        pin: See ``loaded``.

    Raises:
        DataError: If an image cannot be read, and nobody hears of it.
        LostError: If the system cannot read one for a reason that passes, or a process
            that loads is killed.
    """
    if not 0 <= rank < world_size:
        raise RunError(f"rank must be in [0, {world_size}), got {rank}")
    if start < 0:
        raise RunError(f"start must be at least 0, got {start}")
    order = torch.arange(len(images)) if shuffle is None else shuffled(images, shuffle)
    sizes = batch_sizes(len(order), batch_size)
    rest = order[sum(sizes[:start]) :]
    made = _Batched(images, shuffle if augment else None, augmentation)
    parts = _Parts(rest, sizes[start:], rank, world_size)
    for batch, without in loaded(made, parts, workers=workers, pin=pin):
        if without and bad is None:
            raise BadImagesError(without, batch)
        if without and bad is not None:
            bad(without)
        yield batch


def loaded(
    batches: Dataset[Any],
    parts: Iterable[list[int]],
    *,
    workers: int,
    pin: bool = False,
) -> Iterator[Any]:
    """Yields batches as a data set makes them, here or in processes that load.

    Args:
        batches: Makes a whole batch of several indices, or hands over a ``UserError``:
            one that crosses from a worker loses its words to a traceback, so it comes
            as a value instead.
        parts: The indices of each batch.
        workers: Processes that load; 0 for this one.
        pin: Whether batches are put where a GPU copies them from beside other work.

    Raises:
        UserError: What was handed over.
        LostError: If a process that loads is killed.
    """
    loader: DataLoader[Any] = DataLoader(
        batches,
        batch_sampler=parts,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=_as_it_is,
        # Of its own, so that making a loader leaves the global generator alone.
        generator=torch.Generator().manual_seed(0),
    )
    with worker_faults():
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch


@contextmanager
def worker_faults() -> Iterator[None]:
    """Says in one line that a process that loads images was killed.

    torch tells of it wherever this process happens to be: also in the midst of a step.

    Raises:
        LostError: If one was.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        reason = " ".join(str(error).split()).rstrip(". ")
        raise LostError(
            "a process that loads images has gone; the same command goes on, that of "
            f"train with --resume ({reason})"
        ) from error


class Waits(Generic[Item]):
    """Hands on what it is given, and measures how long that is waited for.

    Args:
        items: What to hand on.

    Example:
        >>> waits = Waits("ab")
        >>> list(waits), waits.seconds < 1
        (['a', 'b'], True)
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Item]:
        """Yields the items."""
        began = time.perf_counter()
        for item in self.items:
            self.seconds += time.perf_counter() - began
            yield item
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


class _Parts(Sampler[list[int]]):
    """The part of one process of each batch, listed when it is asked for."""

    def __init__(self, order: Tensor, sizes: list[int], rank: int, count: int) -> None:
        self.order, self.sizes = order, sizes
        self.rank, self.count = rank, count

    def __iter__(self) -> Iterator[list[int]]:
        for batch in torch.split(self.order, self.sizes):
            yield batch.tensor_split(self.count)[self.rank].tolist()

    def __len__(self) -> int:
        return len(self.sizes)


class _Batched(Dataset[Tensor]):
    """Hands whole batches to a DataLoader, whose workers may be other processes."""

    def __init__(
        self, images: Images, key: Key | None, augmentation: Augmentation
    ) -> None:
        self.images = images
        self.key = key
        self.augmentation = augmentation

    def __getitems__(
        self, indices: list[int]
    ) -> tuple[Batch, tuple[BadImage, ...]] | UserError:
        try:
            return self.images.batch(indices, self.key, self.augmentation), ()
        except BadImagesError as error:
            return error.rest, error.bad
        except (DataError, LostError) as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch
