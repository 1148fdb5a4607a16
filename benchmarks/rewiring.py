"""What fine-tuning does to a trained network, as it is and rewired.

Trains each network on the images in the package, then fine-tunes it as it is, rewired
to learned and to dynamic edges, and rewired to dynamic edges that have the learning
rate of the weights. Runs that have finished are not repeated.

    python benchmarks/rewiring.py --out rewiring
"""

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from ddw_graph.experiments.summary import Difference, paired_difference
from ddw_graph.models import create_model, rewire
from ddw_graph.nn.network import Network
from ddw_graph.training.data import load_data
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.launch import train
from ddw_graph.training.recipe import Recipe, recipe_named

NETWORKS = ("mobilenet_v2", "resnet18")
VARIANTS: dict[str, tuple[str, dict[str, float]]] = {
    "as it is": ("fixed", {}),
    "learned": ("learned", {}),
    "dynamic": ("dynamic", {}),
    "dynamic, one rate": ("dynamic", {"router_lr": 1.0}),
}
"""Edges, and what is changed in the recipe ``fine_tune``."""


def accuracies(
    network: Network, data: ImageData, recipe: Recipe, *, seed: int, folder: Path
) -> list[float]:
    """Returns the test accuracies before fine-tuning and after each epoch, percent."""
    start = evaluate(network, data.test_inputs()).accuracy
    run = train(network, data, recipe, seed=seed, folder=folder, resume=True)
    return [100 * start, *(100 * row["test_accuracy"] for row in run.log)]


def measured(
    name: str, data: ImageData, seed: int, epochs: int, out: Path
) -> list[dict[str, Any]]:
    """Returns a row for each variant of a network that is trained first."""
    folder = out / name / f"seed-{seed}"
    torch.manual_seed(seed)
    original = create_model(
        name,
        edges="fixed",
        num_classes=len(data.classes),
        in_channels=data.channels,
    )
    recipe = recipe_named("small", epochs=epochs)
    trained = train(
        original, data, recipe, seed=seed, folder=folder / "original", resume=True
    )
    rows = []
    for variant, (edges, changes) in VARIANTS.items():
        torch.manual_seed(seed)  # for projections that rewiring adds
        found = accuracies(
            rewire(trained.network(), edges=edges),
            data,
            recipe_named("fine_tune", **changes),
            seed=seed,
            folder=folder / variant.replace(",", "").replace(" ", "-"),
        )
        rows.append(
            {"network": name, "variant": variant, "seed": seed}
            | {f"epoch_{epoch}": value for epoch, value in enumerate(found)}
        )
        click.echo(f"{name}, seed {seed}, {variant}: {found}", err=True)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns means over seeds, and paired differences, as a Markdown table."""
    epochs = [key for key in rows[0] if key.startswith("epoch_")]
    header = ["network", "variant", "at the start"]
    header += [f"epoch {epoch.removeprefix('epoch_')}" for epoch in epochs[1:]]
    header += ["to its start, points", "to the network as it is, points"]
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2)]
    for name in dict.fromkeys(row["network"] for row in rows):
        reference = _of(rows, name, "as it is")
        for variant in VARIANTS:
            own = _of(rows, name, variant)
            last = [row[epochs[-1]] for row in own]
            gained = paired_difference(last, [row[epochs[0]] for row in own])
            beside = paired_difference(last, [row[epochs[-1]] for row in reference])
            means = [statistics.fmean(row[epoch] for row in own) for epoch in epochs]
            lines.append(
                [
                    name,
                    variant,
                    *(f"{mean:.2f}" for mean in means),
                    told(gained),
                    "-" if own == reference else told(beside),
                ]
            )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _of(
    rows: Sequence[dict[str, Any]], network: str, variant: str
) -> list[dict[str, Any]]:
    return [r for r in rows if (r["network"], r["variant"]) == (network, variant)]


def told(difference: Difference) -> str:
    """Returns a difference with its interval as text."""
    if difference.low is None:
        return f"{difference.mean:+.2f}"
    return f"{difference.mean:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"


@click.command()
@click.option("--network", "networks", multiple=True, default=NETWORKS)
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=8, show_default=True, help="Of the first training.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads that compute.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    networks: tuple[str, ...], seeds: int, epochs: int, threads: int | None, out: Path
) -> None:
    """Train, rewire and fine-tune, and print a table."""
    if threads is not None:
        torch.set_num_threads(threads)
    data = load_data()
    rows = []
    for seed in range(seeds):
        for name in networks:
            rows += measured(name, data, seed, epochs, out)
            with (out / "runs.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
    click.echo(table(rows))


if __name__ == "__main__":
    main()
