"""Options of the commands of detection."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.setting_options import (
    Command,
    preset_settings,
    section,
    set_option,
    setting_option,
)
from ddw_graph.detection.recipe import DETECTION_RECIPES
from ddw_graph.detection.settings import SETTINGS
from ddw_graph.settings import Setting, settings_of
from ddw_graph.training.execution import Execution
from ddw_graph.training.network_settings import NETWORK_SETTINGS

PATH = click.Path(path_type=Path)
OF_RECIPE = preset_settings(DETECTION_RECIPES["small"])
SETTINGS_OF_TRAINING = {
    **OF_RECIPE,
    **preset_settings(
        SETTINGS["small"],
        norm="frozen with --from, otherwise batch",
        frozen_layers="2 with --from, otherwise 0",
    ),
    **settings_of(Execution),
    "node": NETWORK_SETTINGS["node"],
}
"""Every setting of the training of a detector by its name."""

DETECTOR_ARGUMENT = click.argument("model", metavar="DETECTOR", type=PATH)

bad_boxes_option = click.option(
    "--bad-boxes",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do with boxes that have no size or are outside their image.",
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


def _presets(name: str, presets: dict[str, Any], words: str) -> Any:
    setting = Setting(name, str, words, tuple(presets))
    return setting_option(setting, default="small")


recipe_options = section(
    "Detector and recipe, with the defaults of small",
    _presets(
        "settings", SETTINGS, "Of the detector: small (128 to 192 px) or coco (800 px)."
    ),
    _presets("recipe", DETECTION_RECIPES, "small, or 1x: COCO's 12 epochs."),
    *(
        setting_option(OF_RECIPE[name])
        for name in ("epochs", "batch_size", "learning_rate")
    ),
    set_option(SETTINGS_OF_TRAINING),
)
