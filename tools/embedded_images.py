"""Cuts the embedded images from a copy of Fashion-MNIST.

    python tools/embedded_images.py FOLDER_WITH_THE_FOUR_GZ_FILES

The first images of each class, in the order of the original files, so that anyone can
make the same file again.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "ddw_graph/training/fashion_mnist/images.npz"
EACH = {"train": 300, "test": 200}
CLASSES = 10


def idx(path: Path, header: int) -> np.ndarray:
    """Returns the bytes of an IDX file after its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def main(folder: Path) -> None:
    """Writes the cut."""
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        labels = idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 8)
        images = idx(folder / f"{prefix}-images-idx3-ubyte.gz", 16)
        images = images.reshape(-1, 28, 28)
        first = [np.flatnonzero(labels == c)[: EACH[split]] for c in range(CLASSES)]
        kept = np.sort(np.concatenate(first))
        arrays |= {f"{split}_images": images[kept], f"{split}_labels": labels[kept]}
    np.savez_compressed(TARGET, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
