"""How trained runs do on images, beside each other."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.summary import accuracies, by_entry
from ddw_graph.training.bad_images import hearing, leaving_out
from ddw_graph.training.data import ImageData
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.run import RunFolder
from ddw_graph.training.train import images_for, trained_model

MEANS = ("top5_accuracy", "loss", "macs_share")


def evaluations(
    groups: Sequence[Group],
    data: ImageData,
    *,
    split: str = "test",
    batch_size: int = 250,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Returns a row for each run: how its network does on images.

    Each network sees the images prepared as those that it was trained on.

    Args:
        groups: Runs by their configuration.
        data: The images.
        split: ``test`` or ``train``: which of them.
        batch_size: Images at a time.
        device: Where to compute.
        workers: Processes that load images.
        progress: Hears of runs done and runs in all.

    Raises:
        RunError: If a run is not trained, or its checkpoint is damaged.
        DataError: If the images do not fit a network, or one cannot be read and the
            data do not say to skip it.
    """
    runs = []
    for group in groups:
        for seed, run in group.runs.items():
            # Before the first is evaluated: the last may not fit, or not be trained.
            RunFolder(run).read_checkpoint()
            runs.append((group.name, seed, run, images_for(run, data)))
    rows = []
    for done, (name, seed, run, images) in enumerate(runs, start=1):
        found = evaluate(
            trained_model(run, device=device),
            images.test if split == "test" else images.train,
            batch_size=batch_size,
            workers=workers,
            # Each image that cannot be read is named once, not once a run.
            bad=hearing(data) if done == 1 else leaving_out(data),
        )
        rows.append(
            {
                "entry": name,
                "seed": seed,
                "run": str(run),
                "data": data.name,
                "digest": data.digest,
                "split": split,
                "images": found.images,
                "bad_images": found.bad_images,
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

    Beside its accuracy (see ``accuracies``) stand its top-5 accuracy, in percent, the
    loss, and the share of its MACs that an image asks for.

    Args:
        rows: A row for each run, from ``evaluations``.
    """
    table = accuracies(rows, "accuracy")
    for row, group in zip(table, by_entry(rows).values(), strict=True):
        row |= {key: statistics.fmean(run[key] for run in group) for key in MEANS}
        row["top5_accuracy"] *= 100
    return table
