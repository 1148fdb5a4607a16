"""Presets: named values of frozen settings, some of which may be changed."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from ddw_graph.errors import UserError

Settings = TypeVar("Settings")


def preset(
    presets: Mapping[str, Settings],
    name: str,
    changes: Mapping[str, Any],
    *,
    called: str,
    whole: str,
    error: type[UserError],
) -> Settings:
    """Returns a preset with some of its values changed; None changes nothing.

    Args:
        presets: Settings of one dataclass by name.
        name: Which.
        changes: Values by field.
        called: What the name is the value of, for the words of an error.
        whole: What has the values, likewise.
        error: What to raise.

    Raises:
        UserError: An ``error``, if there is no such preset or value; or what the
            dataclass raises of a value.
    """
    if name not in presets:
        raise error(f"{called} must be one of {', '.join(presets)}, got {name!r}")
    chosen: Any = presets[name]
    unknown = sorted(set(changes) - {field.name for field in fields(chosen)})
    if unknown:
        raise error(f"{whole} has no {', '.join(unknown)}")
    told = {key: value for key, value in changes.items() if value is not None}
    changed: Settings = replace(chosen, **told)
    return changed
