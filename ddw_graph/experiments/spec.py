"""The description of an experiment: a TOML file, checked before anything runs."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError, UserError
from ddw_graph.experiments.axes import (
    Axis,
    Choices,
    Family,
    Point,
    Range,
    Value,
    Wirings,
)
from ddw_graph.experiments.settings import (
    DATA,
    ORIGINAL,
    SETTINGS,
    Kind,
    normal,
    typed,
)
from ddw_graph.generators.texts import text_kinds
from ddw_graph.models.paper import paper_figures

SEARCHES = ("grid", "random", "optuna")
DIRECTIONS = {
    "test_accuracy": "maximize",
    "test_loss": "minimize",
    "total_macs": "minimize",
}
"""What a search may optimise, and in which direction."""

HEAD: dict[str, Any] = {
    "title": str,
    "notes": list,
    "search": str,
    "trials": int,
    "search_seed": int,
    "objective": str | list,
    "equal_macs": bool,
    "fixed": dict,
    "entries": list,
    "axes": dict,
}
ABOUT: dict[str, Any] = {"name": str, "paper": dict, "reference": bool}
"""What an entry holds beside settings."""

RANGE = {"min", "max", "log"}


@dataclass(frozen=True)
class Entry:
    """Settings that some runs share, such as a wiring with a kind of edges.

    Args:
        settings: The settings.
        name: The name under which it is known.
        paper: Where the paper's accuracy of it stands, by a title: table, row and
            column of ``paper_figures``.
        reference: Whether differences are to this entry.
    """

    settings: Point
    name: str = ""
    paper: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    reference: bool = False


@dataclass(frozen=True)
class Spec:
    """An experiment as its file describes it; see ``docs/sweeps.md``.

    Its runs are every entry with every point of the axes.

    Args:
        axes: What varies.
        fixed: What all runs share.
        entries: Settings that vary together.
        search: ``grid`` for every combination, ``random`` or ``optuna`` for some.
        trials: How many of them, unless it is a grid.
        search_seed: Fixes what the search draws.
        objective: What ``optuna`` optimises.
        equal_macs: Whether every network gets the width that gives it the total MACs
            of the first of its seed.
        title: Title of the report.
        notes: Paragraphs of the report.

    Raises:
        RunError: If these do not fit each other.
    """

    axes: Mapping[str, Axis]
    fixed: Mapping[str, Value] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    search: str = "grid"
    trials: int | None = None
    search_seed: int = 0
    objective: tuple[str, ...] = ()
    equal_macs: bool = False
    title: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks what one value requires of another."""
        if self.search not in SEARCHES:
            names = ", ".join(SEARCHES)
            raise RunError(f"search must be one of {names}, got {self.search!r}")
        if (self.search == "grid") != (self.trials is None):
            needs = "has no" if self.search == "grid" else "needs"
            raise RunError(f"search {self.search} {needs} trials, got {self.trials}")
        if self.trials is not None and self.trials < 1:
            raise RunError(f"trials must be at least 1, got {self.trials}")
        if not 0 <= self.search_seed < 2**32:
            rule = "search_seed must be in [0, 2**32)"
            raise RunError(f"{rule}, got {self.search_seed}")
        if bool(self.objective) != (self.search == "optuna"):
            given = f"objective = {list(self.objective)} with search {self.search}"
            raise RunError(f"only search optuna has an objective, got {given}")
        for name in self.objective:
            if name not in DIRECTIONS or self.objective.count(name) > 1:
                known = ", ".join(DIRECTIONS)
                raise RunError(f"objective must be of {known}, each once, got {name!r}")
        if self.entries and self.search != "grid":
            raise RunError(f"entries need search grid, got search {self.search}")
        varied = {key for entry in self.entries for key in entry.settings}
        for name in {*self.axes, *varied}:
            if name in self.fixed or (name in self.axes and name in varied):
                raise RunError(
                    f"{name} must be fixed, an axis or of entries, got it twice"
                )
        for place, entry in enumerate(self.entries):
            if entry.settings in [other.settings for other in self.entries[:place]]:
                raise RunError(f"entries must differ, got {entry.settings} twice")
        if self.equal_macs and "channels" in {*self.axes, *varied}:
            raise RunError("equal_macs chooses channels, got channels that vary too")


