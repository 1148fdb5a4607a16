"""Options of the commands that train, and what they stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ddw_graph.training.recipe import Recipe
    from ddw_graph.training.train import DataSource

Command = TypeVar("Command", bound=Callable[..., Any])

RECIPE_VALUES = {
    "epochs": int,
    "batch_size": int,
    "learning_rate": float,
    "weight_decay": float,
    "warmup_epochs": float,
    "label_smoothing": float,
    "router_lr": float,
}


def data_options(command: Command) -> Command:
    """Returns ``command`` with the options that say where images come from."""
    for option in reversed(
        (
            click.option(
                "--data",
                default="fashion_mnist_mini",
                show_default=True,
                help="fashion_mnist_mini (in the package), fashion_mnist, cifar10, "
                "cifar100, or folder.",
            ),
            click.option(
                "--root",
                type=click.Path(path_type=Path),
                help="Folder of the data; the set in the package has none.",
            ),
            click.option(
                "--image-size", type=int, help="Pixels; for folder.  [default: 224]"
            ),
            click.option(
                "--download", is_flag=True, help="Let torchvision download the set."
            ),
        )
    ):
        command = option(command)
    return command


def recipe_options(command: Command) -> Command:
    """Returns ``command`` with the options that make a recipe."""
    command = click.option(
        "--augment/--no-augment",
        default=None,
        help="Flip and shift training images; by default as the recipe has it.",
    )(command)
    for name, kind in reversed(RECIPE_VALUES.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, type=kind, help="In place of the recipe's.")(
            command
        )
    return click.option(
        "--recipe",
        default="small",
        show_default=True,
        help="small (for 8 to 64 px) or randwire.",
    )(command)


def chosen_recipe(name: str, options: dict[str, Any]) -> "Recipe":
    """Returns the recipe that the options make, and takes them out of ``options``."""
    from ddw_graph.training.recipe import recipe_named

    changes = {key: options.pop(key) for key in (*RECIPE_VALUES, "augment")}
    return recipe_named(name, **changes)


def data_source(options: dict[str, Any]) -> "DataSource":
    """Returns the source that the options name, and takes them out of ``options``."""
    from ddw_graph.training.train import DataSource

    return DataSource(
        options.pop("data"),
        options.pop("root"),
        options.pop("image_size"),
        options.pop("download"),
    )
