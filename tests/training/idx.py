"""Fashion-MNIST in its own format, of your own images."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

Parts = Mapping[
    str, tuple[UInt8[np.ndarray, "images 28 28"], UInt8[np.ndarray, " images"]]
]
"""Images and labels by the prefix of a part's files: ``train`` and ``t10k``."""


def write_fashion_mnist(root: Path, parts: Parts) -> None:
    """Writes the parts where torchvision looks for them below a root."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, (images, labels) in parts.items():
        head = struct.pack(">HBBIII", 0, 8, 3, *images.shape)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">HBBI", 0, 8, 1, len(labels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
