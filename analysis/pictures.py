"""Figures: one style, files of known kinds, the same bytes for the same figure."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
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


def legend_below(figure: Figure, panels: Iterable[Axes], *, ncols: int = 2) -> None:
    """Adds one legend for all panels; lines with the same label share an entry."""
    drawn: dict[str, Any] = {}
    for ax in panels:
        handles, labels = ax.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    if drawn:
        handles, labels = list(drawn.values()), list(drawn)
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols)


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

    Args:
        figure: The figure.
        suffix: ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        FileError: If the suffix is another.
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
