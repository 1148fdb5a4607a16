"""Settings: fields of a dataclass that hold a type, a rule, a help text and a default.

Options, keys of files, checks and error messages are derived from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf, isfinite
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from ddw_graph.errors import UserError

Preset = TypeVar("Preset")
Rule = str | tuple[str, ...] | None

WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    Path: "a path",
}


@dataclass(frozen=True)
class Setting:
    """A setting: its name and what its value may be.

    Args:
        name: Its name in options, files and messages.
        type: bool, int, float, str or Path.
        help: What it is, in a sentence.
        rule: The values that are allowed: an interval such as ``[0, 1)``, or a tuple of
            all of them; None for any, of numbers any finite one.
        default: Its value where none is given.
        optional: Whether the value may be None.
        many: Whether the value is a tuple of values.
        field: Its name in the dataclass.
    """

    name: str
    type: Any
    help: str
    rule: Rule = None
    default: Any = None
    optional: bool = True
    many: bool = False
    field: str = ""

    def check(self, value: Any, error: type[UserError] = UserError) -> None:
        """Checks a value.

        Raises:
            UserError: An ``error``, if its type or value is not allowed.
        """
        if value is None and self.optional:
            return
        several = isinstance(value, tuple)
        items = value if several else (value,)
        if several != self.many or not all(_is_a(item, self.type) for item in items):
            rule = WORDS[self.type] + ", or several with commas" * self.many
        elif not all(_follows(item, self.rule) for item in items):
            rule = _in_words(self.rule, self.type)
        else:
            return
        raise error(f"{self.name} must be {rule}, got {value!r}")

    def parse(self, text: str) -> Any:
        """Returns the value that a text stands for.

        Raises:
            UserError: If it stands for none, or for one that is not allowed.

        Example:
            >>> Setting("levels", int, "Levels.", many=True).parse("8,16")
            (8, 16)
        """
        named = {"true": True, "false": False}.__getitem__
        convert: Any = named if self.type is bool else self.type
        value: Any
        try:
            items = [convert(part) for part in text.split(",")] if self.many else []
            value = tuple(items) if self.many else convert(text)
        except (ValueError, KeyError):
            value = text  # which the check refuses
        self.check(value)
        return value


def setting(
    default: Any, help: str, rule: Rule = None, *, name: str | None = None
) -> Any:
    """Returns a field of a dataclass; for the arguments see ``Setting``.

    Example:
        >>> @dataclass(frozen=True)
        ... class Oven:
        ...     heat: float = setting(180.0, "Degrees.", "[0, 300]")
        >>> settings_of(Oven)["heat"].parse("200")
        200.0
    """
    return field(default=default, metadata={"help": help, "rule": rule, "name": name})


def settings_of(kind: type) -> dict[str, Setting]:
    """Returns the settings of a dataclass by name; its other fields are left out.

    A field that a subclass gives another default keeps its help and rule.
    """
    about: dict[str, Mapping[str, Any]] = {}
    for base in reversed(kind.__mro__):
        own = vars(base).get("__dataclass_fields__", {}).values()
        about |= {each.name: each.metadata for each in own if each.metadata}
    found = {}
    for each in (each for each in fields(kind) if each.name in about):
        of_type = get_args(each.type)
        optional = NoneType in of_type
        one = of_type[0] if optional else each.type
        many = get_origin(one) is tuple
        name = about[each.name]["name"] or each.name
        found[name] = Setting(
            name,
            get_args(one)[0] if many else one,
            about[each.name]["help"],
            about[each.name]["rule"],
            each.default,
            optional,
            many,
            each.name,
        )
    return found


def check_settings(settings: Any, error: type[UserError]) -> None:
    """Checks each value of a dataclass of settings.

    Raises:
        UserError: An ``error``, if a type or a value is not allowed.
    """
    for each in settings_of(type(settings)).values():
        each.check(getattr(settings, each.field), error)


def fields_given(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns by field those of some values that a dataclass has as settings.

    Args:
        kind: The dataclass.
        values: By name; None is no value.
    """
    given = {s.field: values.get(name) for name, s in settings_of(kind).items()}
    return {name: value for name, value in given.items() if value is not None}


def as_json(settings: Any) -> dict[str, Any]:
    """Returns the values of a dataclass by field, ready for JSON."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def preset(
    presets: Mapping[str, Preset],
    name: str,
    changes: Mapping[str, Any],
    *,
    called: str,
    error: type[UserError],
) -> Preset:
    """Returns a preset with some fields changed; None changes nothing.

    Raises:
        UserError: An ``error``, if there is no such preset or field.
    """
    if name not in presets:
        raise error(f"{called} must be one of {', '.join(presets)}, got {name!r}")
    chosen: Any = presets[name]
    unknown = sorted(set(changes) - {each.name for each in fields(chosen)})
    if unknown:
        raise error(f"{called} has no {', '.join(unknown)}")
    given = {key: value for key, value in changes.items() if value is not None}
    changed: Preset = replace(chosen, **given)
    return changed


def _is_a(value: object, kind: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, {int: Integral, float: Real}.get(kind, kind))


def _follows(value: Any, rule: Rule) -> bool:
    if rule is None:
        return not isinstance(value, float) or isfinite(value)
    if isinstance(rule, tuple):
        return value in rule
    low, high = map(float, rule[1:-1].split(","))
    above = low <= value if rule[0] == "[" else low < value
    below = value <= high if rule[-1] == "]" else value < high
    return bool(above and below)


def _in_words(rule: Any, kind: Any) -> str:
    if rule is None:
        return "finite"
    if isinstance(rule, tuple):
        return " or ".join(rule) if len(rule) < 3 else f"one of {', '.join(rule)}"
    low, high = rule[1:-1].split(", ")
    if float(high) < inf:
        return f"in {rule}"
    least = f"at least {low}" if rule[0] == "[" else f"more than {low}"
    return least if kind is int else f"finite and {least}"
