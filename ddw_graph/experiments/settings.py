"""What an experiment may set: the options of ``train``, by name, with their kinds."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddw_graph.errors import ModelError, RunError, UserError
from ddw_graph.experiments.axes import Value
from ddw_graph.models.backbones import is_backbone
from ddw_graph.nn.edges import edge_settings, edge_text
from ddw_graph.nn.network import Network
from ddw_graph.settings import WORDS, Setting, settings_of
from ddw_graph.training.budget_term import check_closing
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import check_seed, new_network
from ddw_graph.training.network_settings import NETWORK_SETTINGS
from ddw_graph.training.recipe import DEFAULT_RECIPES, Recipe, recipe_named

Kind = type[bool] | type[int] | type[float] | type[str]


def _kinds(settings: Mapping[str, Setting]) -> dict[str, Kind]:
    """Returns the kind of each setting in a file, where a path is a text."""
    return {k: str if each.type is Path else each.type for k, each in settings.items()}


DATA, NETWORK, RECIPE, EXECUTION = (
    _kinds(settings)
    for settings in (
        settings_of(DataSource),
        NETWORK_SETTINGS,
        settings_of(Recipe),
        settings_of(Execution),
    )
)
SETTINGS: dict[str, Kind] = {
    **DATA,
    **NETWORK,
    "recipe": str,
    **RECIPE,
    **EXECUTION,
    "seed": int,
}
ORIGINAL = "original"
"""The wiring that a network has without this library: a backbone as its library builds
it. RandWire's networks have none; the chain with shortcuts, without weights, takes its
place, which is to them what a residual network is to a backbone."""

BACKBONE_NAMES = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "mobilenet_v2": "MobileNetV2-1.0",
}
"""The networks of Table 6 under the paper's names."""


def typed(where: str, value: object, kind: Kind) -> Value:
    """Returns a value of a kind, an integer as the number that it is.

    Raises:
        RunError: If it is of another kind, or no finite number.
    """
    fits = isinstance(value, kind)
    if kind is float:
        fits = isinstance(value, int | float) and math.isfinite(value)
    if isinstance(value, bool) and kind is not bool:
        fits = False
    if not fits:
        raise RunError(f"{where} must be {WORDS[kind]}, got {value!r}")
    assert isinstance(value, bool | int | float | str)
    return float(value) if kind is float else value


def data_source(settings: Mapping[str, Value]) -> DataSource:
    """Returns where the samples of an experiment come from."""
    given: dict[str, Any] = {key: settings[key] for key in DATA if key in settings}
    name = given.pop("data", "fashion_mnist_mini")
    # Absolute, so that a run finds them wherever it is trained.
    paths: dict[str, Any] = {
        key: Path(given.pop(key)).resolve()
        for key in ("root", "tokenizer")
        if key in given
    }
    return DataSource(name, **paths, **given)


def recipe(settings: Mapping[str, Value]) -> Recipe:
    """Returns the recipe of some settings; that of their data where they name none.

    Raises:
        RunError: If there is no such recipe, or a value is out of range.
    """
    changes = {key: settings[key] for key in RECIPE if key in settings}
    if "budget" not in changes:  # such as edges that never close, beside those that do
        changes.pop("budget_weight", None)
    name = settings.get("recipe", DEFAULT_RECIPES[data_source(settings).task])
    return recipe_named(str(name), **changes)


def execution(settings: Mapping[str, Value]) -> Execution:
    """Returns how the steps of some settings are computed.

    Raises:
        RunError: If a value is out of range.
    """
    given: dict[str, Any] = {k: settings[k] for k in EXECUTION if k in settings}
    return Execution(**given)


def seed(settings: Mapping[str, Value]) -> int:
    """Returns the seed, 0 where there is none.

    Raises:
        RunError: If it is out of range.
    """
    value = int(settings.get("seed", 0))
    check_seed(value)
    return value


def network(
    settings: Mapping[str, Value], data: Any, channels: float | None = None
) -> Network:
    """Returns the network of some settings, as ``train`` makes it of its options.

    Args:
        settings: The settings.
        data: The images or the text.
        channels: In place of what the settings say.

    Raises:
        ModelError: If a setting is out of range, or not one of this network.
        WiringError: If a wiring is none.
    """
    given: dict[str, Any] = {key: settings[key] for key in NETWORK if key in settings}
    wanted = recipe(settings)
    if given.get("wiring") == ORIGINAL:
        if given.get("edges", "fixed") != "fixed":
            raise RunError(f"original has fixed edges, got {given['edges']}")
        backbone = is_backbone(given.get("model", ""))
        given |= {"wiring": None if backbone else "resnet", "edges": "fixed"}
    if wanted.budget is not None and "edges" in given:
        check_closing(edge_settings(given["edges"]))
    if channels is not None:
        given["channels"] = channels
    try:
        return new_network(data, wanted, seed=seed(settings), **given)
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"no network can be built: {error}") from error


def normal(name: str, value: Value) -> Value:
    """Returns a value in its one form: ``dynamic:bias=0`` of ``dynamic:bias=0.0``."""
    if name == "edges":
        return edge_text(edge_settings(str(value)))
    return value
