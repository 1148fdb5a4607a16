"""Photographs that come with scikit-learn and scikit-image, for backgrounds."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ddw_graph.errors import DataError
from ddw_graph.training.pictures import decoded

PACKAGES = {"sklearn": "datasets/images", "skimage": "data"}
"""Where photographs lie in each package; none of them is downloaded."""

TRAINING = (
    "sklearn/china.jpg",
    "sklearn/flower.jpg",
    "skimage/astronaut.png",
    "skimage/rocket.jpg",
    "skimage/brick.png",
    "skimage/grass.png",
    "skimage/gravel.png",
)
TESTING = ("skimage/coffee.png", "skimage/chelsea.png", "skimage/camera.png")
"""Backgrounds for training and for testing have no photograph in common."""


@dataclass(frozen=True)
class Photograph:
    """A photograph.

    Args:
        name: Package and file.
        pixels: 0 to 255; one in grey has three equal channels.
    """

    name: str
    pixels: UInt8[np.ndarray, "height width 3"]


def photographs(names: tuple[str, ...]) -> list[Photograph]:
    """Returns photographs of the installed packages.

    Args:
        names: Package and file of each, such as ``skimage/coffee.png``.

    Raises:
        DataError: If a package is not installed, or comes without the file.
    """
    found = []
    for name in names:
        package, _, file = name.partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise DataError(
                "synthetic images need the photographs of scikit-learn and "
                f"scikit-image, and {package} is not installed: pip install "
                "'ddw_graph[detection]'"
            )
        path = Path(spec.origin).parent / PACKAGES[package] / file
        try:
            pixels = np.asarray(decoded(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{package} must come with the photograph {path}, got {error}"
            ) from error
        found.append(Photograph(name, pixels))
    return found
