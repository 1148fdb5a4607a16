"""Checks of the arguments that stages and networks are made with."""

from collections.abc import Sequence
from math import isfinite
from numbers import Real
from operator import index
from typing import Any

from ddw_graph.errors import ModelError


def is_integer(value: object) -> bool:
    """Returns whether a value is an integer, as NumPy's are; a bool is none."""
    return hasattr(value, "__index__") and not isinstance(value, bool)


def check_integers(*, least: int = 1, **values: object) -> None:
    """Checks that values are integers and large enough.

    Example:
        >>> check_integers(num_classes=10.0)
        Traceback (most recent call last):
        ddw_graph.errors.ModelError: num_classes must be an integer, got 10.0
    """
    for name, value in values.items():
        if not is_integer(value):
            raise ModelError(f"{name} must be an integer, got {value!r}")
        if index(value) < least:  # type: ignore[arg-type]
            raise ModelError(f"{name} must be at least {least}, got {value}")


def check_share(name: str, value: object) -> None:
    """Checks that a value is a number in [0, 1]."""
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ModelError(f"{name} must be in [0, 1], got {value!r}")


def check_finite(**values: float) -> None:
    """Checks that values are finite numbers."""
    for name, value in values.items():
        if not isinstance(value, Real) or not isfinite(value):
            raise ModelError(f"{name} must be finite, got {value!r}")


def check_one_of(name: str, value: object, known: Sequence[object]) -> None:
    """Checks that a value is one of those known."""
    if value not in known:
        choices = ", ".join(map(str, known))
        raise ModelError(f"{name} must be one of {choices}, got {value!r}")


def saved_or_given(name: str, saved: Any, given: Any) -> Any:
    """Returns an argument of a saved network: the file's, or else the caller's.

    Args:
        name: Name of the argument.
        saved: What the file has; None where it cannot hold the argument.
        given: What the caller passes; None for nothing.
    """
    if saved is None and given is None:
        raise ModelError(
            f"a file cannot hold your own {name}: {name} must be given, got None"
        )
    if saved is not None and given is not None and saved != given:
        raise ModelError(
            f"{name} must not be given for a network whose file has another, got "
            f"{given!r} for one with {saved}"
        )
    return given if saved is None else saved
