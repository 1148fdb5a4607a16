"""Pictures of weights by position show the numbers of the tables."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from ddw_graph.analysis.figures import weight_heatmaps
from ddw_graph.analysis.pictures import rendered
from ddw_graph.analysis.position_figures import (
    MAPS,
    edge_named,
    position_figure,
    position_maps,
    token_figure,
)
from ddw_graph.analysis.statistics.edges import edge_matrix, edge_table
from ddw_graph.analysis.statistics.positions import position_table, token_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection
from tests.analysis.statistics.test_positions import images
from tests.analysis.test_figures import matrices
from tests.training.text import DYNAMIC, text_positions


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collection]:
    folder = tmp_path_factory.mktemp("texts")
    kinds = {"learned": "learned", "dynamic": DYNAMIC}
    return {
        name: text_positions(folder / name, edges=edges)
        for name, edges in kinds.items()
    }


def heights(ax: Axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata(), np.float64).tolist() for line in ax.lines]


def test_learned_and_dynamic_edges_share_a_scale(texts: dict[str, Collection]) -> None:
    figure = weight_heatmaps(texts)
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == ["learned", "dynamic"]
    assert len({ax.images[0].norm for ax in panels}) == 1
    for matrix, collection in zip(matrices(figure), texts.values(), strict=True):
        (stage,) = collection.stages
        values = edge_table(collection)["mean"].to_numpy()
        np.testing.assert_allclose(matrix, edge_matrix(stage, values))
    both = {"a": images(), "b": images()}
    titles = [ax.get_title() for ax in weight_heatmaps(both).axes if ax.images]
    assert titles[::3] == ["a, stage 1", "b, stage 1"] and titles[1] == "stage 2"


def test_lines_are_the_table_of_positions(texts: dict[str, Collection]) -> None:
    level, lines, *_ = position_figure(texts).axes
    table = position_table(texts["dynamic"], by="distance")
    expected = [rows["mean"].tolist() for _, rows in table.groupby("distance")]
    assert heights(lines) == expected
    assert heights(level) == [[0.5, 0.5]] * 3
    assert level.get_xlim() == lines.get_xlim()
    level, lines = position_figure(texts, [(1, 1, 3), (1, 0, 1)]).axes
    table = position_table(texts["dynamic"], by="edge")
    expected = [
        table[(table["source"] == i) & (table["target"] == j)]["mean"].tolist()
        for i, j in ((1, 3), (0, 1))
    ]
    assert heights(lines) == expected
    assert [line.get_label() for line in lines.lines] == ["1:1-3", "1:0-1"]
    assert heights(level) == [[0.5, 0.5]] * 2
    for edge in ((2, 0, 1), (1, 1, 0), (0, 0, 1)):
        with pytest.raises(DataError, match="must be there and carry weights, got"):
            position_figure(texts, [edge])
    with pytest.raises(DataError, match="along one axis, got 2"):
        position_figure(images())


def test_rows_are_the_table_of_tokens(texts: dict[str, Collection]) -> None:
    figure = token_figure(texts, count=4)
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == ["learned", "dynamic"]
    for matrix, collection in zip(matrices(figure), texts.values(), strict=True):
        table = token_table(collection, by="distance", count=4)
        tokens = table["token"][:4]
        assert tokens.tolist() != sorted(tokens)
        expected = table.pivot(index="token", columns="distance", values="mean")
        np.testing.assert_allclose(matrix, expected.loc[tokens])
    assert rendered(token_figure({"a": texts["learned"]}), ".png")  # of one colour
    labels = [text.get_text() for text in panels[0].get_yticklabels()]
    assert len(labels) == 4
    assert all(label.startswith("'") and "\x1b" not in label for label in labels)


def test_maps_are_weights_less_their_mean() -> None:
    made = images()
    figure = position_maps(made, 2, [(2, 0, 1), (1, 1, 3), (1, 0, 3)])
    picture, one, other, picture_2, three = matrices(figure)
    assert not picture.any() and not picture_2.any()
    for place, ends, found in (
        (0, (1, 3), one),
        (0, (0, 3), other),
        (1, (0, 1), three),
    ):
        (e,) = np.flatnonzero((made.stages[place].edges == ends).all(1))
        weights = made.positions(place)[2, e].astype(np.float64)
        np.testing.assert_allclose(found, weights - weights.mean(), atol=1e-12)
    usual = matrices(position_maps(made))
    shapes = [(6, 4), *[(3, 2)] * MAPS, (6, 4), *[(2, 2)] * MAPS]
    assert [array.shape for array in usual] == shapes
    weights = made.positions(0)[0].reshape(10, -1)
    order = np.argsort(-np.ptp(weights, 1))
    most = sorted([e for e in order if e != 1][:MAPS])  # that is constant
    for e, found in zip(most, usual[1 : MAPS + 1], strict=True):
        exact = weights[e].astype(np.float64)
        np.testing.assert_allclose(found.ravel(), exact - exact.mean(), atol=1e-12)


def test_a_map_that_cannot_be_drawn_says_why(texts: dict[str, Collection]) -> None:
    with pytest.raises(DataError, match=r"in \[0, 3\], got 4"):
        position_maps(images(), 4)
    with pytest.raises(DataError, match="maps need images"):
        position_maps(texts["dynamic"])
    with pytest.raises(DataError, match="3:0-1 has no weights by position"):
        position_maps(images(), 0, [(3, 0, 1)])
    with pytest.raises(DataError, match="carry weights, got 1:0-2"):
        position_maps(images(), 0, [(1, 0, 2)])


@pytest.mark.parametrize("text", ["", "0-5", "1:0", "1:0-5-6", "x:0-1", "1:-1-2"])
def test_an_edge_is_named_by_stage_and_nodes(text: str) -> None:
    assert edge_named("2:0-13") == (2, 0, 13)
    with pytest.raises(DataError, match="such as 1:0-5"):
        edge_named(text)
