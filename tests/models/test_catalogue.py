"""The costs of the networks, beside the paper's Table 1."""

import re
from functools import cache

import pytest

from ddw_graph.models import create_model
from ddw_graph.models.backbones import NoData
from ddw_graph.models.catalogue import (
    READING,
    TABLE_1,
    TABLE_2,
    Table1Row,
    prices,
    table1,
    table2,
)
from ddw_graph.nn.cost import cost


@cache
def rows() -> dict[tuple[str, str], Table1Row]:
    return {(row.network, row.variant): row for row in table1()}


@pytest.mark.parametrize("network", TABLE_1)
def test_parameters_of_ddw_are_within_a_fiftieth_of_a_million_of_the_papers(
    network: str,
) -> None:
    row = rows()[network, "ddw"]
    assert abs(row.parameters - row.paper_parameters) < 0.02
    assert row.parameters > rows()[network, "baseline"].parameters


@pytest.mark.parametrize("network", TABLE_1)
def test_macs_of_the_baselines_are_within_one_and_a_half_percent_of_the_papers(
    network: str,
) -> None:
    row = rows()[network, "baseline"]
    assert abs(row.macs / row.paper_macs - 1) < 0.015


def test_the_papers_figures_are_the_papers() -> None:
    row = rows()["mobilenet_v2", "ddw"]
    assert (row.paper_parameters, row.paper_macs) == (3.58, 312)
    assert len(rows()) == 2 * len(TABLE_1) == 16


def test_the_reading_names_figures_that_hold() -> None:
    told = [float(value) for value in re.findall(r"(\d+\.\d)M", READING[-1])]

    def more(network: str, total: bool) -> float:
        key = "total_macs" if total else "macs"
        ddw, baseline = (rows()[network, v] for v in ("ddw", "baseline"))
        return float(getattr(ddw, key)) - baseline.macs

    sums = [
        prices(name)["dynamic"].aggregation / 1e6
        for name in ("regnet_x_600mf", "regnet_x_1_6gf")
    ]
    counted = more("resnet50", total=True)
    assert counted == pytest.approx(more("resnext50_32x4d", total=True), abs=0.05)
    found = [
        more("mobilenet_v2", total=False),
        more("efficientnet_b0", total=False),
        *sums,
        counted,
        more("resnet101", total=True) - counted,
    ]
    assert told == [pytest.approx(value, abs=0.051) for value in found]


def test_backbones_at_detection_size_take_the_papers_gflops() -> None:
    found = list(table2())
    assert [(row.network, row.variant) for row in found] == [
        (name, variant) for name in TABLE_2 for variant in ("baseline", "ddw")
    ]
    assert [row.paper_gflops for row in found] == [174, 176, 333, 335, 181, 183]
    for row in found:
        assert abs(row.gflops / row.paper_gflops - 1) < 0.03, row
        assert row.gflops <= row.total_gflops < 1.05 * row.gflops


def test_the_cost_of_a_picture_grows_with_both_sides() -> None:
    with NoData():
        model = create_model("resnet18", edges="dynamic")
    square, flat, tall = (cost(model, size) for size in (64, (64, 128), (128, 64)))
    assert cost(model, (64, 64)) == square
    assert flat.macs == tall.macs and flat.aggregation == 2 * square.aggregation
    # The classifier sees one pixel whatever the size.
    head = square.parts[-1].macs
    assert flat.macs - head == 2 * (square.macs - head)
