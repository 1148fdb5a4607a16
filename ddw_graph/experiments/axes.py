"""Axes of an experiment: what may vary, and the points between."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, Union, runtime_checkable

import numpy as np

from ddw_graph.errors import RunError
from ddw_graph.generators.registry import wiring_text
from ddw_graph.generators.texts import plain_text

Value: TypeAlias = bool | int | float | str
Point: TypeAlias = dict[str, Value]
"""The value of each setting that varies."""


@runtime_checkable
class Chooser(Protocol):
    """What chooses among values: chance, or a search that learns."""

    def choice(self, name: str, among: Sequence[str]) -> int:
        """Returns the index of one of some values."""

    def number(self, name: str, among: "Range") -> int | float:
        """Returns a number of a range."""


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

    def ends(self) -> list[Value]:
        """Returns the least and the largest."""
        return [self.low, self.high]

    def listed(self, name: str) -> list[Value]:
        """Refuses: a range has no list of values."""
        raise RunError(
            f"a grid needs a list for axes.{name}, got the range {self.low} to "
            f"{self.high}; search random or optuna takes ranges"
        )

    def drawn(self, name: str, chooser: Chooser) -> Value:
        """Returns the number that a chooser takes."""
        return chooser.number(name, self)

    def rounded(self, number: float) -> float:
        """Returns a number of the range in four digits, which a name holds whole.

        Example:
            >>> Range(0.1, 0.5).rounded(0.123456)
            0.1235
        """
        return min(max(float(f"{number:.4g}"), self.low), self.high)

    def at(self, share: float) -> int | float:
        """Returns the number at a share of the range, in ``[0, 1)``.

        Example:
            >>> Range(0.01, 1.0, log=True).at(0.5), Range(1, 4, whole=True).at(0.99)
            (0.1, 4)
        """
        low, high = self.low, self.high + self.whole
        if self.log:
            found = float(low * (high / low) ** share)
        else:
            found = low + (high - low) * share
        return min(int(found), int(self.high)) if self.whole else self.rounded(found)


@dataclass(frozen=True)
class Choices:
    """Some values or families of values, each as likely as the others."""

    values: tuple[Union[Value, "Family"], ...]

    def ends(self) -> list[Value]:
        """Returns the values, and the ends of the families."""
        return [
            end
            for one in self.values
            for end in (one.ends() if isinstance(one, Family) else [one])
        ]

    def listed(self, name: str) -> list[Value]:
        """Returns all values, every combination of a family's arguments."""
        return [
            each
            for one in self.values
            for each in (one.listed(name) if isinstance(one, Family) else [one])
        ]

    def drawn(self, name: str, chooser: Chooser) -> Value:
        """Returns the value that a chooser takes."""
        labels = [
            f"{place} {one.name if isinstance(one, Family) else one}"
            for place, one in enumerate(self.values)
        ]
        place = chooser.choice(name, labels)
        one = self.values[place]
        if isinstance(one, Family):
            return one.drawn(f"{name} {labels[place]}", chooser)
        return one


@dataclass(frozen=True)
class Family:
    """Wirings of one generator.

    Args:
        name: The generator.
        arguments: What each argument may be.
    """

    name: str
    arguments: Mapping[str, Choices | Range]

    def text(self, values: Mapping[str, Value]) -> str:
        """Returns the wiring of some arguments."""
        return plain_text(wiring_text(self.name, values))

    def ends(self) -> list[Value]:
        """Returns a wiring for each end of each argument, the others at their first."""
        return list(map(self.text, ends(self.arguments)))

    def listed(self, name: str) -> list[Value]:
        """Returns the wiring of every combination."""
        return list(map(self.text, _product(self.arguments, f"{name}.")))

    def drawn(self, name: str, chooser: Chooser) -> Value:
        """Returns the wiring that a chooser takes."""
        axes = self.arguments.items()
        return self.text({k: a.drawn(f"{name} {k}", chooser) for k, a in axes})


Axis: TypeAlias = Range | Choices


class Chance:
    """Chooses by chance, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def choice(self, name: str, among: Sequence[str]) -> int:
        """Returns the index of one of the values."""
        return int(self.generator.integers(len(among)))

    def number(self, name: str, among: Range) -> int | float:
        """Returns a number of a range."""
        return among.at(float(self.generator.random()))


def grid(axes: Mapping[str, Axis]) -> list[Point]:
    """Returns every combination, the last axis varying fastest.

    Raises:
        RunError: If an axis is a range, or gives a value twice.

    Example:
        >>> axes = {"seed": Choices((0, 1)), "edges": Choices(("fixed", "learned"))}
        >>> [point["edges"] for point in grid(axes)]
        ['fixed', 'learned', 'fixed', 'learned']
    """
    points = _product(axes)
    for name, axis in axes.items():
        some = axis.listed(name)
        for place, value in enumerate(some):
            if value in some[:place]:
                raise RunError(f"axes.{name} must give each value once, got {value!r}")
    return points


def drawn(axes: Mapping[str, Axis], chooser: Chooser) -> Point:
    """Returns the point that a chooser takes."""
    return {name: axis.drawn(name, chooser) for name, axis in axes.items()}


def ends(axes: Mapping[str, Axis]) -> list[Point]:
    """Returns the point of first values, and one for each other end of each axis."""
    first = {name: axis.ends()[0] for name, axis in axes.items()}
    others = (
        first | {name: end} for name, axis in axes.items() for end in axis.ends()[1:]
    )
    return [first, *others]


def _product(axes: Mapping[str, Axis], prefix: str = "") -> list[Point]:
    values = [axis.listed(prefix + name) for name, axis in axes.items()]
    return [dict(zip(axes, some, strict=True)) for some in itertools.product(*values)]
