"""From trained networks and images to the page that shows their wirings."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.explorer.page import page
from ddw_graph.analysis.explorer.payload import payload
from ddw_graph.analysis.explorer.thumbnails import Thumbnails
from ddw_graph.errors import DataError
from ddw_graph.nn.network import Network
from ddw_graph.training.bad_images import hearing
from ddw_graph.training.data import ImageData
from ddw_graph.training.subsets import Subset, spread_over_classes

SAMPLES = 500
"""Images on a page by default."""


def explorer_page(
    networks: Mapping[str, Network],
    data: ImageData,
    *,
    split: str = "test",
    samples: int = SAMPLES,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Returns a page that shows which paths images take through trained networks.

    Args:
        networks: One network, or two, by the name that the page shows; put into
            evaluation mode.
        data: Where the images are from.
        split: ``test`` or ``train``.
        samples: How many images, as many of each class as there are.
        workers: Processes that load images.
        progress: Hears of images done and images in all, of all networks.

    Raises:
        DataError: If ``samples`` is below 1, there are more than two networks, or
            every edge of one is constant.
    """
    images = data.test if split == "test" else data.train
    if samples < 1:
        raise DataError(f"a page needs at least 1 image, got samples={samples}")
    chosen = spread_over_classes(images.labels, samples)
    done = 0
    collections = {}
    with tempfile.TemporaryDirectory(prefix="ddw-graph-explore-") as folder:
        for place, (name, network) in enumerate(networks.items()):
            thumbnails = Thumbnails()
            collections[name] = collect(
                network,
                Subset(images, chosen),
                Path(folder) / str(place),
                classes=data.classes,
                image_size=data.image_size,
                workers=workers,
                bad=hearing(data),
                seen=thumbnails,
                progress=_shifted(progress, done, len(networks)),
            )
            done += len(chosen)
        numbers = _numbers(chosen, len(thumbnails))
        about = f"{data.name}, {split}"
        return page(payload(collections, thumbnails, about=about, numbers=numbers))


def _numbers(chosen: torch.Tensor, read: int) -> list[int]:
    """Returns the number of each image in its set.

    Where some could not be read, which is not known, images are counted as they come.
    """
    return chosen.tolist() if read == len(chosen) else list(range(read))


def _shifted(
    progress: Callable[[int, int], None] | None, before: int, networks: int
) -> Callable[[int, int], None] | None:
    """Returns who hears of one network's progress, as a part of that of all."""
    if progress is None:
        return None
    told = progress
    return lambda done, of: told(before + done, networks * of)
