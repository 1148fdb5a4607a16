"""Every setting keeps its rule, however its value is given."""

from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from ddw_graph.cli.execution_options import computing_device
from ddw_graph.cli.main import COMMANDS, main
from ddw_graph.detection.recipe import DetectionRecipe
from ddw_graph.detection.settings import DetectorSettings
from ddw_graph.errors import UserError
from ddw_graph.settings import Setting, settings_of
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.network_settings import NETWORK_SETTINGS
from ddw_graph.training.recipe import Recipe

KINDS: tuple[Any, ...] = (
    Recipe,
    DetectionRecipe,
    DetectorSettings,
    DataSource,
    Execution,
)
ALL = [(kind, each) for kind in KINDS for each in settings_of(kind).values()]


def of_other_types(setting: Setting) -> list[Any]:
    """Returns values that are not of a setting's type."""
    strange: list[Any] = [1 if setting.type is bool else True, [], b""]
    numbers: dict[Any, list[Any]] = {int: ["1", 1.5], float: ["1"]}
    return strange + numbers.get(setting.type, [])


def outside(setting: Setting) -> list[Any]:
    """Returns values of a setting's type that its rule does not allow."""
    if setting.rule is None:
        return [inf, nan] if setting.type is float else []
    if isinstance(setting.rule, tuple):
        return ["none of them"]
    low, high = (float(end) for end in setting.rule[1:-1].split(","))
    ends = [low - 1, 2 * high + 1]
    ends += [low] if setting.rule[0] == "(" else []
    ends += [high] if setting.rule[-1] == ")" else []
    if setting.type is int:
        return [int(end) for end in ends if abs(end) < inf]
    return [*(end for end in ends if not low < end < high), nan]


@pytest.mark.parametrize(("kind", "setting"), ALL)
def test_a_value_that_breaks_its_rule_is_refused_by_name(
    kind: Any, setting: Setting
) -> None:
    several = setting.many
    setting.check(setting.default)
    for value in of_other_types(setting):
        with pytest.raises(UserError, match=f"^{setting.name} must be"):
            setting.check((value,) if several else value)
    for value in outside(setting):
        given = {setting.field: (value,) if several else value}
        with pytest.raises(UserError, match=f"^{setting.name} must be"):
            replace(kind(), **given)


@pytest.mark.parametrize(
    ("kind", "setting"), [*ALL, *((None, each) for each in NETWORK_SETTINGS.values())]
)
def test_a_text_gives_the_value_that_it_shows(kind: Any, setting: Setting) -> None:
    default: Any = setting.default
    if default is None:
        default = {int: 3, float: 0.5, Path: Path("a"), str: "text"}[setting.type]
        if isinstance(setting.rule, tuple):
            default = setting.rule[0]
        if setting.many:
            default = (default, default)
    text = str(default).lower() if isinstance(default, bool) else str(default)
    if isinstance(default, tuple):
        text = ",".join(map(str, default))
    assert setting.parse(text) == default
    if setting.type in (int, float, bool):
        with pytest.raises(UserError, match=f"{setting.name} must be .*, got 'many'"):
            setting.parse("many")


def commands() -> dict[str, click.Command]:
    """Returns every command by its name."""
    context = click.Context(main)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        children = command.commands if isinstance(command, click.Group) else {}
        found |= {name: command} if not children else {}
        found |= {f"{name} {child}": each for child, each in children.items()}
    return found


def reached(command: click.Command) -> set[str]:
    """Returns the settings that a command takes, by options or ``--set``."""
    names = {param.name or "" for param in command.params}
    return names.union(*(getattr(param, "settings", ()) for param in command.params))


def test_every_setting_of_a_training_is_reached() -> None:
    of_training = {*settings_of(DataSource), *settings_of(Recipe), *NETWORK_SETTINGS}
    of_training |= {*settings_of(Execution)}
    every = commands()
    assert of_training <= reached(every["train"])
    entries = {"wiring", "edges", "channels", "budget"}
    for name in ("compare", "ablate"):
        assert of_training - entries <= reached(every[name]) | {"model"}
    of_detector = {*settings_of(DetectionRecipe), *settings_of(DetectorSettings)}
    assert of_detector | {*settings_of(Execution)} <= reached(every["detect train"])


def test_every_command_that_computes_takes_threads_alike() -> None:
    for name, command in commands().items():
        options = {param.name: param for param in command.params}
        if "device" in options:
            found = options["threads"]
            assert found.opts == ["--threads"] and "OMP_NUM_THREADS" in str(
                getattr(found, "help", "")
            ), name
    before = torch.get_num_threads()
    try:
        assert computing_device("cpu", before + 1) == "cpu"
        assert torch.get_num_threads() == before + 1
        computing_device("cpu", None)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
