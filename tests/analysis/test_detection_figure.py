"""Pictures of boxes."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from ddw_graph.analysis.detection_figure import Drawn, Scene, detection_figure
from ddw_graph.analysis.pictures import rendered
from ddw_graph.errors import DataError


def test_draws_each_box_where_its_pixels_are() -> None:
    pixels = np.zeros((20, 30, 3), np.float32)
    found = [Drawn(0, "$bag_$ 0.90", (2, 3, 12, 9)), Drawn(1, "", (0, 0, 30, 20))]
    scene = Scene("one", pixels, found, [Drawn(0, "", (1, 1, 4, 4))])
    figure = detection_figure([scene] * 5, title="Found")
    assert len(figure.axes) == 8
    drawn = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    places = [(*each.get_xy(), each.get_width(), each.get_height()) for each in drawn]
    assert places == [
        (0.5, 0.5, 3, 3),
        (1.5, 2.5, 10, 6),
        (-0.5, -0.5, 30, 20),
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == [r"\$bag_\$ 0.90"]
    assert not figure.axes[5].patches
    assert rendered(figure, ".png").startswith(b"\x89PNG")


def test_grey_images_are_drawn_too() -> None:
    figure = detection_figure([Scene("", np.full((4, 5, 1), 0.5, np.float32), [])])
    assert figure.axes[0].images[0].get_size() == (4, 5)
    with pytest.raises(DataError, match="an image or more, got none"):
        detection_figure([])
