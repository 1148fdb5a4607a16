"""A detector and images small enough to train in a test."""

import json
import runpy
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ddw_graph import create_model
from ddw_graph.detection.coco import CocoData, coco_data
from ddw_graph.detection.detector import Category, Detector
from ddw_graph.detection.recipe import DetectionRecipe, detection_recipe
from ddw_graph.detection.settings import DetectorSettings, settings_named
from ddw_graph.nn.network import Network

TOOL = runpy.run_path(
    str(Path(__file__).parents[2] / "tools" / "make_detection_data.py")
)
CATEGORIES = (Category(3, "red"), Category(8, "blue"))
SIZE = 48
RECIPE = detection_recipe("small", epochs=2, milestones=(1,), warmup_steps=4)


def small_network(edges: str = "dynamic", **changes: Any) -> Network:
    """Returns a network whose features are a quarter and an eighth of the image's."""
    settings: dict[str, Any] = {"wiring": "complete", "n": 2, "channels": 12, **changes}
    network: Network = create_model(
        "randwire_tiny", edges=edges, num_classes=2, in_channels=3, **settings
    )
    return network


def small_settings(**changes: Any) -> DetectorSettings:
    """Returns settings for images of 48 px."""
    return settings_named(
        "small",
        **{
            "min_size": SIZE,
            "max_size": 2 * SIZE,
            "levels": (4, 8),
            "anchor_sizes": (12, 20, 32),
            "anchor_ratios": (1.0,),
            "pyramid_channels": 16,
            "head_features": 32,
            "proposals": 50,
            "norm": "batch",
            "frozen_layers": 0,
            **changes,
        },
    )


def small_detector(edges: str = "dynamic", **changes: Any) -> Detector:
    """Returns a detector of two categories."""
    return Detector(small_network(edges), CATEGORIES, small_settings(**changes))


def small_content(images: int = 10) -> dict[str, Any]:
    """Returns a file of boxes, of squares in red and in blue."""
    places = [(4 + 2 * (i % 4), 5 + 3 * (i % 3)) for i in range(images)]
    squares = [
        (image, category, [x + shift, y + shift, side, side])
        for image, (x, y) in enumerate(places)
        for category, shift, side in ((3, 0, 12), (8, 18, 16))
    ]
    return {
        "info": {"synthetic": True},
        "images": [
            {"id": i + 1, "file_name": f"{i}.png", "width": SIZE, "height": SIZE}
            for i in range(images)
        ],
        "annotations": [
            {
                "id": number + 1,
                "image_id": image + 1,
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for number, (image, category, box) in enumerate(squares)
        ],
        "categories": [{"id": c.id, "name": c.name} for c in CATEGORIES],
    }


def write_data(root: Path, content: dict[str, Any]) -> tuple[Path, Path]:
    """Writes a file of boxes with its images; returns the folder and the file."""
    folder = root / "images"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for image in content["images"]:
        size = image["height"], image["width"], 3
        pixels = torch.randint(60, size, generator=generator, dtype=torch.uint8)
        for entry in content["annotations"]:
            if entry["image_id"] == image["id"]:
                x, y, width, height = entry["bbox"]
                channel = 0 if entry["category_id"] == 3 else 2
                pixels[y : y + height, x : x + width, channel] = 230
        Image.fromarray(pixels.numpy()).save(folder / image["file_name"])
    file = root / "boxes.json"
    file.write_text(json.dumps(content))
    return folder, file


def small_data(root: Path, images: int = 10) -> CocoData:
    """Returns images of squares, written in a folder."""
    return coco_data(*write_data(root, small_content(images)))


def make_data(folder: Path, *options: str) -> None:
    """Runs tools/make_detection_data.py."""
    TOOL["main"]([str(folder), *options])


def small_recipe(**changes: Any) -> DetectionRecipe:
    """Returns the recipe with some values changed."""
    return detection_recipe("small", **{"warmup_steps": 4, **changes})
