"""Writes SYNTHETIC data in COCO's format, to try detection with nothing to download.

    python tools/make_detection_data.py composites
    python tools/make_detection_data.py crops --crops 300 --train 600 --seed 1

Objects of Fashion-MNIST are scaled, coloured and pasted on photographs that come with
scikit-learn and scikit-image. ``OUT/train`` and ``OUT/val`` hold PNG files,
``OUT/annotations`` the JSON files, ``OUT/crops`` images of single objects by class,
for ``ddw-graph train --data folder --root OUT/crops``. Training and validation have no
object and no photograph in common. The same seed gives the same bytes with the same
releases.
"""

import argparse
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes

from ddw_graph.training import data

PHOTOGRAPHS = {
    "train": "china.jpg flower.jpg astronaut.png rocket.jpg brick.png grass.png "
    "gravel.png",
    "val": "coffee.png chelsea.png camera.png",
}
FOLDERS = {"sklearn": "datasets/images", "skimage": "data"}
"""Where photographs are in each package."""

SCALES, CROP_SCALES = (0.25, 0.55), (0.6, 0.95)
"""Smallest and largest side of an object, as a fraction of the image's."""

OBJECTS, TRIES = 4, 50
"""Most objects of an image; places that are drawn for each before it is left out."""

INK, DARKEST = 8, 0.2
"""Least grey value of an object; fraction of its colour that its darkest pixel has."""

Bounds = tuple[int, int, int, int]


class Source(NamedTuple):
    """Objects, photographs, and the seed of one part's draws."""

    objects: np.ndarray
    labels: np.ndarray
    photographs: Sequence[np.ndarray]
    seed: tuple[int, int]

    def background(self, size: int, random: np.random.Generator) -> np.ndarray:
        """Returns a square part of a photograph, scaled to ``size``."""
        photograph = self.photographs[int(random.integers(len(self.photographs)))]
        height, width = photograph.shape[:2]
        most = min(height, width)
        side = int(random.integers(min(size, most), most + 1))
        y = int(random.integers(height - side + 1))
        x = int(random.integers(width - side + 1))
        part = photograph[y : y + side, x : x + side]
        if random.random() < 0.5:
            part = part[:, ::-1]
        return _resized(part, size)

    def object_of(self, label: int, random: np.random.Generator) -> int:
        """Returns the index of an object of a class."""
        return int(random.choice(np.flatnonzero(self.labels == label)))


def sources(seed: int, root: Path | None) -> dict[str, Source]:
    """Returns what both parts are made of; ``root`` holds all of Fashion-MNIST."""
    found = {}
    for place, (part, split) in enumerate((("train", "train"), ("val", "test"))):
        if root is None:
            with np.load(data.EMBEDDED, allow_pickle=False) as file:
                objects, labels = file[f"{split}_images"], file[f"{split}_labels"]
        else:
            from torchvision.datasets import FashionMNIST  # slow to import

            images = FashionMNIST(root, train=part == "train")
            objects, labels = images.data.numpy(), images.targets.numpy()
        photographs = [photograph(name) for name in PHOTOGRAPHS[part].split()]
        found[part] = Source(objects, labels, photographs, (seed, place))
    return found


def composite(
    background: np.ndarray,
    objects: Sequence[np.ndarray],
    random: np.random.Generator,
    scales: tuple[float, float],
) -> tuple[np.ndarray, list[tuple[int, Bounds, int]]]:
    """Returns a background with objects on it, and where they are.

    Where is: an object's place among the objects, its tight box (x, y, width, height)
    and how many pixels it covers. Objects are scaled, coloured, flipped left to right
    or not, and do not touch; one is left out if none of ``TRIES`` places is free.
    """
    image = background.copy()
    height, width = image.shape[:2]
    pasted: list[tuple[int, Bounds, int]] = []
    for place, pixels in enumerate(objects):
        side = max(4, round(random.uniform(*scales) * min(height, width)))
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        mask = _resized(255 * binary_fill_holes(pixels >= INK).astype(np.uint8), side)
        mask = mask >= 128
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        tight = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        grey, mask = _resized(pixels, side)[tight], mask[tight]
        tint = random.uniform(0.3, 1, 3)
        tint /= tint.max()  # so that no object is dark as a whole
        h, w = mask.shape
        for _ in range(TRIES):
            y = int(random.integers(height - h + 1))
            x = int(random.integers(width - w + 1))
            others = [bounds for _, bounds, _ in pasted]
            if all(
                x + w <= left or left + across <= x or y + h <= top or top + down <= y
                for left, top, across, down in others
            ):
                break
        else:
            continue
        values = DARKEST + (1 - DARKEST) * grey[..., None] / 255
        colours = np.rint(255 * values * tint).astype(np.uint8)
        image[y : y + h, x : x + w][mask] = colours[mask]
        pasted.append((place, (x, y, w, h), int(mask.sum())))
    return image, pasted