def read_spec(path: Path) -> Spec:
    """Returns the experiment that a TOML file describes.

    Raises:
        RunError: If the file cannot be read, or a key or a value in it is wrong.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RunError(f"{path} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} must hold TOML, got: {error}") from error
    try:
        return spec_of(table)
    except UserError as error:
        raise type(error)(f"{path}: {error}") from error


def spec_of(table: Mapping[str, Any]) -> Spec:
    """Returns the experiment that a table of TOML describes.

    Raises:
        RunError: If a key or a value is wrong.

    Example:
        >>> spec_of({"axes": {"seed": [0, 1]}}).axes
        {'seed': Choices(values=(0, 1))}
    """
    _check_keys("an experiment", table, HEAD)
    _check_kinds("", table, HEAD)
    parts = ("fixed", "entries", "axes", "notes", "objective")
    head = {key: value for key, value in table.items() if key not in parts}
    objective = table.get("objective", ())
    if head.get("search") == "optuna" and "objective" not in table:
        text = table.get("fixed", {}).get("data") == "text"
        objective = "test_loss" if text else "test_accuracy"
    fixed, axes = table.get("fixed", {}), table.get("axes", {})
    entries = table.get("entries", [])
    varied = {key: kind for key, kind in SETTINGS.items() if key not in DATA}
    _check_keys("fixed", fixed, SETTINGS)
    _check_keys("axes", axes, varied)
    for entry in entries:
        if not isinstance(entry, dict):
            raise RunError(f"entries must be tables, got {entry!r}")
        _check_keys("an entry", entry, {**ABOUT, **varied})
        _check_kinds("entries.", {k: entry[k] for k in ABOUT if k in entry}, ABOUT)
    spec = Spec(
        {key: _axis(f"axes.{key}", key, value) for key, value in axes.items()},
        {key: _value(f"fixed.{key}", key, value) for key, value in fixed.items()},
        tuple(map(_entry, entries)),
        objective=(objective,) if isinstance(objective, str) else (*objective,),
        notes=tuple(map(str, table.get("notes", ()))),
        **head,
    )
    if not table:
        raise RunError("an experiment must have fixed, entries or axes, got none")
    return spec


def _entry(table: Mapping[str, Any]) -> Entry:
    about = {key: value for key, value in table.items() if key in ABOUT}
    for title, place in about.get("paper", {}).items():
        if not isinstance(place, list) or len(place) != 3:
            raise RunError(
                f"paper must give table, row and column, got {title} = {place!r}"
            )
        table_name, row, column = map(str, place)
        if (row, column) not in paper_figures(table_name):
            raise RunError(
                "paper must give a figure of ddw_graph/models/paper_tables.csv, got "
                f"{title} = {place!r}"
            )
        about["paper"] = about["paper"] | {title: (table_name, row, column)}
    settings = {
        key: _value(f"entries.{key}", key, value)
        for key, value in table.items()
        if key not in ABOUT
    }
    return Entry(settings, **about)


def _check_kinds(
    where: str, table: Mapping[str, Any], kinds: Mapping[str, Any]
) -> None:
    words = {int: "an integer", bool: "true or false", dict: "a table", list: "a list"}
    for key, value in table.items():
        kind = kinds[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            rule = words.get(kind, "a text" if kind is str else "a text or a list")
            raise RunError(f"{where}{key} must be {rule}, got {value!r}")


def _check_keys(where: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key, value in table.items():
        if key not in known:
            raise RunError(
                f"{where} may hold {', '.join(known)}, got {key} = {value!r}"
            )


def _value(where: str, key: str, value: object) -> Value:
    found = typed(where, value, SETTINGS[key])
    try:
        if key == "wiring" and found != ORIGINAL:
            return Family(str(found)).text({})
        return normal(key, found)
    except UserError as error:
        raise type(error)(f"{where}: {error}") from error


def _axis(where: str, key: str, value: object) -> Axis:
    if key != "wiring":
        return _choices_or_range(where, key, value, SETTINGS[key])
    if not isinstance(value, list) or not value:
        raise RunError(f"{where} must be a list that is not empty, got {value!r}")
    return Wirings(tuple(_family(where, one) for one in value))


def _family(where: str, value: object) -> Family:
    if isinstance(value, str):
        family = Family(value)
    elif isinstance(value, dict) and isinstance(value.get("generator"), str):
        arguments = {key: one for key, one in value.items() if key != "generator"}
        name = value["generator"]
        try:
            kinds = text_kinds(name)
        except UserError as error:
            raise type(error)(f"{where}: {error}") from error
        _check_keys(f"{where} {name}", arguments, kinds)
        axes = {}
        for key, one in arguments.items():
            some = one if isinstance(one, list | dict) else [one]
            axes[key] = _choices_or_range(
                f"{where} {name}.{key}", key, some, kinds[key]
            )
        family = Family(name, axes)
    else:
        raise RunError(
            f"{where} must hold texts such as 'ws:k=4,p=0.75' and tables such as "
            f"{{generator = 'ws', k = [2, 4], p = 0.5}}, got {value!r}"
        )
    try:
        list(family.ends())
    except UserError as error:
        raise type(error)(f"{where}: {error}") from error
    return family


def _choices_or_range(
    where: str, key: str, value: object, kind: Kind
) -> Choices | Range:
    if isinstance(value, dict):
        return _range(where, value, kind)
    if not isinstance(value, list):
        raise RunError(f"{where} must be a list or a range, got {value!r}")
    if not value:
        raise RunError(f"{where} must be a list that is not empty, got []")
    found: list[Value] = []
    for one in value:
        try:
            new = normal(key, typed(where, one, kind))
        except UserError as error:
            words = str(error)
            message = words if words.startswith(where) else f"{where}: {words}"
            raise type(error)(message) from error
        if new in found:
            raise RunError(f"{where} must hold each value once, got {one!r} twice")
        found.append(new)
    return Choices(tuple(found))


def _range(where: str, value: Mapping[str, Any], kind: Kind) -> Range:
    if kind in (bool, str):
        raise RunError(f"{where} must be a list, got {value!r}")
    if not {"min", "max"} <= set(value) <= RANGE:
        raise RunError(f"{where} must be a list or hold min, max, log, got {value!r}")
    low = typed(f"{where}.min", value["min"], kind)
    high = typed(f"{where}.max", value["max"], kind)
    log = bool(typed(f"{where}.log", value.get("log", False), bool))
    assert not isinstance(low, str) and not isinstance(high, str)
    if not low < high:
        raise RunError(f"{where} must have min below max, got {low} and {high}")
    if log and low <= 0:
        raise RunError(f"{where}.min must be more than 0 with log, got {low}")
    return Range(low, high, log, kind is int)
