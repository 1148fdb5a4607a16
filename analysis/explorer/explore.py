"""From trained networks and images to the page that shows their wirings."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch.utils.data import Subset

from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.explorer.page import page
from ddw_graph.analysis.explorer.thumbnails import Thumbnails
from ddw_graph.analysis.statistics.edges import check_weighted
from ddw_graph.analysis.statistics.samples import unusualness
from ddw_graph.errors import DataError
from ddw_graph.nn.network import Network
from ddw_graph.training.collection import Collection
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.subsets import labels_of, spread_over_classes

SAMPLES = 500
"""Images on a page by default."""

NETWORKS = 2
"""The most networks that a page compares."""


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
        DataError: If ``samples`` is below 1, there are more than two networks, every
            edge of one is constant, or a weight is not finite.
    """
    if len(networks) > NETWORKS:
        raise DataError(
            f"a page shows at most {NETWORKS} networks, got {len(networks)}"
        )
    if samples < 1:
        raise DataError(f"a page needs at least 1 image, got samples={samples}")
    images = data.test_inputs() if split == "test" else data.train_inputs()
    labels = labels_of(images)
    assert labels is not None, "images have labels"
    chosen = spread_over_classes(labels, samples)
    shown, of = [], len(networks) * len(chosen)
    for place, (name, network) in enumerate(networks.items()):
        at = place * len(chosen)
        thumbnails = Thumbnails()
        collection = collect(
            network,
            Subset(images, chosen.tolist()),
            classes=data.classes,
            workers=workers,
            seen=thumbnails.add,
            progress=progress and (lambda done, at=at: progress(at + done, of)),
        )
        shown.append(network_content(name, collection))
    content = {
        "about": f"{data.name}, {split}",
        "classes": list(data.classes),
        "numbers": chosen.tolist(),
        "labels": collection.column("label").tolist(),
        "thumbnails": thumbnails.sheet(),
        "networks": shown,
    }
    return page(content)


def network_content(name: str, collection: Collection) -> dict[str, Any]:
    """Returns what the page shows of one network, ready for JSON.

    Raises:
        DataError: If every edge is constant, or a weight is not finite.
    """
    check_weighted(collection, name)
    for place, array in enumerate(collection.arrays):
        if not np.isfinite(array).all():
            raise DataError(
                f"weights must be finite, some of stage {place + 1} of {name} are not"
            )
    return {
        "name": name,
        "otherMacs": collection.other_macs,
        "predictions": collection.column("prediction").tolist(),
        "losses": encoded(collection.column("loss")),
        "unusualness": encoded(unusualness(collection)),
        "stages": [
            {
                "nodes": stage.nodes,
                "edges": stage.edges.tolist(),
                "constant": stage.constant.tolist(),
                "nodeMacs": stage.node_macs.tolist(),
                "edgeMacs": stage.edge_macs.tolist(),
                "weights": encoded(array),
            }
            for stage, array in zip(collection.stages, collection.arrays, strict=True)
        ],
    }


def encoded(array: np.ndarray) -> str:
    """Returns numbers as the page reads them: float32, little-endian, in base64.

    These are exactly what was collected, so that the page counts what NumPy does.

    Example:
        >>> encoded(np.array([1.0]))
        'AACAPw=='
    """
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes()).decode()