def write_part(
    out: Path, part: str, source: Source, count: int, size: int, classes: Sequence[int]
) -> None:
    """Writes images of several objects, then the JSON file that describes them."""
    (out / part).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        random = np.random.default_rng((*source.seed, 0, index))
        background = source.background(size, random)
        number = int(random.integers(1, OBJECTS + 1))
        labels = random.choice(np.array(classes), size=number).tolist()
        chosen = [source.object_of(label, random) for label in labels]
        objects = [source.objects[each] for each in chosen]
        image, pasted = composite(background, objects, random, SCALES)
        file = f"{index:06d}.png"
        Image.fromarray(image).save(out / part / file)
        sizes = {"width": size, "height": size}
        images.append({"id": index + 1, "file_name": file, **sizes})
        annotations += [
            {
                "id": len(annotations) + number,
                "image_id": index + 1,
                "category_id": labels[place] + 1,
                "bbox": list(bounds),
                "area": area,
                "iscrowd": 0,
                "object": chosen[place],
            }
            for number, (place, bounds, area) in enumerate(pasted, start=1)
        ]
    info = {"synthetic": True, "seed": source.seed[0], "photographs": PHOTOGRAPHS[part]}
    content = {
        "info": info | {"description": str(__doc__).partition("\n")[0]},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": n + 1, "name": data.CLOTHES[n]} for n in classes],
    }
    (out / "annotations").mkdir(exist_ok=True)
    path = out / "annotations" / f"instances_{part}.json"
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")


def write_crops(
    out: Path, source: Source, count: int, size: int, classes: Sequence[int]
) -> None:
    """Writes images of one object each, in a folder for each class."""
    for label in classes:
        folder = out / data.CLOTHES[label].replace("/", "_")
        folder.mkdir(parents=True)
        for index in range(count):
            random = np.random.default_rng((*source.seed, 1, label, index))
            background = source.background(size, random)
            pixels = source.objects[source.object_of(label, random)]
            image, _ = composite(background, [pixels], random, CROP_SCALES)
            Image.fromarray(image).save(folder / f"{index:05d}.png")


def photograph(name: str) -> np.ndarray:
    """Returns a photograph of the installed packages, ``(height, width, 3)``."""
    for package, folder in FOLDERS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{package} is needed: pip install -e '.[detection]'")
        path = Path(spec.origin).parent / folder / name
        if path.exists():
            return np.asarray(Image.open(path).convert("RGB"))
    raise SystemExit(f"{name} is in neither of {', '.join(FOLDERS)}")


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes what the command line asks for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("out", type=Path, help="a new folder")
    for name, default, words in (
        ("train", 400, "images for training"),
        ("val", 100, "images for validation"),
        ("image-size", 128, "pixels of an image"),
        ("crops", 0, "images of one object for each class; a fourth for validation"),
        ("crop-size", 64, "pixels of a crop"),
        ("seed", 0, "fixes all of it"),
    ):
        words = f"{words} (default {default})"
        parser.add_argument(f"--{name}", type=int, default=default, help=words)
    words = "of objects, may be repeated (default: all ten)"
    parser.add_argument("--class", action="append", choices=data.CLOTHES, help=words)
    parser.add_argument("--root", type=Path, help="folder of all of Fashion-MNIST")
    given = parser.parse_args(arguments)
    if min(given.image_size, given.crop_size) < 16 or given.seed < 0:
        parser.error("sizes must be at least 16 and seed at least 0")
    if given.out.exists():
        parser.error(f"OUT must be a new folder, got {given.out}")
    chosen = vars(given)["class"] or data.CLOTHES
    classes = [place for place, name in enumerate(data.CLOTHES) if name in chosen]
    for part, source in sources(given.seed, given.root).items():
        count, size = vars(given)[part], given.image_size
        write_part(given.out, part, source, count, size, classes)
        crops = given.crops if part == "train" else given.crops // 4
        if crops:
            folder = given.out / "crops" / part
            write_crops(folder, source, crops, given.crop_size, classes)
    print(f"{given.out}: {given.train} + {given.val} synthetic images")


if __name__ == "__main__":
    main()
