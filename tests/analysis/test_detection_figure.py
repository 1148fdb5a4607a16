"""Pictures of boxes."""

import pytest
import torch
from matplotlib.patches import Rectangle

from ddw_graph.analysis.detection_figure import Scene, detection_figure
from ddw_graph.analysis.pictures import rendered
from ddw_graph.detection.detector import Boxes, Category
from ddw_graph.errors import DataError

CATEGORIES = (Category(7, "$bag_$"), Category(9, "boot"))


def boxes(*bounds: tuple[float, ...], scores: list[float]) -> Boxes:
    labels = torch.arange(1, len(bounds) + 1)
    return {
        "boxes": torch.tensor(bounds).float().view(-1, 4),
        "labels": labels,
        "scores": torch.tensor(scores),
    }


def test_draws_each_box_where_its_pixels_are() -> None:
    found = boxes((2, 3, 12, 9), (0, 0, 30, 20), scores=[0.9, 0.4])
    truth: Boxes = {"boxes": torch.tensor([[1.0, 1, 4, 4]])}
    scene = Scene("one", torch.zeros(3, 20, 30), found, truth)
    figure = detection_figure([scene] * 5, CATEGORIES, score=0.5, title="Found")
    assert len(figure.axes) == 8
    drawn = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    places = [(*each.get_xy(), each.get_width(), each.get_height()) for each in drawn]
    assert places == [(0.5, 0.5, 3, 3), (1.5, 2.5, 10, 6)]
    assert [text.get_text() for text in figure.axes[0].texts] == [r"\$bag_\$ 0.90"]
    assert not figure.axes[5].patches
    assert rendered(figure, ".png").startswith(b"\x89PNG")


def test_grey_images_are_drawn_too() -> None:
    scene = Scene("", torch.full((1, 4, 5), 0.5), boxes(scores=[]))
    figure = detection_figure([scene], CATEGORIES, score=0.5)
    assert figure.axes[0].images[0].get_size() == (4, 5)
    with pytest.raises(DataError, match="an image or more, got none"):
        detection_figure([], CATEGORIES, score=0.5)
