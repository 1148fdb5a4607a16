"""What collecting wirings costs, and what their statistics take for 50,000 samples.

    python benchmarks/collecting.py [--model resnet50] [--size 224] [--images 64]
        [--rounds 5] [--samples 50000] [--threads 2]

First: the time of collecting every sample's wiring over that of inference on the same
images alone, in turns. Then, over synthetic weights of that network's stages: seconds
and the largest memory that each table allocates, with half of the samples beside it.
"""

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import TensorDataset

from ddw_graph import create_model
from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.statistics.tables import TABLES
from ddw_graph.benchmarking.spread import ratio, spread
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.training.collecting import stage_edges
from ddw_graph.training.collection import Collection
from ddw_graph.training.loading import batches
from ddw_graph.training.memory import keep_memory

BATCH = 16
CLASSES = 100


def some_images(count: int, size: int) -> TensorDataset:
    """Returns images of noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, size, size, generator=generator)
    return TensorDataset(images, torch.arange(count) % CLASSES)


def inferred(model: Network, images: TensorDataset) -> None:
    """Runs a network over images, and keeps nothing."""
    with torch.no_grad():
        for x, _ in batches(images, BATCH):
            model(x)


def collecting(model: Network, size: int, count: int, rounds: int) -> None:
    """Prints the time of collecting over that of inference."""
    images = some_images(count, size)
    plain, kept = [], []
    with tempfile.TemporaryDirectory() as place:
        for turn in range(-1, rounds):
            began = time.perf_counter()
            inferred(model, images)
            between = time.perf_counter()
            collect(
                model,
                images,
                Path(place) / "collection",
                classes=list(map(str, range(CLASSES))),
                batch_size=BATCH,
                overwrite=True,
            )
            if turn >= 0:  # the first warms up
                plain.append(between - began)
                kept.append(time.perf_counter() - between)
    found, alone = ratio(kept, plain), spread(plain)
    print(
        f"collecting {count} images: {found.median:.3f} ({found.low:.3f} to "
        f"{found.high:.3f}) of inference alone, {alone.median:.2f} s"
    )


def synthetic(model: Network, size: int, samples: int, folder: Path) -> Collection:
    """Returns a collection of weights that depend on the class, written in chunks."""
    folder.mkdir()
    stages = tuple(map(stage_edges, model.stages, cost(model, size).work))
    generator = np.random.default_rng(0)
    labels = generator.integers(CLASSES, size=samples)
    arrays = []
    for place, stage in enumerate(stages, start=1):
        shape = (samples, len(stage.edges))
        array = np.lib.format.open_memmap(
            folder / f"stage-{place}.npy", mode="w+", dtype=np.float32, shape=shape
        )
        centres = generator.uniform(0.3, 0.7, (CLASSES, len(stage.edges)))
        for start in range(0, samples, 4096):
            here = slice(start, start + 4096)
            noise = generator.normal(0, 0.1, array[here].shape)
            weights = np.clip(centres[labels[here]] + noise, 0.01, 1)
            weights[generator.random(weights.shape) < 0.1] = 0
            array[here] = weights
        arrays.append(array)
    columns = {
        "label": labels,
        "prediction": labels,
        "loss": generator.random(samples),
        "expected_macs": generator.random(samples),
    }
    classes = tuple(map(str, range(CLASSES)))
    return Collection(stages, tuple(arrays), columns, classes)


def statistics(model: Network, size: int, samples: int) -> None:
    """Prints seconds and memory of each table."""
    with tempfile.TemporaryDirectory() as place:
        both = [
            synthetic(model, size, count, Path(place) / str(count))
            for count in (samples // 2, samples)
        ]
        edges = sum(len(stage.edges) for stage in both[1].stages)
        megabytes = samples * edges * 4 / 2**20
        print(f"weights: {samples} samples x {edges} edges, {megabytes:.0f} MB")
        print("table             seconds   MB of half   MB of all")
        for name, table in TABLES.items():
            told = []
            for collection in both:
                tracemalloc.start()
                began = time.perf_counter()
                table(collection)
                seconds = time.perf_counter() - began
                told.append(tracemalloc.get_traced_memory()[1] / 2**20)
                tracemalloc.stop()
            print(f"{name:<16} {seconds:>8.1f} {told[0]:>12.0f} {told[1]:>11.0f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    model = create_model(options.model, edges="dynamic", num_classes=CLASSES).eval()
    collecting(model, options.size, options.images, options.rounds)
    statistics(model, options.size, options.samples)


if __name__ == "__main__":
    main()
