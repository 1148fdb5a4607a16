"""Synthetic data in COCO's format, to try detection with nothing to download."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddw_graph.atomic import write_bytes
from ddw_graph.detection.composites import Colours, composite, cut_out
from ddw_graph.detection.photographs import (
    TESTING,
    TRAINING,
    Photograph,
    photographs,
)
from ddw_graph.errors import DataError
from ddw_graph.training.data import ImageData, load_data
from ddw_graph.training.images import ArrayImages

DESCRIPTION = (
    "SYNTHETIC composites, no photographs of real scenes: objects of Fashion-MNIST "
    "pasted on photographs that come with scikit-learn and scikit-image"
)

CROP_SCALES = (0.6, 0.95)
"""Side of the one object of a crop, in shares of the crop's."""


@dataclass(frozen=True)
class Synthesis:
    """What synthetic data to make.

    Args:
        train: Images to train on.
        val: Images to test on.
        image_size: Their height and width, pixels.
        objects: Most objects of an image; each number from 1 on is as likely.
        min_scale: Least side of an object, in shares of the image's.
        max_scale: Largest side.
        colour: Whether each object has a colour of its own.
        crops: Images of one object to make of each class too, for training a
            classifier; a quarter as many to test it.
        crop_size: Height and width of a crop, pixels.
        classes: Names of the classes that objects are of; None for all of them.

    Raises:
        DataError: If a value is out of range.
    """

    train: int = 400
    val: int = 100
    image_size: int = 128
    objects: int = 4
    min_scale: float = 0.25
    max_scale: float = 0.55
    colour: bool = True
    crops: int = 0
    crop_size: int = 64
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        scales = 0 < self.min_scale <= self.max_scale <= 1
        for name, rule, holds in (
            ("train", "at least 1", self.train >= 1),
            ("val", "at least 1", self.val >= 1),
            ("image_size", "at least 32", self.image_size >= 32),
            ("objects", "at least 1", self.objects >= 1),
            ("min_scale", "in (0, max_scale] with max_scale up to 1", scales),
            ("crops", "0, or at least 4", self.crops == 0 or self.crops >= 4),
            ("crop_size", "at least 16", self.crop_size >= 16),
            ("classes", "None, or at least one", self.classes != ()),
        ):
            if not holds:
                raise DataError(f"{name} must be {rule}, got {getattr(self, name)}")


def synthesize(
    folder: Path,
    synthesis: Synthesis = Synthesis(),
    *,
    seed: int,
    root: Path | None = None,
) -> dict[str, int]:
    """Writes synthetic data in COCO's format, and returns how many images of each kind.

    ``folder/train`` and ``folder/val`` hold PNG files, ``folder/annotations`` the JSON
    files, whose ``info`` says that the data is synthetic. Objects and backgrounds of
    training and of testing have nothing in common. Crops, if any, are in
    ``folder/crops``, as ``ddw-graph train --data folder`` takes them.

    Args:
        folder: A new or an empty folder.
        synthesis: What to make.
        seed: Fixes all of it, by the same releases to the byte.
        root: Folder of all of Fashion-MNIST, as torchvision lays it; by default the
            objects are those in the package.

    Raises:
        DataError: If the folder is not empty, or objects or photographs are missing.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"synthetic data needs a new or an empty folder, got {folder}")
    if not 0 <= seed < 2**32:
        raise DataError(f"seed must be in [0, 2**32), got {seed}")
    backgrounds = photographs(TRAINING), photographs(TESTING)
    data = load_data("fashion_mnist" if root else "fashion_mnist_mini", root=root)
    labels = _labels(data.classes, synthesis.classes)
    made: dict[str, int] = {}
    pairs = (("train", data.train), ("val", data.test))
    for part, (name, images) in enumerate(pairs):
        assert isinstance(images, ArrayImages)
        source = _Source(images, backgrounds[part], (seed, part))
        count = synthesis.train if name == "train" else synthesis.val
        made[name] = count
        _write_part(folder, name, source, data, labels, count, synthesis, seed)
        if synthesis.crops:
            each = synthesis.crops if name == "train" else synthesis.crops // 4
            place = folder / "crops" / name
            named = {label: data.classes[label] for label in labels}
            _write_crops(place, source, named, each, synthesis)
            made[f"crops_{name}"] = each * len(labels)
    return made


@dataclass(frozen=True)
class _Source:
    """Objects and backgrounds of one part, and what names its draws."""

    images: ArrayImages
    backgrounds: Sequence[Photograph]
    words: tuple[int, int]

    def generator(self, *index: int) -> np.random.Generator:
        """Returns a generator of an image's own."""
        return np.random.default_rng((*self.words, *index))

    def background(
        self, size: int, generator: np.random.Generator
    ) -> tuple[str, Colours]:
        """Returns a part of a photograph, with its name."""
        chosen = self.backgrounds[int(generator.integers(len(self.backgrounds)))]
        return chosen.name, cut_out(chosen.pixels, size, generator)

    def object_of(self, label: int, generator: np.random.Generator) -> int:
        """Returns the place of an object of a class."""
        places = (self.images.labels == label).nonzero()[:, 0]
        if not len(places):
            raise DataError(f"objects of each class are needed, got none of {label}")
        return int(places[int(generator.integers(len(places)))])

    def pixels(self, place: int) -> np.ndarray:
        """Returns an object."""
        return self.images.pixels[place, 0].numpy()


