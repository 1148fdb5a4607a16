"""What an experiment may set: the options of ``train``, by name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddw_graph.errors import ModelError, RunError, UserError
from ddw_graph.experiments.axes import Value
from ddw_graph.models.backbones import is_backbone
from ddw_graph.nn.network import Network
from ddw_graph.settings import Setting, fields_given, settings_of
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import new_network
from ddw_graph.training.network_settings import NETWORK_SETTINGS
from ddw_graph.training.recipe import (
    DEFAULT_RECIPES,
    RECIPES,
    Recipe,
    recipe_named,
)

DATA = settings_of(DataSource)
RECIPE = Setting("recipe", str, "Preset.", tuple(RECIPES))
SEED = Setting("seed", int, "Fixes a run.", "[0, 4294967296)")
SETTINGS = {
    # A path is a text in a file.
    name: replace(each, type=str) if each.type is Path else each
    for name, each in {
        **DATA,
        **NETWORK_SETTINGS,
        "recipe": RECIPE,
        **settings_of(Recipe),
        **settings_of(Execution),
        "seed": SEED,
    }.items()
}
ORIGINAL = "original"
"""The wiring that a network has without this library: a backbone as its library builds
it. RandWire's networks have none; the chain with shortcuts, without weights, takes its
place, which is to them what a residual network is to a backbone."""


def data_source(settings: Mapping[str, Value]) -> DataSource:
    """Returns where the samples of an experiment come from."""
    given = fields_given(DataSource, settings)
    for key in {"root", "tokenizer"} & given.keys():
        # Absolute, so that a run finds them wherever it is trained.
        given[key] = Path(given[key]).resolve()
    return DataSource(**given)


def recipe(settings: Mapping[str, Value]) -> Recipe:
    """Returns the recipe of some settings; that of their data where they name none.

    Raises:
        RunError: If values do not go together.
    """
    changes = fields_given(Recipe, settings)
    if "budget" not in changes:  # such as edges that never close, beside those that do
        changes.pop("budget_weight", None)
    name = settings.get("recipe", DEFAULT_RECIPES[data_source(settings).task])
    return recipe_named(str(name), **changes)


def execution(settings: Mapping[str, Value]) -> Execution:
    """Returns how the steps of some settings are computed."""
    return Execution(**fields_given(Execution, settings))


def seed(settings: Mapping[str, Value]) -> int:
    """Returns the seed, 0 where there is none."""
    return int(settings.get("seed", 0))


def network(
    settings: Mapping[str, Value], data: Any, channels: float | None = None
) -> Network:
    """Returns the network of some settings, as ``train`` makes it of its options.

    Args:
        settings: The settings.
        data: The images or the text.
        channels: Instead of that of the settings.

    Raises:
        ModelError: If a setting is out of range, or not one of this network.
        WiringError: If a wiring is none.
    """
    given: dict[str, Any] = {k: v for k, v in settings.items() if k in NETWORK_SETTINGS}
    if given.get("wiring") == ORIGINAL:
        if given.get("edges", "fixed") != "fixed":
            raise RunError(f"original has fixed edges, got {given['edges']}")
        backbone = is_backbone(given.get("model", ""))
        given |= {"wiring": None if backbone else "resnet", "edges": "fixed"}
    if channels is not None:
        given["channels"] = channels
    try:
        return new_network(data, recipe(settings), seed=seed(settings), **given)
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"no network can be built: {error}") from error
