"""Collecting: the weight of every edge for every sample of a data set, on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from torch import Tensor

from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import outputs
from ddw_graph.training.collection import (
    COLUMNS,
    Collection,
    CollectionWriter,
    open_collection,
)
from ddw_graph.training.images import Images
from ddw_graph.training.loading import Hears, batches


def collect(
    model: Network,
    images: Images,
    folder: Path,
    *,
    classes: Sequence[str],
    image_size: int,
    batch_size: int = 250,
    workers: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    bad: Hears | None = None,
    seen: Callable[[Tensor], None] | None = None,
) -> Collection:
    """Evaluates a network on images and keeps the weights of every edge in a folder.

    Memory holds one batch. The folder appears when everything is in it.

    Args:
        model: The network, in whose precision the images are evaluated.
        images: The images.
        folder: Where the collection goes.
        classes: Name of each class.
        image_size: Height and width of an image, pixels.
        batch_size: Images in a batch.
        workers: Processes that load images.
        overwrite: Whether a collection that is there may be replaced.
        progress: Called with samples done and samples in all.
        bad: Called with images that cannot be read, which get no row; an error by
            default.
        seen: Called with each batch of images as the network is given it; its rows are
            the next ones of the collection.

    Raises:
        DataError: If the folder exists and is not to be replaced, or no image can be
            read, or one cannot and ``bad`` is None.
    """
    price = cost(model, image_size)
    loader = batches(images, batch_size, workers=workers, bad=bad)
    batched = ((x, labels) for x, labels in loader if len(x))
    with CollectionWriter(folder, model, price, classes, overwrite=overwrite) as writer:
        for output in outputs(model, batched):
            writer.add(output)
            if seen is not None:
                seen(output.images)
            if progress is not None:
                progress(writer.samples, len(images))
    return open_collection(writer.folder)


def sample_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each sample: what is known of it besides its weights.

    Args:
        collection: What was collected.

    Returns:
        Columns ``sample`` (its row, from 0), ``label`` and ``prediction`` (names of
        classes), ``loss``, ``expected_macs``, those that are known.
    """
    table = pd.DataFrame({"sample": range(collection.samples)})
    names = pd.Series(collection.classes, dtype=object)
    for name in COLUMNS:
        if name in collection.columns:
            column = collection.column(name)
            is_class = name in ("label", "prediction")
            table[name] = names[column].to_numpy() if is_class else column
    return table
