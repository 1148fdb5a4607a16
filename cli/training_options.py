"""Options of the commands that train, and what they stand for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import (
    DEVICE_OPTION,
    PRECISION_OPTION,
    THREADS_OPTION,
    WORKERS_OPTION,
    WORLD_OPTIONS,
)
from ddw_graph.cli.options import JSON_OPTION, PATH
from ddw_graph.cli.setting_options import (
    Command,
    pop_settings,
    preset_settings,
    section,
    set_option,
    setting_option,
)
from ddw_graph.settings import Setting, settings_of
from ddw_graph.training.data_source import OF_FILES, DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.network_settings import NETWORK_SETTINGS
from ddw_graph.training.recipe import DEFAULT_RECIPES, RECIPES, Recipe, recipe_named

if TYPE_CHECKING:
    from ddw_graph.training.run import Run

DATA, RECIPE = settings_of(DataSource), settings_of(Recipe)
SETTINGS = {
    **NETWORK_SETTINGS,
    **DATA,
    **preset_settings(RECIPES["small"]),
    **settings_of(Execution),
}
"""Every setting of a training by its name, as ``--set`` and sweeps name it."""

OF_ENTRIES = ("model", "wiring", "edges", "channels", "budget")
"""Settings that the entries of a comparison have, each its own."""

SEEDS_OPTION = click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each, paired.",
)
MODEL_OPTION = setting_option(
    NETWORK_SETTINGS["model"], shown="randwire_tiny; for text gpt_tiny"
)
SIZE_OPTIONS = tuple(setting_option(NETWORK_SETTINGS[n]) for n in ("n", "channels"))
CHECKPOINT_STEPS_OPTION = setting_option(
    Setting("checkpoint_steps", int, "Steps between two checkpoints.", "[1, inf)"),
    shown="after each epoch",
)
SPLIT_OPTION = click.option(
    "--split",
    type=click.Choice(["test", "train"]),
    default="test",
    show_default=True,
    help="Which images.",
)

data_options = section(
    "Data",
    *(
        setting_option(DATA[name])
        for name in ("data", "root", "image_size", "per_class", "holdout")
    ),
)
OF_RUN = preset_settings(DataSource(), **dict.fromkeys(DATA, "the run's own"))
run_data_options = section(
    "Data",
    setting_option(OF_RUN["data"]),
    setting_option(OF_RUN["root"]),
    set_option(OF_RUN),
)
execution_options = section(
    "Execution", DEVICE_OPTION, WORKERS_OPTION, THREADS_OPTION, PRECISION_OPTION
)


def run_options(command: Command) -> Command:
    """Returns ``command`` with the options of how a run is computed and written."""
    output = section(
        "Output",
        click.option(
            "--out",
            type=PATH,
            required=True,
            help="Folder of the run: new or empty, or with --resume that of the run.",
        ),
        click.option(
            "--resume",
            is_flag=True,
            help="Resume the run in the folder if there is one.",
        ),
        setting_option(
            Setting("seed", int, "Fixes the run.", "[0, 4294967296)"), default=0
        ),
        CHECKPOINT_STEPS_OPTION,
        click.option(
            "--tensorboard", is_flag=True, help="Write events to OUT/tensorboard too."
        ),
        JSON_OPTION,
    )
    return execution_options(section("Execution", *WORLD_OPTIONS)(output(command)))


def recipe_options(
    *more: Callable[[Any], Any], without: Sequence[str] = ()
) -> Callable[[Command], Command]:
    """Returns a decorator that adds the options that make a recipe, and ``--set``.

    Args:
        without: Settings that ``--set`` does not reach.
    """
    recipes = tuple(RECIPES)
    named = Setting("recipe", str, f"{', '.join(recipes)}.", recipes)
    common = ("epochs", "batch_size", "learning_rate", "router_lr")
    return section(
        "Recipe, with the defaults of small",
        setting_option(named, shown="small; for text language"),
        *(setting_option(SETTINGS[name]) for name in common),
        *more,
        set_option({k: each for k, each in SETTINGS.items() if k not in without}),
    )


def chosen_recipe(name: str | None, task: str, options: dict[str, Any]) -> Recipe:
    """Returns the recipe that the options make, and removes them from ``options``.

    Args:
        name: The preset; None for that of the task.
        task: What is learned: ``classification`` or ``language``.
        options: What the command was given.
    """
    return recipe_named(name or DEFAULT_RECIPES[task], **pop_settings(Recipe, options))


def data_source(options: dict[str, Any]) -> DataSource:
    """Returns the source that the options name, and removes them from ``options``."""
    return DataSource(**pop_settings(DataSource, options))


def run_data(run: "Run", options: dict[str, Any], *, workers: int = 0) -> Any:
    """Returns the images or the text that the options name, by default a run's own.

    Images are transformed as those that the run was trained on.

    Raises:
        DataError: If they do not fit the run's network.
    """
    from ddw_graph.training.data import load_source

    return run.adapt(load_source(common_source([run], options), workers=workers))


def common_source(runs: "Sequence[Run]", options: dict[str, Any]) -> DataSource:
    """Returns the source that the options name; by default that of the runs.

    Raises:
        DataError: If the runs do not all have the same.
    """
    from ddw_graph.errors import DataError

    given = pop_settings(DataSource, options)
    first, *others = (_run_source(run, given) for run in runs)
    for run, other in zip(runs[1:], others, strict=True):
        for name, each in DATA.items():
            value, wanted = (getattr(source, each.field) for source in (other, first))
            if value != wanted:
                option = f"--{name}" if name in ("data", "root") else f"--set {name}"
                raise DataError(
                    f"runs must be compared on the same data, got {name} {value} of "
                    f"{run.path} and {wanted} of {runs[0].path}; {option} chooses one"
                )
    return first


def _run_source(run: "Run", given: dict[str, Any]) -> DataSource:
    """Returns the source of a run with some settings changed.

    Of other data, images of files keep the run's size.

    Raises:
        RunError: If the run's images were in memory, and no others are given.
    """
    source = run.source
    if source is None and "name" not in given:
        run.data()  # which raises
    if source is not None and given.get("name", source.name) == source.name:
        return replace(source, **given)
    if source is not None and given["name"] in OF_FILES:
        given = {"image_size": source.image_size, **given}
    return DataSource(**given)
