"""The description of an experiment: a TOML file, checked before anything runs."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError, UserError
from ddw_graph.experiments.axes import Axis, Choices, Family, Point, Range, Value
from ddw_graph.experiments.settings import DATA, ORIGINAL, SETTINGS
from ddw_graph.generators.texts import plain_text, text_kinds
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.edges import edge_settings, edge_text
from ddw_graph.settings import Setting, check_settings, setting

DIRECTIONS = {
    "test_accuracy": "maximize",
    "test_loss": "minimize",
    "total_macs": "minimize",
}
"""What a search may optimise, and in which direction."""


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
    name: str = setting("", "The name that the report shows.")
    paper: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    reference: bool = setting(False, "Whether differences are to this entry.")

    def __post_init__(self) -> None:
        """Checks the values."""
        check_settings(self, RunError)


@dataclass(frozen=True)
class Spec:
    """An experiment as its file describes it; see ``docs/sweeps.md``.

    Its runs are every entry with every point of the axes. A setting holds its help.

    Args:
        axes: What varies.
        fixed: What all runs share.
        entries: Settings that vary together.

    Raises:
        RunError: If these do not fit each other.
    """

    axes: Mapping[str, Axis]
    fixed: Mapping[str, Value] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    search: str = setting(
        "grid",
        "grid for every combination; random or optuna for some.",
        ("grid", "random", "optuna"),
    )
    trials: int | None = setting(None, "How many, unless it is a grid.", "[1, inf)")
    search_seed: int = setting(0, "Fixes what the search draws.", "[0, 4294967296)")
    objective: tuple[str, ...] = setting(
        (), "What optuna optimises.", tuple(DIRECTIONS)
    )
    equal_macs: bool = setting(
        False,
        "Whether every network gets the width that gives it the total MACs of the "
        "first of its seed.",
    )
    title: str = setting("", "Title of the report.")
    notes: tuple[str, ...] = setting((), "Paragraphs of the report.")

    def __post_init__(self) -> None:
        """Checks each value, and what one value requires of another."""
        check_settings(self, RunError)
        if (self.search == "grid") != (self.trials is None):
            needs = "has no" if self.search == "grid" else "needs"
            raise RunError(f"search {self.search} {needs} trials, got {self.trials}")
        if bool(self.objective) != (self.search == "optuna"):
            given = f"objective = {list(self.objective)} with search {self.search}"
            raise RunError(f"only search optuna has an objective, got {given}")
        if len(set(self.objective)) < len(self.objective):
            raise RunError(f"objective must hold each once, got {self.objective}")
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


VARIED = [name for name in SETTINGS if name not in DATA]
"""What may differ between the runs of an experiment."""
HEAD = [each.name for each in fields(Spec)]
OF_ENTRY = [each.name for each in fields(Entry) if each.name != "settings"]


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
    with _named(str(path)):
        return spec_of(table)


def spec_of(table: Mapping[str, Any]) -> Spec:
    """Returns the experiment that a table of TOML describes.

    Raises:
        RunError: If a key or a value is wrong.

    Example:
        >>> spec_of({"axes": {"seed": [0, 1]}}).axes
        {'seed': Choices(values=(0, 1))}
    """
    if not {"fixed", "entries", "axes"} & table.keys():
        raise RunError("an experiment must have fixed, entries or axes, got none")
    _check_keys("an experiment", table, HEAD)
    parts: dict[str, Any] = {"fixed": {}, "axes": {}, "entries": [], **table}
    fixed, axes, entries = (parts.pop(key) for key in ("fixed", "axes", "entries"))
    if parts.get("search") == "optuna" and "objective" not in parts:
        text = isinstance(fixed, dict) and fixed.get("data") == "text"
        parts["objective"] = "test_loss" if text else "test_accuracy"
    if isinstance(parts.get("objective"), str):
        parts["objective"] = [parts["objective"]]
    if not isinstance(entries, list):
        raise RunError(f"entries must be a list of tables, got {entries!r}")
    _check_keys("fixed", fixed, SETTINGS)
    _check_keys("axes", axes, VARIED)
    others: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in parts.items()
    }
    return Spec(
        {
            key: _axis(f"axes.{key}", SETTINGS[key], value)
            for key, value in axes.items()
        },
        {key: _value(f"fixed.{key}", SETTINGS[key], v) for key, v in fixed.items()},
        tuple(map(_entry, entries)),
        **others,
    )


def _entry(table: Mapping[str, Any]) -> Entry:
    _check_keys("an entry", table, [*OF_ENTRY, *VARIED])
    about = {key: value for key, value in table.items() if key in OF_ENTRY}
    settings = {
        key: _value(f"entries.{key}", SETTINGS[key], value)
        for key, value in table.items()
        if key not in OF_ENTRY
    }
    paper = about.pop("paper", {})
    if not isinstance(paper, dict):
        raise RunError(f"paper must be a table, got {paper!r}")
    return Entry(settings, paper={k: _place(k, v) for k, v in paper.items()}, **about)


def _place(title: str, place: object) -> tuple[str, str, str]:
    """Returns where a figure of the paper stands."""
    if isinstance(place, list) and len(place) == 3:
        table, row, column = map(str, place)
        if (row, column) in paper_figures(table):
            return table, row, column
    raise RunError(
        "paper must give table, row and column of a figure in "
        f"ddw_graph/models/paper_tables.csv, got {title} = {place!r}"
    )


def _check_keys(where: str, table: object, known: Collection[str]) -> None:
    if not isinstance(table, dict):
        raise RunError(f"{where} must be a table, got {table!r}")
    for key, value in table.items():
        if key not in known:
            raise RunError(
                f"{where} may hold {', '.join(known)}, got {key} = {value!r}"
            )


def _value(where: str, of: Setting, value: Any) -> Value:
    """Returns a value in its one form: ``dynamic:bias=0`` of ``dynamic:bias=0.0``."""
    replace(of, name=where, optional=False).check(value, RunError)
    found: Value = float(value) if of.type is float else value
    with _named(where):
        if of.name == "edges":
            found = edge_text(edge_settings(value))
        elif of.name == "wiring" and value != ORIGINAL:
            found = plain_text(value)
    return found


def _axis(where: str, of: Setting, value: object) -> Axis:
    if isinstance(value, dict):
        return _range(where, of, value)
    if not isinstance(value, list) or not value:
        raise RunError(
            f"{where} must be a list that is not empty, or a range, got {value!r}"
        )
    found: list[Value | Family] = []
    for one in value:
        is_family = of.name == "wiring" and isinstance(one, dict)
        new = _family(where, one) if is_family else _value(where, of, one)
        if new in found:
            raise RunError(f"{where} must hold each value once, got {one!r} twice")
        found.append(new)
    return Choices(tuple(found))


def _family(where: str, table: Mapping[str, Any]) -> Family:
    name = table.get("generator")
    if not isinstance(name, str):
        raise RunError(
            f"{where} must hold texts such as 'ws:k=4,p=0.75' and tables such as "
            f"{{generator = 'ws', k = [2, 4], p = 0.5}}, got {table!r}"
        )
    arguments = {key: one for key, one in table.items() if key != "generator"}
    with _named(where):
        kinds = text_kinds(name)
        _check_keys(name, arguments, kinds)
    family = Family(
        name,
        {
            key: _axis(
                f"{where} {name}.{key}",
                Setting(key, kinds[key], ""),
                one if isinstance(one, list | dict) else [one],
            )
            for key, one in arguments.items()
        },
    )
    with _named(where):
        family.ends()
    return family


def _range(where: str, of: Setting, table: Mapping[str, Any]) -> Range:
    if of.type in (bool, str):
        raise RunError(f"{where} must be a list, got {table!r}")
    if not {"min", "max"} <= table.keys() <= {"min", "max", "log"}:
        raise RunError(f"{where} must be a list or hold min, max, log, got {table!r}")
    low: Any = _value(f"{where}.min", of, table["min"])
    high: Any = _value(f"{where}.max", of, table["max"])
    log = bool(
        _value(f"{where}.log", Setting("log", bool, ""), table.get("log", False))
    )
    if not low < high:
        raise RunError(f"{where} must have min below max, got {low} and {high}")
    if log and low <= 0:
        raise RunError(f"{where}.min must be more than 0 with log, got {low}")
    return Range(low, high, log, of.type is int)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Puts the place of a mistake before its message."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{where}: {error}") from error
