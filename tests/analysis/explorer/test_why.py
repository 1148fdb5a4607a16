"""Which paths an image takes and what sets it apart: the page says what NumPy does."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ddw_graph.analysis.closing import closed_below
from ddw_graph.analysis.statistics.paths import stage_paths
from tests.analysis.explorer.pages import SAMPLES, class_means, decoded, stage_of
from tests.analysis.explorer.shown import Shown

pytestmark = pytest.mark.full


def named(nodes: list[int], last: int) -> list[str]:
    """Returns nodes as the page names them."""
    return [{0: "in", last: "out"}.get(node, str(node)) for node in nodes]


@pytest.mark.parametrize("tau", [0.0, 0.3])
@pytest.mark.parametrize("which", ["page", "both"])
def test_the_strongest_path_is_that_of_the_statistics(
    which: str, tau: float, request: pytest.FixtureRequest
) -> None:
    shown: Shown = request.getfixturevalue(which)
    lengths = set()
    for sample in (0, 9, 20):
        shown.open(f"#image={shown.data['numbers'][sample]}&tau={tau}")
        lines = iter(shown.each(".summary", "e.textContent"))
        for k in range(3):
            for place, network in enumerate(shown.data["networks"]):
                stage, weights = stage_of(network["stages"][k], SAMPLES)
                row = weights[[sample]]
                left = closed_below(stage, row, tau).open
                (path,) = stage_paths(stage, row * left).to_dict("records")
                nodes = [int(node) for node in path["dominant"].split("-")]
                lengths.add(len(nodes))
                chain = " → ".join(named(nodes, stage.nodes - 1))
                assert next(lines) == (
                    f"strongest path {chain}, {100 * path['share']:.1f} % of what all "
                    f"paths carry; {left.sum()} of {len(stage.edges)} edges open"
                )
                lit = shown.script(
                    "const { paths, stage } = PICTURES[arguments[0]][arguments[1]];"
                    "return paths.map((path, edge) => [path, stage.edges[edge]])"
                    "  .filter(([path]) => path.classList.contains('strongest'))"
                    "  .map(([, edge]) => edge)",
                    place,
                    k,
                )
                assert sorted(lit) == sorted(map(list, pairwise(nodes)))
    assert len(lengths) > 1


def wirings(network: Any) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Returns all weights of a network, and each edge's stage and name."""
    arrays, names = [], []
    for k, each in enumerate(network["stages"]):
        stage, weights = stage_of(each, SAMPLES)
        arrays.append(weights.astype(np.float64))
        for i, j in stage.edges.tolist():
            names.append((k + 1, " → ".join(named([i, j], stage.nodes - 1))))
    return np.concatenate(arrays, 1), names


@pytest.mark.parametrize("view", ["weights", "class", "all", "other"])
def test_what_sets_an_image_apart_is_told_in_deviations_within_classes(
    view: str, both: Shown
) -> None:
    sample, other = 13, 2
    numbers, labels = both.data["numbers"], np.array(both.data["labels"])
    both.open(f"#image={numbers[sample]}&with={numbers[other]}&view={view}")
    tables = both.script(
        "return [...document.querySelectorAll('#apart table')].map((table) =>"
        "  [...table.tBodies[0].rows].map((row) =>"
        "    [...row.cells].map((cell) => cell.textContent)))"
    )
    for network, table in zip(both.data["networks"], tables, strict=True):
        weights, names = wirings(network)
        means = class_means(weights, labels, 3)
        deviation = np.sqrt(((weights - means[labels]) ** 2).mean(0))
        base = {"all": weights.mean(0), "other": weights[other]}.get(
            view, means[labels[sample]]
        )
        with np.errstate(invalid="ignore"):
            off = np.where(deviation > 1e-9, (weights[sample] - base) / deviation, 0)
        expected = []
        for edge in np.argsort(-np.abs(off), kind="stable")[:3]:
            stage, name = names[edge]
            sign = "−" if off[edge] < 0 else "+"
            expected.append(
                [f"{stage}: {name}", f"{weights[sample, edge]:.3f}"]
                + [f"{base[edge]:.3f}", f"{sign}{abs(off[edge]):.1f}"]
            )
        assert table == expected


def test_unusualness_is_what_sets_an_image_apart_summed_up(both: Shown) -> None:
    both.open()
    for place, network in enumerate(both.data["networks"]):
        found = both.script(
            "const network = NETWORKS[arguments[0]];"
            "const edges = sum(network.stages.map(({ varies }) =>"
            "  varies.filter(Boolean).length));"
            "return SAMPLES.map((sample) => {"
            "  const mean = (stage) => stage.classMeans[DATA.labels[sample]];"
            "  const apart = network.apart(sample, mean, Infinity);"
            "  const squares = apart.map(({ deviations }) => deviations ** 2);"
            "  return Math.sqrt(sum(squares) / edges); })",
            place,
        )
        np.testing.assert_allclose(found, decoded(network["unusualness"]), rtol=1e-6)


def test_an_edge_in_the_list_leads_to_its_cell(page: Shown) -> None:
    page.open(f"#image={page.data['numbers'][3]}")
    name = page.text("#apart tbody tr:nth-child(2) button")
    page.script("document.querySelectorAll('#apart button')[1].click()")
    stage, edge = name.split(": ")
    assert page.text("#tip strong") == f"Stage {stage}: {edge}"
    assert page.script("return document.activeElement.matches('.cell.lit')")
