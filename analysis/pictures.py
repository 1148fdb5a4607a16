"""Figures: one style, shared parts, files that are the same for the same figure."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import FileError

STYLE = Path(__file__).parent / "ddw_graph.mplstyle"

styled = matplotlib.rc_context(fname=STYLE)
"""Decorates a function that returns a figure: it draws in the project's style."""

MARKERS = "osD^vPX<>"
"""Shapes of points, in turn, where colours are not enough."""

_FORMATS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


def plain(name: str) -> str:
    """Returns a name of the user's as a figure shows it: dollars are no mathematics.

    Example:
        >>> print(plain("cost $5_$7.png"))
        cost \\$5_\\$7.png
    """
    return name.replace("$", r"\$")


def panels(
    rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Figure, np.ndarray]:
    """Returns a figure of some size, inches, and its axes, ``(rows, columns)``.

    Options are ``layout`` of the figure, and those of ``Figure.subplots``.
    """
    figure = Figure(figsize=size, layout=options.pop("layout", "constrained"))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(figure: Figure, axes: Iterable[Axes], *, ncols: int = 2) -> None:
    """Adds one legend for all axes; lines with the same label share an entry."""
    drawn: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    if drawn:
        handles, labels = list(drawn.values()), list(drawn)
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols)


def scale_between(low: float, high: float) -> Normalize:
    """Returns a scale of colours; it has a width even where all numbers are one."""
    return Normalize(low, high if high > low else low + 1e-9)


def scale_around_zero(arrays: Iterable[np.ndarray]) -> Normalize:
    """Returns a scale of colours from -x to x that holds all numbers."""
    reach = max(float(np.abs(array).max(initial=0)) for array in arrays) or 1e-9
    return Normalize(-reach, reach)


def draw_matrices(
    figure: Figure,
    matrices: Mapping[Axes, np.ndarray],
    scale: Normalize,
    cmap: str,
    label: str = "",
    **options: Any,
) -> None:
    """Draws matrices on axes, with one scale of colours and its bar; NaN stays white.

    Options are those of ``Axes.imshow``.
    """
    for ax, matrix in matrices.items():
        ax.imshow(matrix, cmap=cmap, norm=scale, **options)
        ax.grid(False)
    add_colour_bar(figure, scale, cmap, label)


def add_colour_bar(figure: Figure, scale: Normalize, cmap: str, label: str) -> None:
    """Adds a bar of colours beside all axes of a figure."""
    axes = figure.axes
    figure.colorbar(ScalarMappable(scale, cmap), ax=axes, shrink=0.8, label=label)


def check_ending(suffix: str) -> str:
    """Returns the kind of picture that an ending means.

    Raises:
        FileError: If it is no picture's.
    """
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        raise FileError(f"a picture is .png, .svg or .pdf, got {suffix!r}")
    return kind


def rendered(figure: Figure, suffix: str) -> bytes:
    """Returns a figure as the bytes of a file; equal figures give equal bytes.

    Raises:
        FileError: If the suffix is not ``.png``, ``.svg`` or ``.pdf``.
    """
    kind = check_ending(suffix)
    # Without these, SVG and PDF would carry the hour and ids drawn at random.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    stream = io.BytesIO()
    # Colours of the cycle are looked up while drawing, so the style must hold then.
    with matplotlib.rc_context({"svg.hashsalt": "ddw_graph"}, fname=STYLE):
        figure.savefig(stream, format=kind, dpi=150, metadata=undated)
    return stream.getvalue()


def save_figure(figure: Figure, path: Path, *, overwrite: bool = False) -> bool:
    """Writes a figure, by the ending of the name, and returns whether it had to.

    Raises:
        FileError: If the ending is no picture's, or another file is there and may not
            be replaced.
    """
    return write_bytes(path, [rendered(figure, path.suffix)], overwrite=overwrite)
