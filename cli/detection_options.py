"""Options of the commands of detection."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ddw_graph.cli.training_options import value_options

if TYPE_CHECKING:
    from ddw_graph.detection.recipe import DetectionRecipe

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def numbers(text: str) -> tuple[int, ...]:
    """Returns whole numbers separated by commas.

    Example:
        >>> numbers("8,11")
        (8, 11)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} must be whole numbers separated by commas"
        ) from None


IN_PLACE = "In place of the preset's."
SETTINGS = {
    "min_size": (int, "Pixels that the shorter side is resized to."),
    "max_size": (int, "Most pixels of the longer side."),
    "levels": (numbers, "Reductions of the pyramid's levels: 4,8,16,32."),
    "anchor_sizes": (numbers, "Pixels: one a level, and one for the pooled level."),
    "pyramid_channels": (int, IN_PLACE),
    "head_features": (int, IN_PLACE),
    "norm": (str, "frozen or batch, in the backbone.  [default: frozen with --from]"),
    "frozen_layers": (
        int,
        "First layers that don't train: the stem, then stages.  [default: 0; with "
        "--from 2]",
    ),
}
VALUES = {
    "epochs": (int, IN_PLACE),
    "batch_size": (int, "Images of a step, those of all processes."),
    "learning_rate": (float, IN_PLACE),
    "weight_decay": (float, IN_PLACE),
    "warmup_steps": (int, IN_PLACE),
    "milestones": (numbers, "Epochs after which the rate falls: 8,11."),
    "gamma": (float, "Factor of the rate at each milestone."),
    "router_lr": (float, "Learning rate of the edge weights, in multiples."),
    "clip_norm": (float, "Largest norm of all gradients together; 0 for none."),
    "ema_decay": (float, "Of the average of the weights; 0 for none."),
    "ema_interval": (int, "Steps between two updates of the average."),
}

DETECTOR_ARGUMENT = click.argument("model", metavar="DETECTOR", type=PATH)

bad_boxes_option = click.option(
    "--bad-boxes",
    default="fail",
    show_default=True,
    help="fail, or skip boxes that have no size or are outside their image.",
)
bad_images_option = click.option(
    "--bad-images",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="skip: read all images once before, and leave out those that cannot be read.",
)


def score_option(text: str) -> Callable[[Command], Command]:
    """Returns the option ``--score`` with a help text."""
    return click.option(
        "--score",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help=text,
    )


def setting_options(command: Command) -> Command:
    """Returns ``command`` with the options that make a detector's settings."""
    command = value_options(command, SETTINGS)
    return click.option(
        "--settings",
        default="small",
        show_default=True,
        help="Settings of the detector: small (128 to 192 px) or coco (800 to 1333).",
    )(command)


def recipe_options(command: Command) -> Command:
    """Returns ``command`` with the options that make a recipe of detection."""
    switch = click.option(
        "--flip/--no-flip", default=None, help="Flip half of the training images."
    )
    command = switch(command)
    command = value_options(command, VALUES)
    return click.option(
        "--recipe",
        default="small",
        show_default=True,
        help="small, or 1x: COCO's schedule of 12 epochs.",
    )(command)


def settings_changes(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that change settings, and removes them."""
    return {key: options.pop(key) for key in SETTINGS}


def chosen_detection_recipe(name: str, options: dict[str, Any]) -> "DetectionRecipe":
    """Returns the recipe of the options, which are removed from ``options``."""
    from ddw_graph.detection.recipe import detection_recipe

    changes = {key: options.pop(key) for key in (*VALUES, "flip")}
    return detection_recipe(name, **changes)
