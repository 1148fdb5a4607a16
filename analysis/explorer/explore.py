"""From trained networks and images to the page that shows their wirings."""

from collections.abc import Callable, Mapping

from torch.utils.data import Subset

from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.explorer.page import page
from ddw_graph.analysis.explorer.payload import payload
from ddw_graph.analysis.explorer.thumbnails import Thumbnails
from ddw_graph.errors import DataError
from ddw_graph.nn.network import Network
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.subsets import labels_of, spread_over_classes

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
        networks: One network, or two, by the name that the page shows.
        data: Where the images are from.
        split: ``test`` or ``train``.
        samples: How many images, as many of each class as there are.
        workers: Processes that load images.
        progress: Called with images done and images in all, of all networks.

    Raises:
        DataError: If ``samples`` is below 1, there are more than two networks, or
            every edge of one is constant.
    """
    images = data.test_inputs() if split == "test" else data.train_inputs()
    if samples < 1:
        raise DataError(f"a page needs at least 1 image, got samples={samples}")
    labels = labels_of(images)
    assert labels is not None, "images have labels"
    chosen = spread_over_classes(labels, samples).tolist()
    collections, of = {}, len(networks) * len(chosen)
    for place, (name, network) in enumerate(networks.items()):
        at = place * len(chosen)
        thumbnails = Thumbnails()
        collections[name] = collect(
            network,
            Subset(images, chosen),
            classes=data.classes,
            workers=workers,
            seen=thumbnails.add,
            progress=progress and (lambda done, at=at: progress(at + done, of)),
        )
    about = f"{data.name}, {split}"
    return page(payload(collections, thumbnails, about=about, numbers=chosen))
