"""The report of an experiment: tables, pictures and a page, from its folder."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import (
    accuracy_figure,
    budget_figure,
    graph_figure,
)
from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
from ddw_graph.analysis.learning_curves import curve_figure, curves_of
from ddw_graph.analysis.pictures import panels, plain, styled
from ddw_graph.analysis.report_files import (
    Column,
    markdown_table,
    number,
    score_columns,
    write_files,
)
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.errors import RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.plan import label
from ddw_graph.experiments.planned_run import PlannedRun
from ddw_graph.experiments.spec import Spec
from ddw_graph.experiments.summary import metric_of_summary, summary
from ddw_graph.experiments.table import table
from ddw_graph.models.paper import paper_figures
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import read_json, write_json
from ddw_graph.wiring import from_dict

Rows = Sequence[Mapping[str, Any]]

NAMING = {"wiring", "edges", "seed"}
"""Settings that a summary has no columns for."""

MOST_DRAWN = 6
"""Entries above which wirings and weights are not drawn one by one."""

MOST_CURVES = 12
"""Entries above which learning curves cannot be distinguished."""

FEWEST_GRAPHS = 6
"""Wirings from which on scores are drawn over their properties."""

COST_COLUMNS: dict[str, tuple[str, Column]] = {
    "inference_ms": ("inference, ms a sample", "{inference_ms:.3f}"),
    "step_ratio": ("time of a step, ratio", "{step_ratio:.2f}"),
    "saved_mb": ("saved for backward, MB", "{saved_mb:.0f}"),
}
"""Of what was measured, the title and the text of a cell."""


def describe_report(folder: Path, spec: Spec, *, part: bool) -> None:
    """Writes ``report.json``: what a report has beside the results of the runs.

    Args:
        folder: The folder of the report.
        spec: The experiment.
        part: Whether the experiment is the folder's parent, and the report is about the
            entries of ``spec`` only; otherwise it is about all runs in the folder.
    """
    about = {
        label(entry.settings): {
            "settings": dict(entry.settings),
            "name": entry.name,
            "paper": {key: list(place) for key, place in entry.paper.items()},
            "reference": entry.reference,
        }
        for entry in spec.entries
    }
    path = folder / "report.json"
    before = read_json(path) if path.exists() else {}
    if not part:
        about = before.get("about", {}) | about
    content = {"title": spec.title, "notes": list(spec.notes), "part": part}
    costs = before.get("costs", {})
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {**content, "about": about, "costs": costs})


def runs_reported(folder: Path) -> dict[str, dict[int, Path]]:
    """Returns the finished runs of a report: by entry, then by seed.

    Raises:
        RunError: If the folder holds no experiment.
    """
    return _reported(folder)[1]


def write_costs(folder: Path, costs: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes into ``report.json`` what the network of each entry costs."""
    write_json(folder / "report.json", _about(folder) | {"costs": dict(costs)})


def write_report(
    folder: Path, tables: Mapping[str, Rows] | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Path]]:
    """Writes the report of an experiment, of the runs that have finished.

    ``runs.csv`` and ``summary.csv``, ``report.md``, ``accuracy.png`` and
    ``curves.png``; of few entries ``wirings.png``, ``edge_weights.png`` and, for each
    entry, Fig. 4 and Fig. 5; of entries with a budget ``budget.png``; of many wirings
    ``graphs.png``. And other tables, by their names.

    Returns:
        A row for each run, a row for each entry, and the files.

    Raises:
        RunError: If the folder holds no experiment.
    """
    about, runs, rows, plans = _reported(folder)
    if not rows:
        return [], [], []
    entries = list(about["about"].values())
    points = {row["entry"]: plans[row["run"]].point for row in rows}
    owns = {entry: _own(entries, point) for entry, point in points.items()}
    marked = [entry for entry, own in owns.items() if own.get("reference")]
    first = next(iter(about["about"]), None)
    reference = marked[0] if marked else first if first in points else None
    found = summary(rows, reference)
    papers = list(dict.fromkeys(key for one in entries for key in one["paper"]))
    measured = {key: None for of in about["costs"].values() for key in of}
    for row in found:
        own = owns[row["entry"]]
        # Wiring and edges are what an entry is called by.
        row |= {k: v for k, v in points[row["entry"]].items() if k not in NAMING}
        if any(one["name"] for one in entries):
            row["name"] = own.get("name", "")
        row |= measured | about["costs"].get(row["entry"], {})
        for title in papers:
            place = own.get("paper", {}).get(title)
            row[f"paper, {title}"] = (
                paper_figures(place[0])[place[1], place[2]] if place else None
            )
    title = about["title"] or "Runs"
    pictures = _pictures(runs, rows, found, title)
    parts = [
        f"# {title}",
        _described(rows, plans),
        report_table(found).rstrip(),
        *about["notes"],
        *(f"![{name}]({name}.png)" for name in pictures),
    ]
    written = write_files(
        folder,
        tables={"runs": rows, "summary": found, **(tables or {})},
        texts={"report.md": "\n\n".join(parts) + "\n"},
        pictures=pictures,
    )
    return rows, found, written


