"""The commands that learn from wirings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ddw_graph.cli.options import JSON_OPTION

if TYPE_CHECKING:
    from ddw_graph.analysis.learning.cross_validation import Answer

Command = TypeVar("Command", bound=Callable[..., Any])


def _count(
    name: str, default: int, least: int, words: str
) -> Callable[[Command], Command]:
    kind = click.IntRange(min=least)
    return click.option(name, type=kind, default=default, show_default=True, help=words)


FOLDS_OPTION = _count("--folds", 5, 2, "Parts that are each held out once.")
SEED_OPTION = _count("--seed", 0, 0, "Fixes folds and graph networks.")


@click.group(invoke_without_command=True)
@click.pass_context
def learn(context: click.Context) -> None:
    """Predict an image's class, or a run's result, from wirings only.

    A small graph network is compared with plain models on the same held-out folds.

    \b
    ddw-graph learn classes runs/ddw
    ddw-graph learn results sweep --target test_accuracy
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@learn.command()
@click.argument("analysis", type=click.Path(path_type=Path))
@click.option(
    "--target",
    type=click.Choice(["class", "correct"]),
    default="class",
    show_default=True,
    help="The image's class, or whether the network predicted it.",
)
@_count("--epochs", 20, 1, "Passes of the graph network.")
@FOLDS_OPTION
@SEED_OPTION
@JSON_OPTION
def classes(analysis: Path, as_json: bool, **options: Any) -> None:
    """Predict the class of an image from its wiring only.

    ANALYSIS is the folder of an analysis, or a run that has one (ddw-graph analyze). A
    graph network is compared with a logistic regression on the weights of the edges,
    and with the most frequent class.

    \b
    ddw-graph learn classes runs/ddw
    """
    from ddw_graph.analysis.learning.questions import predict_classes
    from ddw_graph.training.collection import open_collection

    _print(predict_classes, open_collection(analysis), as_json=as_json, **options)


@learn.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--target",
    default="test_accuracy",
    show_default=True,
    help="A number of the runs' result.json, such as total_macs.",
)
@_count("--epochs", 100, 1, "Passes of the graph network.")
@FOLDS_OPTION
@SEED_OPTION
@JSON_OPTION
def results(runs: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Predict a run's accuracy, or another result, from its wirings only.

    RUNS are folders of runs, sweeps or comparisons, of which finished runs count. Runs
    with the same wirings are held out together. A graph network is compared with a
    ridge regression on properties of the graphs, and with the mean.

    \b
    ddw-graph learn results sweep
    ddw-graph learn results sweep --target total_macs --json
    """
    from ddw_graph.analysis.learning.questions import finished_runs, predict_results

    _print(predict_results, finished_runs(runs), as_json=as_json, **options)


def _print(
    question: "Callable[..., Answer]", subject: object, *, as_json: bool, **options: Any
) -> None:
    """Prints the answer to a question, with a bar for its folds meanwhile."""
    from ddw_graph.cli.progress import bar

    with bar() as progress:
        task = progress.add_task("folds", total=None)

        def show(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        answer = question(subject, progress=show, **options)
    if as_json:
        about = {"about": answer.about, "measure": answer.measure}
        for name in ("summary", "predictions"):
            about[name] = json.loads(getattr(answer, name).to_json(orient="records"))
        click.echo(json.dumps(about))
    else:
        click.echo(f"{answer.about}\n\n{answer.markdown()}", nl=False)
