"""The costs of the networks, beside the paper's Table 1."""

from types import SimpleNamespace
from typing import Any

import pytest

from ddw_graph.models import catalogue, create_model
from ddw_graph.models.catalogue import (
    TABLE_1,
    TABLE_2,
    table1,
    table2,
)
from ddw_graph.nn.cost import cost

SMALLEST = ("mobilenet_v2", "resnet18", "regnet_x_600mf", "efficientnet_b0")
"""One of each family."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(network, marks=() if network in SMALLEST else pytest.mark.full)
        for network in TABLE_1
    ],
)
def variants(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """Returns the rows of a network by their variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "TABLE_1", {request.param: TABLE_1[request.param]})
        patch.setattr(catalogue, "KINDS", ("fixed", "dynamic"))
        return {row["variant"]: row for row in table1()}


@pytest.mark.full
def test_parameters_of_ddw_are_within_a_fiftieth_of_a_million_of_the_papers(
    variants: dict[str, dict[str, Any]],
) -> None:
    row = variants["ddw"]
    assert abs(row["parameters"] - row["paper_parameters"]) < 0.02
    assert row["parameters"] > variants["baseline"]["parameters"]


def test_macs_of_the_baselines_are_within_one_and_a_half_percent_of_the_papers(
    variants: dict[str, dict[str, Any]],
) -> None:
    row = variants["baseline"]
    assert abs(row["layer_macs"] / row["paper_macs"] - 1) < 0.015


def test_the_papers_figures_are_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    none = SimpleNamespace(parameters=0, layer_macs=0, total_macs=0)
    monkeypatch.setattr(catalogue, "_price", lambda *_: none)
    rows = {(row["network"], row["variant"]): row for row in table1()}
    row = rows["mobilenet_v2", "ddw"]
    assert (row["paper_parameters"], row["paper_macs"]) == (3.58, 312)
    assert len(rows) == 2 * len(TABLE_1) == 16


@pytest.mark.parametrize(
    ("names", "gflops"),
    [
        (["resnet50"], [174, 176]),
        pytest.param(
            list(TABLE_2), [174, 176, 333, 335, 181, 183], marks=pytest.mark.full
        ),
    ],
    ids=["one", "all"],
)
def test_backbones_at_detection_size_take_the_papers_gflops(
    names: list[str], gflops: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TABLE_2", {name: TABLE_2[name] for name in names})
    found = list(table2())
    assert [(row["network"], row["variant"]) for row in found] == [
        (name, variant) for name in names for variant in ("baseline", "ddw")
    ]
    assert [row["paper_gflops"] for row in found] == gflops
    for row in found:
        assert abs(row["gflops"] / row["paper_gflops"] - 1) < 0.03, row
        assert row["gflops"] <= row["total_gflops"] < 1.05 * row["gflops"]


def test_the_cost_of_a_picture_grows_with_both_sides() -> None:
    model = create_model("randwire_tiny", wiring="complete", n=3, channels=4)
    square, flat, tall = (cost(model, size) for size in (64, (64, 128), (128, 64)))
    assert cost(model, (64, 64)) == square
    assert (
        flat.layer_macs == tall.layer_macs
        and flat.aggregation == 2 * square.aggregation
    )
    # The classifier sees one pixel whatever the size.
    head = square.parts[-1].layer_macs
    assert flat.layer_macs - head == 2 * (square.layer_macs - head)