def _write_part(
    folder: Path,
    name: str,
    source: _Source,
    data: ImageData,
    known: Sequence[int],
    count: int,
    synthesis: Synthesis,
    seed: int,
) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        draws = source.generator(0, index)
        background, pixels = source.background(synthesis.image_size, draws)
        number = int(draws.integers(1, synthesis.objects + 1))
        labels = draws.choice(np.array(known), size=number).tolist()
        places = [source.object_of(label, draws) for label in labels]
        image, pasted = composite(
            pixels,
            [source.pixels(place) for place in places],
            draws,
            scales=(synthesis.min_scale, synthesis.max_scale),
            colour=synthesis.colour,
        )
        file = f"{index:06d}.png"
        write_bytes(folder / name / file, [_png(image)], overwrite=False)
        images.append(
            {
                "id": index + 1,
                "file_name": file,
                "width": synthesis.image_size,
                "height": synthesis.image_size,
                "background": background,
            }
        )
        for one in pasted:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": labels[one.place] + 1,
                    "bbox": list(one.bounds),
                    "area": one.area,
                    "iscrowd": 0,
                    "object": places[one.place],
                }
            )
    content = {
        "info": {
            "description": DESCRIPTION,
            "synthetic": True,
            "objects": f"{data.name}, {'training' if name == 'train' else 'test'} part",
            "backgrounds": [photograph.name for photograph in source.backgrounds],
            "seed": seed,
            "settings": asdict(synthesis),
        },
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": label + 1, "name": data.classes[label]} for label in known
        ],
    }
    (folder / "annotations").mkdir(exist_ok=True)
    # Last, so that data which was cut short has no file that tells of it.
    text = json.dumps(content, separators=(",", ":"))
    path = folder / "annotations" / f"instances_{name}.json"
    write_bytes(path, [text.encode(), b"\n"], overwrite=False)


def _write_crops(
    folder: Path,
    source: _Source,
    classes: Mapping[int, str],
    count: int,
    synthesis: Synthesis,
) -> None:
    for label, index, image in _crops(source, list(classes), count, synthesis):
        place = folder / classes[label].replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        write_bytes(place / f"{index:05d}.png", [_png(image)], overwrite=False)


def _crops(
    source: _Source, labels: Sequence[int], count: int, synthesis: Synthesis
) -> Iterator[tuple[int, int, Colours]]:
    for label in labels:
        for index in range(count):
            draws = source.generator(1, label, index)
            _, pixels = source.background(synthesis.crop_size, draws)
            one = source.pixels(source.object_of(label, draws))
            image, _ = composite(
                pixels, [one], draws, scales=CROP_SCALES, colour=synthesis.colour
            )
            yield label, index, image


def _labels(known: Sequence[str], chosen: Sequence[str] | None) -> list[int]:
    """Returns the labels of the classes that are asked for, rising."""
    for name in chosen or ():
        if name not in known:
            raise DataError(f"classes must be of {', '.join(known)}, got {name!r}")
    return [at for at, name in enumerate(known) if chosen is None or name in chosen]


def _png(image: Colours) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()
