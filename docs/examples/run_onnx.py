"""Runs an exported classifier with onnxruntime, NumPy and Pillow alone.

    python run_onnx.py ddw.onnx shoe.png bag.jpg

The file says itself how an image is prepared and what the classes are called.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def prepared(path: str, about: dict) -> np.ndarray:
    """Returns an image as the network takes it: (1, channels, size, size)."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if about["channels"] == 1:
        image = image.convert("L")
    width, height = image.size
    short, size = min(width, height), about["image_size"]
    wanted = int(about["resize"] * width / short), int(about["resize"] * height / short)
    if wanted != image.size:
        image = image.resize(wanted, Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in image.size)
    image = image.crop((left, top, left + size, top + size))
    values = np.asarray(image, np.float32).reshape(size, size, -1).transpose(2, 0, 1)
    mean, std = (
        np.array(about[key], np.float32)[:, None, None] for key in ("mean", "std")
    )
    return ((values / 255 - mean) / std)[None]


def main(model: str, *paths: str) -> None:
    """Prints the most probable class of each image."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    about = {key: json.loads(value) for key, value in told.items()}
    images = np.concatenate([prepared(path, about) for path in paths])
    logits, *adjacency = session.run(None, {"images": images})
    exponents = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = exponents / exponents.sum(1, keepdims=True)
    for row, path in enumerate(paths):
        best = probabilities[row].argmax()
        opened = sum(int((matrix[row] != 0).sum()) for matrix in adjacency)
        wiring = f", {opened} open edges" if adjacency else ""
        name, probability = about["classes"][best], probabilities[row, best]
        print(f"{path}: {name} {100 * probability:.1f} %{wiring}")


if __name__ == "__main__":
    main(*sys.argv[1:])
