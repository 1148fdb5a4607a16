"""The command that learns from wirings."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.options import JSON_OPTION, RUN_ARGUMENT


@click.command()
@RUN_ARGUMENT
@click.option(
    "--target",
    type=click.Choice(["class", "correct"]),
    default="class",
    show_default=True,
    help="The image's class, or whether the network predicted it.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Passes of the graph network over the training images.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Parts that are each held out once.",
)
@JSON_OPTION
def learn(run: Path, as_json: bool, **options: Any) -> None:
    """Predict an image's class from its wiring only.

    RUN is a finished run, or the folder of an analysis. A small graph network is
    compared with a logistic regression on the weights of the edges, and with the most
    frequent class, on the same held-out folds.

    \b
    ddw-graph learn runs/ddw
    ddw-graph learn runs/ddw --target correct
    """
    from ddw_graph.analysis.learning.classes import predict_classes
    from ddw_graph.cli.progress import counting
    from ddw_graph.training.collection import open_collection

    collection = open_collection(run)
    with counting("folds") as count:
        answer = predict_classes(
            collection, progress=partial(count, of=options["folds"]), **options
        )
    if not as_json:
        click.echo(f"{answer.about}\n\n{answer.markdown()}", nl=False)
        return
    tables = {
        name: json.loads(getattr(answer, name).to_json(orient="records"))
        for name in ("summary", "predictions")
    }
    click.echo(json.dumps({"about": answer.about, **tables}))
