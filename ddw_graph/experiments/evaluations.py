"""Evaluations of trained runs on images or texts."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.summary import ACCURACY, LOSS, by_entry, scores
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.run import Run

MEANS = ("top5_accuracy", "loss", "macs_share")


def evaluations(
    groups: Sequence[Group],
    data: Any,
    *,
    split: str = "test",
    batch_size: int | None = None,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Returns a row for each run: how its network does on images.

    Each network sees the images prepared as those that it was trained on.

    Args:
        split: ``test`` or ``train``: which of them.
        batch_size: Samples at a time; by default that of ``default_batch``.

    Raises:
        RunError: If a run is not trained, or its network is damaged.
        DataError: If the images do not fit a network, or one cannot be read.
    """
    runs = []
    for group in groups:
        for seed, path in group.runs.items():
            run = Run(path)
            # Before the first is evaluated: the last may not fit, or not be trained.
            run.check_trained()
            runs.append((group.name, seed, run, run.adapt(data)))
    rows = []
    for done, (name, seed, run, images) in enumerate(runs, start=1):
        network = run.network(device=device)
        found = evaluate(
            network,
            images.inputs(split, network),
            batch_size=batch_size,
            workers=workers,
        )
        rows.append(
            {
                "entry": name,
                "seed": seed,
                "run": str(run.path),
                "task": data.task,
                "data": data.name,
                "digest": data.digest,
                "split": split,
                "images": found.samples,
                "bad_images": len(data.bad),
                "accuracy": found.accuracy,
                "top5_accuracy": found.top5_accuracy,
                "loss": found.loss,
                "macs_share": found.macs_share,
            }
        )
        if progress:
            progress(done, len(runs))
    return rows


def evaluation_summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns a row for each configuration: means over its seeds.

    Beside its score (see ``scores``; accuracy, or of a text the loss) stand its top-5
    accuracy, in percent, the loss, and the share of its MACs that a sample asks for.

    Args:
        rows: A row for each run, from ``evaluations``.
    """
    metric = LOSS if rows[0]["task"] == "language" else ACCURACY
    table = scores(rows, metric._replace(key=metric.name))
    for row, group in zip(table, by_entry(rows).values(), strict=True):
        row |= {key: statistics.fmean(run[key] for run in group) for key in MEANS}
        row["top5_accuracy"] *= 100
    return table
