"""The costs of the networks, compared with the paper's tables."""

from types import SimpleNamespace

import pytest

from ddw_graph.models import catalogue, create_model
from ddw_graph.models.catalogue import TABLE_1, TABLE_2, table1, table2
from ddw_graph.nn.cost import cost
from tests.models.networks import FULL

SMALLEST = ("mobilenet_v2", "resnet18", "regnet_x_600mf", "efficientnet_b0")
"""One of each family."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in SMALLEST else FULL) for n in TABLE_1]
)
def test_table_1_has_the_papers_costs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TABLE_1", {name: TABLE_1[name]})
    baseline, ddw = table1()
    assert (baseline["variant"], ddw["variant"]) == ("baseline", "ddw")
    assert abs(ddw["parameters"] - ddw["paper_parameters"]) < 0.02
    assert ddw["parameters"] > baseline["parameters"]
    assert abs(baseline["layer_macs"] / baseline["paper_macs"] - 1) < 0.015


def test_the_papers_figures_are_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    none = SimpleNamespace(parameters=0, layer_macs=0, total_macs=0)
    monkeypatch.setattr(catalogue, "_price", lambda *_: none)
    rows = {(row["network"], row["variant"]): row for row in table1()}
    row = rows["mobilenet_v2", "ddw"]
    assert (row["paper_parameters"], row["paper_macs"]) == (3.58, 312)
    assert len(rows) == 2 * len(TABLE_1) == 16


@pytest.mark.parametrize(
    ("name", "gflops"),
    [
        ("resnet50", [174, 176]),
        pytest.param("resnet101", [333, 335], marks=FULL),
        pytest.param("resnext50_32x4d", [181, 183], marks=FULL),
    ],
)
def test_backbones_at_detection_size_take_the_papers_gflops(
    name: str, gflops: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TABLE_2", {name: TABLE_2[name]})
    found = list(table2())
    assert [row["variant"] for row in found] == ["baseline", "ddw"]
    assert [row["paper_gflops"] for row in found] == gflops
    for row in found:
        assert abs(row["gflops"] / row["paper_gflops"] - 1) < 0.03, row
        assert row["gflops"] <= row["total_gflops"] < 1.05 * row["gflops"]


def test_the_cost_of_an_image_grows_with_both_sides() -> None:
    model = create_model("randwire_tiny", wiring="complete", n=3, channels=4)
    square, flat, tall = (cost(model, size) for size in (64, (64, 128), (128, 64)))
    assert cost(model, (64, 64)) == square
    assert flat.layer_macs == tall.layer_macs
    assert flat.aggregation == 2 * square.aggregation
    # The classifier has one pixel whatever the size.
    head = square.parts[-1].layer_macs
    assert flat.layer_macs - head == 2 * (square.layer_macs - head)
