"""The content of the page: wirings, results and thumbnails of images, as JSON."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ddw_graph.analysis.explorer.thumbnails import Thumbnails, data_uri
from ddw_graph.analysis.statistics.edges import check_weighted
from ddw_graph.analysis.statistics.samples import unusualness
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

NETWORKS = 2
"""The most networks that a page compares."""


def payload(
    collections: Mapping[str, Collection],
    thumbnails: Thumbnails,
    *,
    about: str,
    numbers: Sequence[int],
) -> dict[str, Any]:
    """Returns what the page shows, ready for JSON.

    Arrays of numbers are float32, little-endian, in base64: exactly what was collected,
    so that the page counts what NumPy does.

    Args:
        collections: Weights for the same images, by the networks' names.
        thumbnails: Those images.
        about: Which images these are.
        numbers: The number of each in its set.

    Raises:
        DataError: If the collections are not of the same images, or of more than
            ``NETWORKS`` networks, or every edge of one is constant, or a weight is not
            finite.
    """
    first = next(iter(collections.values()))
    labels = first.column("label").tolist()
    if len(collections) > NETWORKS:
        raise DataError(
            f"a page shows at most {NETWORKS} networks, got {len(collections)}"
        )
    for name, collection in collections.items():
        same = collection.column("label").tolist() == labels
        if collection.classes != first.classes or not same:
            raise DataError(
                f"both networks must be given the same images, {name} was given others"
            )
    if not len(thumbnails) == len(numbers) == len(labels):
        raise DataError(
            f"every one of {len(labels)} images needs a number and a thumbnail, "
            f"got {len(numbers)} and {len(thumbnails)}"
        )
    png, size, columns = thumbnails.sheet()
    return {
        "about": about,
        "classes": list(first.classes),
        "numbers": list(numbers),
        "labels": labels,
        "thumbnails": {"sheet": data_uri(png), "size": size, "columns": columns},
        "networks": [network(name, each) for name, each in collections.items()],
    }


def network(name: str, collection: Collection) -> dict[str, Any]:
    """Returns what the page shows of one network.

    Args:
        name: What it is called.
        collection: Its weights.

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
    """Returns an array's numbers, row by row, as the page reads them.

    Example:
        >>> encoded(np.array([1.0]))
        'AACAPw=='
    """
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes()).decode()
