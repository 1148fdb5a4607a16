"""How much the wiring of a stage varies: between edges, images and classes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Variation:
    """How the weights of a stage's edges vary over images.

    Args:
        edges: Edges with a weight.
        std: Standard deviation of an edge's weight over images, in the mean of edges.
        image_share: Share of the variance of all weights that lies between images;
            the rest lies between edges. None where all weights are the same.
        class_share: Share of the variance between images that lies between classes.
            None where no weight differs between images.
    """

    edges: int
    std: float
    image_share: float | None
    class_share: float | None


def variation(
    weights: Float[np.ndarray, "images edges"], labels: Int[np.ndarray, " images"]
) -> Variation:
    """Returns how a stage's weights vary.

    The variance of all weights is that of the edges' means and the mean of the edges'
    variances over images; and that over images is that of the means of its classes,
    each counted by its images, and what is left within classes.

    Example:
        >>> variation(np.array([[0.0, 2.0], [2.0, 4.0]]), np.array([0, 1]))
        Variation(edges=2, std=1.0, image_share=0.5, class_share=1.0)
    """
    # From the first image's on, so that weights which do not vary give exactly 0.
    off = weights - weights[:1]
    mean = off.mean(0)
    between_images = ((off - mean) ** 2).mean(0)
    between_classes = np.zeros_like(mean)
    for label in np.unique(labels):
        chosen = off[labels == label]
        between_classes += len(chosen) / len(off) * (chosen.mean(0) - mean) ** 2
    if not weights.shape[1]:
        return Variation(0, 0.0, None, None)
    of_edges = weights[0] + mean
    of_images, of_classes = between_images.mean(), between_classes.mean()
    total = of_images + (of_edges - of_edges[0]).var()
    return Variation(
        weights.shape[1],
        float(np.sqrt(between_images).mean()),
        float(of_images / total) if total else None,
        float(of_classes / of_images) if of_images else None,
    )
