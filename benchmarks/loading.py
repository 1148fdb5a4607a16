"""How long training waits for images: 224 px from JPEGs of ImageNet's size.

    python benchmarks/loading.py [--images 192] [--model resnet18] [--threads 2]

Makes its own JPEGs of 500 x 375 pixels. For each number of processes that load: images
a second of the loader only, and of an epoch of training, with the share of the epoch's
time that its steps waited for images.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from ddw_graph import create_model
from ddw_graph.training import ImageData, load_data, recipe_named, train
from ddw_graph.training.augmentation import Augmentation
from ddw_graph.training.keys import Key
from ddw_graph.training.loading import training_batches
from ddw_graph.training.log import Row

CLASSES = 4
BATCH = 32


def photographs(root: Path, count: int) -> None:
    """Writes JPEGs with as many bytes as ImageNet's, about 110 kB each."""
    draw = np.random.default_rng(0)
    for split, images in (("train", count), ("val", CLASSES)):
        for place in range(images):
            pixels = draw.integers(0, 256, (375, 500, 3), np.uint8)
            picture = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.8))
            folder = root / split / str(place % CLASSES)
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{place}.jpg", quality=85)


def loading_rate(data: ImageData, workers: int) -> float:
    """Returns the images that are loaded in a second when nothing else happens."""
    images = data.train_inputs(Augmentation())
    began = time.perf_counter()
    loader = training_batches(images, BATCH, Key(0, 0), workers=workers)
    count = sum(own for _, own in loader)
    return count / (time.perf_counter() - began)


def epoch(data: ImageData, model: str, workers: int) -> Row:
    """Returns the row of the log of a training of one epoch."""
    network = create_model(model, edges="fixed", num_classes=CLASSES)
    recipe = recipe_named("small", epochs=1, batch_size=BATCH, augment=True)
    with tempfile.TemporaryDirectory() as folder:
        run = train(network, data, recipe, seed=0, folder=folder, workers=workers)
        return run.log[0]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as root:
        photographs(Path(root), options.images)
        data = load_data("folder", root=Path(root))
        size = np.mean([f.stat().st_size for f in Path(root).glob("train/*/*")]) / 1e3
        print(f"{options.images} JPEGs of {size:.0f} kB, {options.threads} threads")
        print("| workers | loader only, images/s | training, images/s | waiting |")
        print("| --- | --- | --- | --- |")
        for workers in (0, 1, 2):
            rate = loading_rate(data, workers)
            row = epoch(data, options.model, workers)
            trained = options.images / row["train_seconds"]
            waiting = row["data_seconds"] / row["train_seconds"]
            print(f"| {workers} | {rate:.0f} | {trained:.1f} | {waiting:.1%} |")


if __name__ == "__main__":
    main()
