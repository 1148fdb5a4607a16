"""Pictures of detections: images with their boxes, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ddw_graph.analysis.pictures import STYLE, plain
from ddw_graph.detection.detector import Boxes, Category
from ddw_graph.errors import DataError

COLUMNS = 4
"""Most images in a row."""


@dataclass(frozen=True)
class Drawn:
    """A box to draw.

    Args:
        category: Place of its class, which has a colour of its own.
        label: What is written above it.
        bounds: ``x1``, ``y1``, ``x2`` and ``y2``, pixels.
    """

    category: int
    label: str
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """An image with its boxes.

    Args:
        title: What is written above it.
        pixels: Values in ``[0, 1]``; three channels, or one for grey.
        found: Boxes that were found: solid, in the colour of their class.
        truth: Boxes that there are: dashed, in white.
    """

    title: str
    pixels: Float[np.ndarray, "height width channels"]
    found: Sequence[Drawn]
    truth: Sequence[Drawn] = ()


def scene_of(
    title: str,
    image: Tensor,
    found: Boxes,
    categories: Sequence[Category],
    *,
    score: float,
    truth: Boxes | None = None,
) -> Scene:
    """Returns an image with the boxes of a detector.

    Args:
        title: What is written above it.
        image: Values in ``[0, 1]``, ``(channels, height, width)``.
        found: Boxes that the detector found.
        categories: Those of the detector.
        score: Least score of a box.
        truth: Boxes that there are, if known.
    """
    names = [category.name for category in categories]
    there = [] if truth is None else _drawn(truth, names, score)
    pixels = image.permute(1, 2, 0).numpy()
    return Scene(title, pixels, _drawn(found, names, score), there)


def _drawn(boxes: Boxes, names: Sequence[str], score: float) -> list[Drawn]:
    """Returns boxes to draw; those that have a score with it and their class's name."""
    scores = boxes["scores"].tolist() if "scores" in boxes else None
    drawn = []
    pairs = zip(boxes["boxes"].tolist(), boxes["labels"].tolist(), strict=True)
    for place, (bounds, label) in enumerate(pairs):
        words = ""
        if scores is not None:
            if scores[place] < score:
                continue
            words = f"{names[label - 1]} {scores[place]:.2f}"
        drawn.append(Drawn(label - 1, words, tuple(bounds)))
    return drawn


def detection_figure(
    scenes: Sequence[Scene], *, title: str = "Detections", inches: float = 2.4
) -> Figure:
    """Returns images with the boxes that were found in them, and those that there are.

    Args:
        scenes: The images.
        title: Title of the figure.
        inches: Width of an image in it.

    Raises:
        DataError: If there is no image.
    """
    if not scenes:
        raise DataError("a picture of detections needs an image or more, got none")
    columns = min(COLUMNS, len(scenes))
    rows = -(-len(scenes) // columns)
    with matplotlib.rc_context(fname=STYLE):
        size = (inches * columns, (inches + 0.2) * rows + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes:
            ax.axis("off")
        for ax, scene in zip(axes, scenes, strict=False):
            pixels = np.repeat(scene.pixels, 4 - scene.pixels.shape[2], axis=2)[..., :3]
            ax.imshow(pixels, interpolation="nearest")
            ax.set_title(plain(scene.title), fontsize=7)
            for box in scene.truth:
                _draw(ax, box, "white", "--")
            for box in scene.found:
                _draw(ax, box, f"C{box.category % 10}", "-")
        figure.suptitle(plain(title))
    return figure


def _draw(ax: Axes, box: Drawn, colour: str, line: str) -> None:
    x1, y1, x2, y2 = box.bounds
    # Pixel 0 is drawn from -0.5 to 0.5.
    ax.add_patch(
        Rectangle(
            (x1 - 0.5, y1 - 0.5),
            x2 - x1,
            y2 - y1,
            fill=False,
            edgecolor=colour,
            linewidth=1.2,
            linestyle=line,
        )
    )
    if box.label:
        ax.text(
            x1,
            y1 - 1,
            plain(box.label),
            fontsize=5,
            color="white",
            va="bottom",
            clip_on=True,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )
