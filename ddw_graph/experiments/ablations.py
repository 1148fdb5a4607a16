"""The paper's ablations: which networks are trained, and what is read off them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.compare import (
    DEFAULT_ENTRIES,
    ORIGINAL,
    Comparison,
    Entry,
    run_comparison,
    run_folder,
)
from ddw_graph.experiments.equal_macs import TOLERANCE
from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.runs import Progress
from ddw_graph.models.backbones import is_backbone
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.edges import edge_settings, edge_text, is_static
from ddw_graph.training.data import DataSource
from ddw_graph.training.recipe import Recipe

COMPLETE = Entry("complete", "dynamic")
"""The paper's network, which every ablation has, and whose cost is its budget."""

INSTANCE_EDGES = ("dynamic", "dynamic:bias=0")
"""The settings whose wirings are tested where none are named."""

BACKBONE_TOLERANCE = 0.1
"""Dynamic edges bring MobileNetV2 5 % of projections: that is what Table 6 compares."""

BACKBONES = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "mobilenet_v2": "MobileNetV2-1.0",
}
"""The networks of Table 6 under the paper's names."""


@dataclass(frozen=True)
class Ablation:
    """Networks that are trained beside each other to answer a question.

    Args:
        name: What the command calls it.
        title: What is compared.
        entries: The networks; the first sets the budget.
        reference: The entry that differences are to.
        paper: The paper's accuracies of entries, in percent, by what stands above
            them.
        notes: What a reader must know beside.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    reference: Entry = COMPLETE
    paper: Mapping[str, Mapping[Entry, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def table4(model: str) -> Ablation:
    """Returns Table 4: DDW, and RandWire's generators with learned edges."""
    figures = paper_figures("table4")
    rows = ("DDW", "ER(0.2)", "BA(5)", "WS(4,0.75)")
    return Ablation(
        "table4",
        "Table 4: dynamic edges of the complete DAG against random static wirings",
        DEFAULT_ENTRIES,
        paper={
            "ImageNet, 600M": {
                entry: figures[row, "top1"]
                for entry, row in zip(DEFAULT_ENTRIES, rows, strict=True)
            }
        },
    )


def table6(model: str) -> Ablation:
    """Returns Table 6: fixed, learned and dynamic edges, and the original network.

    The original of a backbone is the backbone. RandWire's networks have none; what a
    residual network is to a backbone, ``resnet`` is to them: the chain with shortcuts,
    drawn by hand, without weights.
    """
    backbone = is_backbone(model)
    original = Entry(ORIGINAL if backbone else "resnet", "fixed")
    fixed, learned = Entry("complete", "fixed"), Entry("complete", "learned")
    columns = {"none": original, "learned": learned, "dynamic": COMPLETE}
    figures = paper_figures("table6")
    shown = [BACKBONES[model]] if model in BACKBONES else list(BACKBONES.values())
    notes = (
        f"The original network is {model} as its library has it; what dynamic edges "
        "cost more is in the column of MACs."
        if backbone
        else f"{model} has no original network: in its place stands the chain with "
        "shortcuts (resnet), drawn by hand and without weights, at equal MACs."
    )
    return Ablation(
        "table6",
        "Table 6: fixed, learned and dynamic edges on one DAG, and the original",
        (COMPLETE, original, fixed, learned),
        original,
        {
            name: {e: figures[name, column] for column, e in columns.items()}
            for name in shown
        },
        (notes, "The paper has no complete DAG with fixed edges."),
    )


def fig3(model: str) -> Ablation:
    """Returns Fig. 3: routers that begin with a bias of 3, 0 and -3."""
    zero, negative = (Entry("complete", f"dynamic:bias={bias}") for bias in (0, -3))
    return Ablation(
        "fig3",
        "Fig. 3: where the routers' biases begin",
        (COMPLETE, zero, negative),
        paper={
            "ResNet-50": {COMPLETE: paper_figures("table6")["ResNet-50", "dynamic"]}
        },
        notes=(
            "dynamic begins with a bias of 3: every edge open. Of 0 and -3 the paper "
            "has curves alone, below that of 3.",
        ),
    )


def gates(model: str) -> Ablation:
    """Returns the four gates: how thresholds act."""
    return Ablation(
        "gates",
        "Gates: how thresholds act",
        (
            COMPLETE,
            *(Entry("complete", f"dynamic:gate={g}") for g in ("hard", "eq5", "none")),
        ),
        notes=(
            "dynamic is psi; eq5 is the paper's Eq. 5 to the letter, which trains as "
            "psi does and weighs edges otherwise at inference.",
        ),
    )


def instances(model: str, edges: Sequence[str] = ()) -> Ablation:
    """Returns networks whose wirings are to be tested, one for each setting of edges.

    Raises:
        ModelError: If a setting is none.
        RunError: If edges are static.
    """
    kinds = [canonical(each) for each in edges or INSTANCE_EDGES]
    static = [kind for kind in kinds if is_static(kind)]
    if static:
        raise RunError(
            "wirings of instances need edges that depend on the image, as dynamic ones "
            f"do, got {static[0]}"
        )
    settings = dict.fromkeys((COMPLETE, *(Entry("complete", kind) for kind in kinds)))
    return Ablation(
        "instances",
        "Instances: does a network need each image's own wiring?",
        tuple(settings),
    )


ABLATIONS = {each.__name__: each for each in (table4, table6, fig3, gates, instances)}
"""What there is, by name."""


def canonical(edges: str) -> str:
    """Returns the one text of a setting of edges, so that equal ones share runs.

    Example:
        >>> canonical("dynamic:gate=none,bias=0.0"), canonical("dynamic:bias=3")
        ('dynamic:bias=0,gate=none', 'dynamic')
    """
    return edge_text(edge_settings(edges))


def comparison_of(
    ablation: Ablation,
    seeds: tuple[int, ...],
    recipe: Recipe,
    source: DataSource,
    **settings: Any,
) -> Comparison:
    """Returns the comparison that trains an ablation's networks.

    Args:
        ablation: Which.
        seeds: One run an entry for each.
        recipe: How every run is trained.
        source: Where the images come from.
        settings: What else a ``Comparison`` takes.
    """
    tolerance = TOLERANCE
    if is_backbone(settings.get("model") or ""):
        tolerance = BACKBONE_TOLERANCE
    return Comparison(
        ablation.entries, seeds, recipe, source, tolerance=tolerance, **settings
    )


def run_ablation(
    ablation: Ablation,
    comparison: Comparison,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Trains what is not trained yet, and returns a row for each run.

    Ablations of one folder share its runs; what each found is in a folder of its name.
    The rows of the reference come first, as ``summary`` wants it.

    Raises:
        RunError: If the folder holds something else, or a run failed.
    """
    rows = run_comparison(
        comparison,
        folder,
        jobs=jobs,
        progress=progress,
        results=folder / ablation.name,
    )
    label = ablation.reference.label
    return sorted(rows, key=lambda row: bool(row["entry"] != label))


def runs_of(ablation: Ablation, comparison: Comparison, folder: Path) -> list[Group]:
    """Returns the runs of an ablation's entries.

    Args:
        ablation: Which.
        comparison: How it is trained.
        folder: The folder of the ablations.
    """
    return [
        Group(
            entry.label,
            {seed: run_folder(folder, entry, seed) for seed in comparison.seeds},
        )
        for entry in ablation.entries
    ]
