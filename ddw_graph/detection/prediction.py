"""What a detector finds in image files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ddw_graph.detection.detector import Category, Detector
from ddw_graph.detection.evaluation import Found, found_in
from ddw_graph.detection.figures import coco_rows
from ddw_graph.detection.loading import read_image
from ddw_graph.errors import DataError


@dataclass(frozen=True)
class Prediction:
    """What a detector finds in an image file.

    Args:
        place: Its place among the files.
        file: The file.
        image: Its pixels, ``(in_channels, height, width)``.
        found: What is in it.
    """

    place: int
    file: str
    image: Tensor
    found: Found

    def as_dict(
        self, categories: Sequence[Category], *, score: float, adjacency: bool = False
    ) -> dict[str, Any]:
        """Returns what was found, ready for JSON; boxes in COCO's form.

        Args:
            categories: The detector's.
            score: Least score of what is told.
            adjacency: Whether to tell the multiplier of each edge, by stage.
        """
        detections = [
            {
                "category_id": categories[label - 1].id,
                "category": categories[label - 1].name,
                "score": value,
                "bbox": bounds,
            }
            for label, value, bounds in coco_rows(self.found.boxes)
            if value >= score
        ]
        told: dict[str, Any] = {"file": self.file, "detections": detections}
        if adjacency:
            told["adjacency"] = [matrix.tolist() for matrix in self.found.adjacency]
        return told


def predictions(
    detector: Detector,
    files: Sequence[str],
    *,
    bad: Callable[[DataError], None] | None = None,
) -> Iterator[Prediction]:
    """Yields what a detector finds in each image, in order; memory holds one of them.

    Args:
        detector: The detector.
        files: The images.
        bad: Hears of those that cannot be read, which are left out; the first is an
            error by default.

    Raises:
        DataError: If an image cannot be read, and nobody hears of it.
    """
    for place, file in enumerate(files):
        try:
            image = read_image(Path(file), detector.in_channels)
        except DataError as error:
            if bad is None:
                raise
            bad(error)
            continue
        yield Prediction(place, file, image, found_in(detector, image))
