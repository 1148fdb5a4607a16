"""Synthetic images: small grey objects, scaled, coloured and pasted on photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from scipy.ndimage import binary_fill_holes

from ddw_graph.errors import DataError

INK = 8
"""Grey from which on a pixel belongs to an object, in ``[0, 255]``."""

DARKEST = 0.2
"""Share of its colour that the darkest pixel of an object has."""

TRIES = 50
"""Places that are drawn for an object before it is left out."""

Grey = UInt8[np.ndarray, "_ _"]
Colours = UInt8[np.ndarray, "_ _ 3"]
Bounds = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pasted:
    """An object in a composite.

    Args:
        place: Its place among the objects that were given.
        bounds: ``x``, ``y``, width and height of the pixels that it covers.
        area: How many they are.
    """

    place: int
    bounds: Bounds
    area: int


def composite(
    background: Colours,
    objects: Sequence[Grey],
    generator: np.random.Generator,
    *,
    scales: tuple[float, float],
    colour: bool,
) -> tuple[Colours, list[Pasted]]:
    """Returns a background with objects on it, and where they are.

    Each object is scaled, flipped left to right or not, and pasted where its box
    touches no other's; where none of ``TRIES`` places is free it is left out.

    Args:
        background: The image; stays as it is.
        objects: Bright on black.
        generator: Draws scales, places and colours.
        scales: Least and largest side of an object, in shares of the image's shorter
            side, in ``(0, 1]``.
        colour: Whether each object has a colour of its own.

    Raises:
        DataError: If a scale is out of range.

    Example:
        >>> black = np.zeros((32, 32, 3), np.uint8)
        >>> square = np.pad(np.full((8, 8), 255, np.uint8), 4)
        >>> draws = np.random.default_rng(0)
        >>> image, (one,) = composite(
        ...     black, [square], draws, scales=(0.5, 0.5), colour=False
        ... )
        >>> one.bounds[2:], one.area, int((image > 0).all(2).sum())
        ((8, 8), 64, 64)
    """
    if not 0 < scales[0] <= scales[1] <= 1:
        raise DataError(f"scales must be rising and in (0, 1], got {scales}")
    image = background.copy()
    height, width = image.shape[:2]
    pasted: list[Pasted] = []
    for place, pixels in enumerate(objects):
        side = max(4, round(generator.uniform(*scales) * min(height, width)))
        if generator.random() < 0.5:
            pixels = pixels[:, ::-1]
        grey, mask = _scaled(pixels, side)
        tint = generator.uniform(0.3, 1, 3) if colour else np.ones(3)
        # One channel at its full, so that no object is dark as a whole.
        tint = tint / tint.max()
        rows, columns = mask.shape
        if rows > height or columns > width:
            continue
        for _ in range(TRIES):
            y = int(generator.integers(height - rows + 1))
            x = int(generator.integers(width - columns + 1))
            bounds = x, y, columns, rows
            if not any(_overlap(bounds, other.bounds) for other in pasted):
                break
        else:
            continue
        values = DARKEST + (1 - DARKEST) * grey[..., None] / 255
        colours = np.rint(255 * values * tint).astype(np.uint8)
        part = image[y : y + rows, x : x + columns]
        part[mask] = colours[mask]
        pasted.append(Pasted(place, bounds, int(mask.sum())))
    return image, pasted


def cut_out(photograph: Colours, size: int, generator: np.random.Generator) -> Colours:
    """Returns a square part of a photograph, at a scale that is drawn.

    Args:
        photograph: The photograph.
        size: Height and width of what is returned, pixels.
        generator: Draws side, place and whether it is flipped left to right.
    """
    height, width = photograph.shape[:2]
    most = min(height, width)
    side = int(generator.integers(min(size, most), most + 1))
    y = int(generator.integers(height - side + 1))
    x = int(generator.integers(width - side + 1))
    part = photograph[y : y + side, x : x + side]
    if generator.random() < 0.5:
        part = part[:, ::-1]
    scaled = Image.fromarray(part).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(scaled)


def _scaled(pixels: Grey, side: int) -> tuple[Grey, Bool[np.ndarray, "_ _"]]:
    """Returns an object at a size and the pixels that it covers, cut to these."""
    whole = binary_fill_holes(pixels >= INK)
    stencil = Image.fromarray(255 * whole.astype(np.uint8))
    size, way = (side, side), Image.Resampling.BILINEAR
    mask = np.asarray(stencil.resize(size, way)) >= 128
    if not mask.any():
        raise DataError(f"an object must cover a pixel at {side} px, got none")
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, way))
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return grey[part], mask[part]


def _overlap(one: Bounds, other: Bounds) -> bool:
    return all(
        one[axis] < other[axis] + other[axis + 2]
        and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )
