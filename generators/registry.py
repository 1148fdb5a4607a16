"""Generators by name, and the texts that name one with its arguments.

A text is a generator's name and, after a colon, its arguments: ``complete``,
``ws:k=4,p=0.75``, ``ba:n=16,m=5``; or it names a file: ``file:PATH``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import networkx as nx

from ddw_graph.generators.barabasi_albert import barabasi_albert
from ddw_graph.generators.depth import dilated, streams
from ddw_graph.generators.erdos_renyi import erdos_renyi
from ddw_graph.generators.regular import complete, densenet, residual, resnet, vgg
from ddw_graph.generators.watts_strogatz import watts_strogatz
from ddw_graph.wiring import WiringError, computing_nodes, load

GENERATORS: Mapping[str, Callable[..., nx.DiGraph]] = MappingProxyType(
    {
        "complete": complete,
        "er": erdos_renyi,
        "ba": barabasi_albert,
        "ws": watts_strogatz,
        "vgg": vgg,
        "resnet": resnet,
        "densenet": densenet,
        "residual": residual,
        "dilated": dilated,
        "streams": streams,
    }
)
"""The function behind each name; all take ``n``, the random ones ``seed`` too."""

_EXAMPLES = {
    "er": "er:p=0.2",
    "ba": "ba:m=5",
    "ws": "ws:k=4,p=0.75",
    "dilated": "dilated:dilation=4,period=5",
    "streams": "streams:width=4",
}
"""The names that need more than ``n``, each in use."""

_ARGUMENTS = {
    "er": ("p",),
    "ba": ("m",),
    "ws": ("k", "p"),
    "dilated": ("dilation", "period"),
    "streams": ("width",),
}
_RANDOM = ("er", "ba", "ws")
_FILE = "file:"


@dataclass(frozen=True)
class GeneratorCall:
    """A generator's name and arguments, taken from a text and known to fit each other.

    Args:
        name: A key of ``GENERATORS``.
        arguments: Its arguments without ``n`` and ``seed``, in its own order.
        n: Number of computing nodes if the text gives it.
    """

    name: str
    arguments: Mapping[str, int | float]
    n: int | None = None

    def __str__(self) -> str:
        n = {} if self.n is None else {"n": self.n}
        pairs = [f"{key}={value}" for key, value in {**n, **self.arguments}.items()]
        return ":".join([self.name, *([",".join(pairs)] if pairs else [])])

    def __call__(self, *, n: int | None, seed: int) -> nx.DiGraph:
        """Returns the wiring for ``n`` nodes; ``seed`` matters to random ones alone."""
        if n is None:
            n = self.n
        elif self.n is not None and self.n != n:
            raise WiringError(f"{self} says n={self.n}, but n={n} is asked for")
        if n is None:
            raise WiringError(f"{self.name} needs n, the number of computing nodes")
        seeds = {"seed": seed} if is_random(self.name) else {}
        return GENERATORS[self.name](n, **self.arguments, **seeds)


def generator_call(
    name: str, arguments: Mapping[str, int | float], *, n: int | None = None
) -> GeneratorCall:
    """Returns the call of a generator by its name.

    Args:
        name: A key of ``GENERATORS``.
        arguments: Its arguments without ``n`` and ``seed``.
        n: Number of computing nodes, or None where it is not settled yet.

    Raises:
        WiringError: If the name is unknown, or an argument is missing or not taken.

    Example:
        >>> str(generator_call("ws", {"p": 0.75, "k": 4}))
        'ws:k=4,p=0.75'
    """
    if name not in GENERATORS:
        raise WiringError(
            f"unknown generator {name!r}; "
            f"known are {', '.join(GENERATORS)} and file:PATH"
        )
    wanted = _ARGUMENTS.get(name, ())
    foreign = [key for key in arguments if key not in wanted]
    if foreign:
        taken = " and ".join(wanted) if wanted else "no argument but n"
        raise WiringError(f"{name} takes {taken}, got {', '.join(foreign)}")
    missing = [key for key in wanted if key not in arguments]
    if missing:
        raise WiringError(
            f"{name} needs {' and '.join(wanted)}, e.g. {_EXAMPLES[name]}; "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        )
    return GeneratorCall(
        name, MappingProxyType({key: arguments[key] for key in wanted}), n
    )


def written(text: str) -> tuple[str, dict[str, int | float], int | None]:
    """Returns the name, the arguments and n as a text gives them, fitting or not.

    Raises:
        WiringError: If the text is not written as texts are.

    Example:
        >>> written("ws:n=16,k=4")
        ('ws', {'k': 4}, 16)
    """
    name, _, rest = text.strip().partition(":")
    arguments: dict[str, int | float] = {}
    for part in rest.split(",") if rest.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise WiringError(
                f"arguments are written key=value with commas between, got {part!r} "
                f"in {text!r}"
            )
        if key in arguments:
            raise WiringError(f"{key} is given twice in {text!r}")
        if key == "seed":
            raise WiringError(f"the seed is given beside a text, not in it: {text!r}")
        arguments[key] = _number(key, value, text)
    n = arguments.pop("n", None)
    return name.strip(), arguments, None if n is None else int(n)


def parse(text: str) -> GeneratorCall:
    """Returns the call that a text such as ``"ws:k=4,p=0.75"`` gives.

    Raises:
        WiringError: If the text names no generator or its arguments do not fit.

    Example:
        >>> parse("ws:n=16,k=4,p=0.75").n
        16
    """
    name, arguments, n = written(text)
    return generator_call(name, arguments, n=n)


def from_text(text: str, *, n: int | None, seed: int) -> nx.DiGraph:
    """Returns the wiring that a text names.

    Args:
        text: A generator such as ``"ws:k=4,p=0.75"``, or ``"file:PATH"``.
        n: Number of computing nodes; None if the text or the file says it.
        seed: Seed of a random generator; nothing else depends on it.

    Raises:
        WiringError: If the text cannot be understood, an argument is out of range, or
            ``n`` is missing or is not the text's or the file's own.

    Example:
        >>> from_text("ws:k=4,p=0.75", n=8, seed=0).number_of_nodes()
        10
    """
    if not text.startswith(_FILE):
        return parse(text)(n=n, seed=seed)
    path = text.removeprefix(_FILE)
    dag = load(path)
    found = len(computing_nodes(dag))
    if n is not None and n != found:
        raise WiringError(f"{path} holds n={found}, but n={n} is asked for")
    return dag


def is_random(text: str) -> bool:
    """Returns whether the wiring that a text names depends on a seed.

    Example:
        >>> is_random("ws:k=4,p=0.75"), is_random("complete"), is_random("file:a.json")
        (True, False, False)
    """
    return text.strip().partition(":")[0] in _RANDOM


def _number(key: str, value: str, text: str) -> int | float:
    real = key == "p"
    try:
        if real:
            return float(value)
        if re.fullmatch(r"[+-]?[0-9]{1,20}", value):
            return int(value)
    except ValueError:
        pass
    kind = "a number" if real else "an integer"
    raise WiringError(f"{key} must be {kind}, got {key}={value} in {text!r}")
