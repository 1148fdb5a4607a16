"""The page holds exactly what was collected, and lets nothing else in."""

import base64
import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset

from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.explorer.demo import ACCURACY, MODEL, demo_network
from ddw_graph.analysis.explorer.explore import (
    encoded,
    explorer_page,
    network_content,
)
from ddw_graph.analysis.explorer.thumbnails import Thumbnails
from ddw_graph.analysis.statistics.samples import unusualness
from ddw_graph.errors import DataError
from ddw_graph.training.collection import COLUMNS
from ddw_graph.training.data import load_data
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.subsets import labels_of, spread_over_classes
from tests.analysis.explorer.pages import (
    CLOSING,
    HOSTILE,
    data_of,
    decoded,
    read,
    small_page,
    stage_of,
)
from tests.analysis.test_collect import some_model, stored
from tests.training.small import small_data


def sheet_of(thumbnails: Thumbnails) -> tuple[Image.Image, int]:
    """Returns the sheet, and how many thumbnails are in a row."""
    found = thumbnails.sheet()
    png = base64.b64decode(found["sheet"].removeprefix("data:image/png;base64,"))
    return Image.open(io.BytesIO(png)), found["columns"]


def test_the_page_holds_what_was_collected() -> None:
    page, images = data_of(small_page()), small_data(test=30)
    labels = labels_of(images.test)
    assert labels is not None
    numbers: list[int] = spread_over_classes(labels, 24).tolist()
    chosen = Subset(images.test_inputs(), numbers)
    collection = collect(some_model(CLOSING), chosen, classes=HOSTILE)
    assert page["classes"] == list(HOSTILE) and page["numbers"] == numbers
    (known,) = page["networks"]
    assert known["otherMacs"] == collection.other_macs
    assert page["labels"] == collection.column("label").tolist()
    assert known["predictions"] == collection.column("prediction").tolist()
    losses = collection.column("loss")
    np.testing.assert_allclose(decoded(known["losses"]), losses, rtol=1e-6)
    for place, kept in enumerate(collection.stages):
        stage, weights = stage_of(known["stages"][place], 24)
        np.testing.assert_array_equal(weights, collection.weights(place))
        for name in ("nodes", "edges", "constant", "node_macs", "edge_macs"):
            np.testing.assert_array_equal(getattr(stage, name), getattr(kept, name))
    expected = unusualness(collection)
    np.testing.assert_allclose(decoded(known["unusualness"]), expected, rtol=1e-6)


def test_numbers_survive_the_way_to_the_page_bit_by_bit() -> None:
    values = np.array([[0.1, 1e-45, -0.0], [1 / 3, np.inf, 65504.1]], dtype=np.float32)
    assert decoded(encoded(values)).tobytes() == values.tobytes()


def test_nothing_in_the_page_ends_its_element_or_is_fetched() -> None:
    reader = read(small_page())
    tags = [tag for tag, _ in reader.elements]
    assert "img" not in tags and tags.count("script") == 2
    for tag, attributes in reader.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "style" not in attributes
        for name in ("src", "href"):
            assert attributes.get(name) in (None, "#", "data:,")
    (policy,) = [
        attributes["content"]
        for tag, attributes in reader.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    for rule, text in (("script-src", "script"), ("style-src", "style")):
        digest = hashlib.sha256(reader.texts[text].encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    script = reader.texts["script"].replace("http://www.w3.org/2000/svg", "")
    for text in "http: innerHTML outerHTML insertAdjacent eval( fetch(".split():
        assert text not in script


def test_thumbnails_stand_in_order_and_are_what_they_were() -> None:
    pixels = torch.randint(256, (7, 3, 6, 6)).byte()
    pixels[0, :, 0, 0], pixels[0, :, 0, 1] = 0, 255
    shift, scale = torch.tensor([0.1, 0.4, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    given = (pixels.float() / 255 - shift[:, None, None]) / scale[:, None, None]
    thumbnails = Thumbnails()
    thumbnails.add(given[:5])
    thumbnails.add(given[5:])
    sheet, columns = sheet_of(thumbnails)
    array = np.array(sheet)
    assert columns == 3 and array.shape == (18, 18, 3)
    for place, image in enumerate(pixels):
        row, column = divmod(place, columns)
        found = array[6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
        # Kept in half precision, which is near to a shade.
        difference = found.astype(int) - image.permute(1, 2, 0).numpy()
        assert np.abs(difference).max() <= 1
    assert not array[12:, 6:].any()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB")])
def test_thumbnails_are_at_most_48_pixels_and_grey_where_images_are(
    channels: int, mode: str
) -> None:
    thumbnails, shade = Thumbnails(), Thumbnails()
    thumbnails.add(torch.rand(3, channels, 96, 96))
    sheet, columns = sheet_of(thumbnails)
    assert (columns, sheet.size, sheet.mode) == (2, (96, 96), mode)
    shade.add(torch.full((1, channels, 4, 4), 3.0))  # of one shade
    assert not np.array(sheet_of(shade)[0]).any()


def test_what_cannot_be_explored_is_an_error() -> None:
    with pytest.raises(DataError, match="are constant"):
        small_page(some_model("fixed"))
    with pytest.raises(DataError, match=r"at most 2 networks, got 3"):
        explorer_page(dict.fromkeys("abc", some_model()), small_data())
    with pytest.raises(DataError, match="at least 1 image, got samples=0"):
        small_page(samples=0)
    weights = np.array([[0.5, np.nan, 0.5]])
    known = dict.fromkeys(COLUMNS, np.zeros(1, dtype=int))
    with pytest.raises(DataError, match="finite, some of stage 1 of bad are not"):
        network_content("bad", stored(weights, [False] * 3, **known))


@pytest.mark.usefixtures("all_images")
def test_the_demo_is_a_small_file_that_is_as_right_as_it_says() -> None:
    assert MODEL.stat().st_size < 300_000
    data = load_data()
    found = evaluate(demo_network(), data.test_inputs())
    # Machines round differently, which may move a few of 2,000 images.
    assert found.accuracy == pytest.approx(ACCURACY, abs=0.003)
    images = Subset(data.test_inputs(), range(200))
    last = collect(demo_network(), images, classes=data.classes).arrays[-1]
    assert len(np.unique(last > 0, axis=0)) > 5  # wirings differ between images
