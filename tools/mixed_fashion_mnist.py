"""Writes Fashion-MNIST in which each image was changed in one of six ways.

    python tools/mixed_fashion_mnist.py data mixed
    python tools/mixed_fashion_mnist.py data relabelled --labels moved
    python tools/mixed_fashion_mnist.py data ways --labels way

A task for wirings that depend on the image: what to do with an image depends on how it
was changed, and only the image shows it. ``mixed`` is then a root of ``--data
fashion_mnist``. The ways are drawn for each image by a fixed seed: unchanged, inverted,
a quarter turn, upside down, with noise (a standard deviation of 64 of 255), half of it
hidden. An image's label is its class. With ``--labels moved`` it depends on the way
too, by as many classes on as the way's number from 0: a shirt means something else
inverted than upside down. With ``--labels way`` it is the way's number only.
"""

import argparse
from pathlib import Path

import numpy as np
from torchvision.datasets import FashionMNIST

SEED = 0
NOISE = 64.0
NAMES = {True: "train", False: "t10k"}


def changed(images: np.ndarray, *, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of bytes, changed each in a way drawn for it, and those ways."""
    random = np.random.default_rng(seed)
    ways = random.integers(6, size=len(images))
    noise = random.normal(0, NOISE, images.shape)
    noisy = (images + noise).round().clip(0, 255).astype(np.uint8)
    hidden = images.copy()
    hidden[:, :, : images.shape[2] // 2] = 0
    versions = (
        images,
        255 - images,
        np.rot90(images, axes=(1, 2)),
        images[:, ::-1, ::-1],
        noisy,
        hidden,
    )
    return np.choose(ways[:, None, None], versions), ways


def main() -> None:
    """Reads one root and writes another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="what --root is for fashion_mnist")
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument(
        "--labels",
        choices=["class", "moved", "way"],
        default="class",
        help="what an image is labelled with",
    )
    given = parser.parse_args()
    raw = given.out / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for train, name in NAMES.items():
        data = FashionMNIST(given.root, train=train)
        images, ways = changed(data.data.numpy(), seed=[SEED, train])
        classes = data.targets.numpy()
        labels = {
            "class": classes,
            "moved": (classes + ways) % len(data.classes),
            "way": ways,
        }[given.labels]
        # The IDX format: a magic number, each size, all big-endian, and the bytes.
        for kind, values, magic in (
            ("images-idx3", images, 0x803),
            ("labels-idx1", labels, 0x801),
        ):
            header = np.array([magic, *values.shape], ">i4").tobytes()
            (raw / f"{name}-{kind}-ubyte").write_bytes(
                header + values.astype(np.uint8).tobytes()
            )


if __name__ == "__main__":
    main()
