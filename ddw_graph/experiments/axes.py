"""Axes of an experiment: what may vary, and the points between."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from ddw_graph.errors import RunError
from ddw_graph.generators.registry import wiring_text
from ddw_graph.generators.texts import plain_text

Value: TypeAlias = bool | int | float | str
Point: TypeAlias = dict[str, Value]
"""The value of each setting that varies."""


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``.

    Args:
        low: The least.
        high: The largest.
        log: Whether equal factors, not equal distances, are equally likely.
        whole: Whether only integers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def ends(self) -> tuple[Value, ...]:
        """Returns the least and the largest."""
        return self.low, self.high

    def rounded(self, number: float) -> float:
        """Returns a number of the range in four digits, which a name holds whole.

        Example:
            >>> Range(0.1, 0.5).rounded(0.123456)
            0.1235
        """
        return min(max(float(f"{number:.4g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """Some values, each as likely as the others."""

    values: tuple[Value, ...]

    def ends(self) -> tuple[Value, ...]:
        """Returns all of them."""
        return self.values


@dataclass(frozen=True)
class Family:
    """Wirings of one generator, or the one that a text names.

    Args:
        name: The generator, or the text.
        arguments: What each argument may be; none for a text.
    """

    name: str
    arguments: Mapping[str, Choices | Range] = field(default_factory=dict)

    def text(self, values: Mapping[str, Value]) -> str:
        """Returns the wiring of some arguments."""
        return plain_text(wiring_text(self.name, values))

    def ends(self) -> Iterator[str]:
        """Gives a wiring for each end of each argument, the others at their first."""
        first = {key: axis.ends()[0] for key, axis in self.arguments.items()}
        yield self.text(first)
        for key, axis in self.arguments.items():
            for value in axis.ends()[1:]:
                yield self.text({**first, key: value})


@dataclass(frozen=True)
class Wirings:
    """Families of wirings, each as likely as the others."""

    families: tuple[Family, ...]

    def ends(self) -> tuple[Value, ...]:
        """Returns what each family's arguments end in."""
        return tuple(text for family in self.families for text in family.ends())


Axis: TypeAlias = Range | Choices | Wirings


@runtime_checkable
class Chooser(Protocol):
    """What chooses among values: chance, or a search that learns."""

    def choice(self, name: str, among: Sequence[Value]) -> int:
        """Returns the place of one of the values."""

    def number(self, name: str, among: Range) -> int | float:
        """Returns a number of a range."""


def grid(axes: Mapping[str, Axis]) -> list[Point]:
    """Returns every combination, the last axis varying fastest.

    Raises:
        RunError: If an axis is a range, or gives a value twice.

    Example:
        >>> axes = {"seed": Choices((0, 1)), "edges": Choices(("fixed", "learned"))}
        >>> [point["edges"] for point in grid(axes)]
        ['fixed', 'learned', 'fixed', 'learned']
    """
    values = {name: _listed(name, axis) for name, axis in axes.items()}
    for name, some in values.items():
        for place, value in enumerate(some):
            if value in some[:place]:
                raise RunError(f"axes.{name} must give each value once, got {value!r}")
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


def drawn(axes: Mapping[str, Axis], chooser: Chooser) -> Point:
    """Returns the point that a chooser takes."""

    def one(name: str, axis: Choices | Range) -> Value:
        if isinstance(axis, Range):
            return chooser.number(name, axis)
        return axis.values[chooser.choice(name, axis.values)]

    point: Point = {}
    for name, axis in axes.items():
        if not isinstance(axis, Wirings):
            point[name] = one(name, axis)
            continue
        labels = [f"{place} {f.name}" for place, f in enumerate(axis.families)]
        place = chooser.choice(name, labels)
        family = axis.families[place]
        arguments = {
            key: one(f"{name} {labels[place]} {key}", inner)
            for key, inner in family.arguments.items()
        }
        point[name] = family.text(arguments)
    return point


def first(axes: Mapping[str, Axis]) -> Point:
    """Returns the point of each axis's first value."""
    return {name: axis.ends()[0] for name, axis in axes.items()}


def ends(axes: Mapping[str, Axis]) -> Iterator[Point]:
    """Gives the first point, and one for each end of each axis."""
    start = first(axes)
    yield start
    for name, axis in axes.items():
        for value in axis.ends()[1:]:
            yield start | {name: value}


def _listed(name: str, axis: Axis) -> list[Value]:
    """Returns the values of an axis, every combination of a family's arguments."""
    if isinstance(axis, Choices):
        return list(axis.values)
    if isinstance(axis, Range):
        raise RunError(
            f"a grid needs a list for axes.{name}, got the range {axis.low} to "
            f"{axis.high}; search random or optuna takes ranges"
        )
    found: list[Value] = []
    for family in axis.families:
        lists = [_listed(f"{name}.{k}", a) for k, a in family.arguments.items()]
        for values in itertools.product(*lists):
            found.append(family.text(dict(zip(family.arguments, values, strict=True))))
    return found