def report_table(found: Rows) -> str:
    """Returns a summary as a Markdown table.

    The paper's accuracies have their differences to the same reference.
    """
    first, metric = found[0], metric_of_summary(found)
    others = f" to {first['entry']}" if len(found) > 1 else ""
    columns: dict[str, Column] = {
        **({"known as": "{name}"} if "name" in first else {}),
        **score_columns("wiring and edges", metric, others),
        "parameters": "{parameters:,.0f}",
        "total MACs, M": lambda row: f"{row['total_macs'] / 1e6:.2f}",
        "expected MACs, M (share of total)": _expected,
        "training, s": "{train_seconds:.1f}",
        **dict(column for key, column in COST_COLUMNS.items() if key in first),
        **{
            f"paper: {key.partition(', ')[2]}, % (difference)": partial(
                _of_paper, key=key, first=first
            )
            for key in first
            if key.startswith("paper, ")
        },
    }
    return markdown_table(columns, found)


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "report.json"
    if not path.is_file():
        raise RunError(f"a report's folder must hold report.json, got {folder}")
    value = read_json(path)
    kinds = {"title": str, "notes": list, "part": bool, "about": dict, "costs": dict}
    if not isinstance(value, dict) or not all(
        isinstance(value.get(key), kind) for key, kind in kinds.items()
    ):
        raise RunError(f"{path} must describe a report; run the same command again")
    return value


def _reported(
    folder: Path,
) -> tuple[
    dict[str, Any],
    dict[str, dict[int, Path]],
    list[dict[str, Any]],
    dict[str, PlannedRun],
]:
    """Returns what a report is about, its runs by entry and seed, rows, and plans."""
    about = _about(folder)
    experiment = ExperimentFolder(folder.parent if about["part"] else folder)
    rows = table(experiment)
    plans = {row["run"]: experiment.plan(row["run"]) for row in rows}
    if about["part"]:
        entries = list(about["about"].values())
        rows = [row for row in rows if _own(entries, plans[row["run"]].point)]
    runs: dict[str, dict[int, Path]] = {}
    for row in rows:
        run = experiment.run(row["run"])
        runs.setdefault(row["entry"], {})[row["seed"]] = run
    return about, runs, rows, plans


def _own(
    entries: Sequence[Mapping[str, Any]], point: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Returns the entry that a point is of, empty if it is of none."""
    return next((e for e in entries if e["settings"].items() <= point.items()), {})


def _expected(row: Mapping[str, Any]) -> str:
    macs = row["expected_macs"]
    return "–" if macs is None else f"{macs / 1e6:.2f} ({macs / row['total_macs']:.0%})"


def _of_paper(row: Mapping[str, Any], key: str, first: Mapping[str, Any]) -> str:
    value, reference = row[key], first[key]
    if value is None or reference is None or row is first:
        return number(value, ".2f")
    return f"{value:.2f} ({value - reference:+.2f})"


def _described(rows: Rows, plans: Mapping[str, PlannedRun]) -> str:
    """Returns in a sentence how the networks were trained."""
    recipes = [plans[row["run"]].recipe for row in rows]
    models, epochs, sizes, seeds = (
        ", ".join(map(str, sorted(set(values))))
        for values in (
            (row["model"] for row in rows),
            (recipe.epochs for recipe in recipes),
            (recipe.batch_size for recipe in recipes),
            (row["seed"] for row in rows),
        )
    )
    data = plans[rows[0]["run"]].source.name
    return (
        f"{models} on {data}: {epochs} epoch{'' if epochs == '1' else 's'}, "
        f"batches of {sizes}, seeds {seeds}."
    )


def _pictures(
    by_entry: Mapping[str, Mapping[int, Path]], rows: Rows, found: Rows, title: str
) -> dict[str, Figure]:
    names = {row["entry"]: row.get("name") or row["entry"] for row in found}
    pictures: dict[str, Figure] = {"accuracy": accuracy_figure(rows, found)}
    if len(by_entry) <= MOST_CURVES:
        groups = [Group(names[entry], dict(runs)) for entry, runs in by_entry.items()]
        pictures["curves"] = curve_figure(curves_of(groups), title=title)
    if any(row.get("budget") is not None for row in rows):
        pictures["budget"] = budget_figure(rows, found)
    if len({row["wiring"] for row in rows}) >= FEWEST_GRAPHS:
        pictures["graphs"] = graph_figure(rows)
    if len(by_entry) > MOST_DRAWN:
        return pictures
    first = {entry: Run(next(iter(runs.values()))) for entry, runs in by_entry.items()}
    drawn = {row["wiring"]: first[row["entry"]] for row in reversed(rows)}
    wirings = {name: run.model_config["wirings"][0] for name, run in drawn.items()}
    pictures["wirings"] = _wirings(dict(reversed(wirings.items())))
    collections = {
        entry: run.analysis
        for entry, run in first.items()
        if not run.model_config["edges"].startswith("fixed")
    }
    if collections:
        labelled = {names[entry]: each for entry, each in collections.items()}
        pictures["edge_weights"] = weight_histograms(labelled)
    for entry, collection in collections.items():
        name = first[entry].path.name
        for column in ("mean", "std"):
            pictures[f"{column}-{name}"] = weight_heatmaps(collection, column)
    return pictures


@styled
def _wirings(wirings: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Returns named wirings of first stages, side by side."""
    columns = min(2, len(wirings))
    rows = -(-len(wirings) // columns)
    picture, grid = panels(rows, columns, (5.2 * columns, 3.4 * rows))
    for ax in grid.flat:
        ax.set_axis_off()
    for ax, (name, wiring) in zip(grid.flat, wirings.items(), strict=False):
        draw_wiring(from_dict(wiring), ax=ax)
        ax.set_title(plain(f"{name}, stage 1"))
    return picture
