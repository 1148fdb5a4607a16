"""Pictures of detections: images with their boxes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ddw_graph.analysis.pictures import panels, plain, styled
from ddw_graph.detection.detector import Boxes, Category
from ddw_graph.errors import DataError

COLUMNS = 4
"""Most images in a row."""


class Scene(NamedTuple):
    """An image with its boxes.

    Args:
        title: What is written above it.
        image: Values in ``[0, 1]``; three channels, or one for grey.
        found: Boxes that a detector found: solid, in the colour of their class.
        truth: The annotated boxes, if known: dashed, in white.
    """

    title: str
    image: Float[Tensor, "channels height width"]
    found: Boxes
    truth: Boxes | None = None


@styled
def detection_figure(
    scenes: Sequence[Scene],
    categories: Sequence[Category],
    *,
    score: float,
    title: str = "Detections",
    inches: float = 2.4,
) -> Figure:
    """Returns images with the boxes that were found in them, and the annotated ones.

    Args:
        scenes: The images.
        categories: The detector's.
        score: The least score of a box that is drawn.
        title: Above all of them.
        inches: Width of an image.

    Raises:
        DataError: If there is no image.
    """
    if not scenes:
        raise DataError("a picture of detections needs an image or more, got none")
    columns = min(COLUMNS, len(scenes))
    rows = -(-len(scenes) // columns)
    size = (inches * columns, (inches + 0.2) * rows + 0.4)
    figure, grid = panels(rows, columns, size)
    for ax in grid.flat:
        ax.axis("off")
    for ax, scene in zip(grid.flat, scenes, strict=False):
        pixels = scene.image.permute(1, 2, 0).numpy()
        pixels = np.repeat(pixels, 4 - pixels.shape[2], axis=2)[..., :3]
        ax.imshow(pixels, interpolation="nearest")
        ax.set_title(plain(scene.title), fontsize=7)
        if scene.truth is not None:
            for bounds in scene.truth["boxes"].tolist():
                _draw(ax, bounds, "white", "--")
        found = (scene.found[key].tolist() for key in ("boxes", "labels", "scores"))
        for bounds, label, sure in zip(*found, strict=True):
            if sure >= score:
                words = f"{categories[label - 1].name} {sure:.2f}"
                _draw(ax, bounds, f"C{(label - 1) % 10}", "-", words)
    figure.suptitle(plain(title))
    return figure


def _draw(
    ax: Axes, bounds: Sequence[float], colour: str, line: str, words: str = ""
) -> None:
    """Draws a box of ``x1 y1 x2 y2``, pixels, with words above it."""
    x1, y1, x2, y2 = bounds
    look: dict[str, Any] = {"fill": False, "edgecolor": colour, "linestyle": line}
    # Pixel 0 is drawn from -0.5 to 0.5.
    ax.add_patch(
        Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, linewidth=1.2, **look)
    )
    if words:
        box = {"facecolor": colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        look = {"fontsize": 5, "color": "white", "va": "bottom", "clip_on": True}
        ax.text(x1, y1 - 1, plain(words), bbox=box, **look)
