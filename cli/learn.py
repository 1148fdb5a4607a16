"""The commands that learn from wirings, and say what these tell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.training_options import DEVICE_OPTION

if TYPE_CHECKING:
    from ddw_graph.analysis.learning.class_test import ClassTest
    from ddw_graph.analysis.learning.fitting import Fitting
    from ddw_graph.analysis.learning.result_test import ResultTest

Command = TypeVar("Command", bound=Callable[..., Any])


def learning_options(epochs: int, repeats: int) -> Callable[[Command], Command]:
    """Returns a decorator that adds the options of a test, with these defaults."""

    def count(name: str, default: int, least: int, help_text: str) -> Any:
        return click.option(
            name,
            type=click.IntRange(min=least),
            default=default,
            show_default=True,
            help=help_text,
        )

    def decorated(command: Command) -> Command:
        for option in reversed(
            (
                count("--epochs", epochs, 1, "Passes of the graph network."),
                count("--hidden", 32, 1, "Width of the graph network."),
                count("--layers", 2, 1, "How often its nodes hear of each other."),
                count("--folds", 5, 2, "Parts of which each is held out once."),
                count("--repeats", repeats, 1, "Divisions into folds."),
                count("--seed", 0, 0, "Fixes folds and graph networks."),
                click.option(
                    "--out",
                    type=click.Path(path_type=Path),
                    help="Folder for report.md, summary.csv, folds.csv and "
                    "predictions.csv.",
                ),
                OVERWRITE_OPTION,
                DEVICE_OPTION,
                JSON_OPTION,
            )
        ):
            command = option(command)
        return command

    return decorated


@click.group(invoke_without_command=True)
@click.pass_context
def learn(context: click.Context) -> None:
    """Learn from wirings: an image's class, or a network's result.

    A small graph network tells it from the wirings alone, of what was held out, beside
    models that need no graph.

    \b
    ddw-graph learn classes runs/ddw
    ddw-graph learn results sweep --target test_accuracy
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@learn.command()
@click.argument("analysis", type=click.Path(path_type=Path))
@learning_options(epochs=20, repeats=1)
def classes(
    analysis: Path,
    folds: int,
    repeats: int,
    seed: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Tell the class of an image from its wiring alone.

    ANALYSIS is the folder of an analysis, or a run that has one (ddw-graph analyze).
    Beside the graph network stand the most frequent class, the nearest class mean and a
    logistic regression on the weights in a row.

    \b
    ddw-graph learn classes runs/ddw --out classes
    """
    from ddw_graph.analysis.learning.class_test import class_test
    from ddw_graph.analysis.learning.report import (
        check_report_free,
        class_table,
        class_words,
    )
    from ddw_graph.cli.progress import bar
    from ddw_graph.training.collection import open_collection

    if out is not None:
        check_report_free(out, overwrite=overwrite)
    fitting = _fitting(options)
    collection = open_collection(analysis)
    with bar() as progress:
        task = progress.add_task("folds", total=None)
        test = class_test(
            collection,
            fitting,
            folds=folds,
            repeats=repeats,
            seed=seed,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    words = class_words(test, fitting, seed)
    sizes = {"samples": test.samples, "classes": test.classes, "edges": test.edges}
    table = class_table(test.summary)
    title = "Classes from wirings"
    _tell(test, sizes, table, title, words, out, as_json)


@learn.command()
@click.argument("sweep", type=click.Path(path_type=Path))
@click.option(
    "--target",
    default="test_accuracy",
    show_default=True,
    help="A column of numbers of the sweep's runs.csv, or inference_ms, which is "
    "measured.",
)
@learning_options(epochs=100, repeats=3)
def results(
    sweep: Path,
    target: str,
    folds: int,
    repeats: int,
    seed: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Tell a network's accuracy, or another result, from its wirings alone.

    SWEEP is the folder of a sweep; the runs that have finished count. Runs of the same
    wirings are held out together. Beside the graph network stand the mean, and linear
    models in clustering and path length and in the number of edges. inference_ms is
    measured twice, on one thread, all networks in turns.

    \b
    ddw-graph learn results sweep --out learned
    ddw-graph learn results sweep --target inference_ms --json
    """
    from ddw_graph.analysis.learning.report import (
        check_report_free,
        result_table,
        result_words,
    )
    from ddw_graph.analysis.learning.result_test import result_test
    from ddw_graph.analysis.learning.run_graphs import finished_runs
    from ddw_graph.cli.progress import bar

    if out is not None:
        check_report_free(out, overwrite=overwrite)
    fitting = _fitting(options)
    runs = finished_runs(sweep, target)
    if len(runs.rows) < runs.planned:
        told = f"{len(runs.rows)} of {runs.planned} runs have finished, and count"
        click.echo(told, err=True)
    with bar() as progress:
        task = progress.add_task("folds", total=None)
        test = result_test(
            runs,
            fitting,
            folds=folds,
            repeats=repeats,
            seed=seed,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    words = result_words(test, runs, target, fitting, seed)
    sizes: dict[str, Any] = {
        "runs": test.runs,
        "planned": runs.planned,
        "wirings": test.wirings,
    }
    if runs.agreement is not None:
        sizes |= {"agreement": runs.agreement}
    table = result_table(test.summary)
    title = f"{target} from wirings"
    _tell(test, {"target": target, **sizes}, table, title, words, out, as_json)


def _fitting(options: dict[str, Any]) -> "Fitting":
    from ddw_graph.analysis.learning.fitting import Fitting
    from ddw_graph.training.train import usable_device

    return Fitting(**options | {"device": usable_device(options["device"])})


def _tell(
    test: "ClassTest | ResultTest",
    sizes: dict[str, Any],
    table: str,
    title: str,
    words: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Prints a test, and writes its report where one is asked for."""
    from ddw_graph.analysis.learning.report import verdict_words, write_test
    from ddw_graph.cli.progress import tell_written

    if as_json:
        told = {**sizes, "summary": test.summary, "folds": test.folds}
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join([words, "", table, *verdict_words(test.summary)]))
    if out is not None:
        tell_written(write_test(test, out, title=title, words=words))
