"""What a benchmark finds: figures that are ratios, and curves of growth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ddw_graph.benchmarking.spread import Spread, exponent, ratio, spread


@dataclass(frozen=True)
class Run:
    """How everything is measured.

    Args:
        rounds: Paired times of each act.
        warmup: Rounds before those that are not counted.
        memory_rounds: Fresh processes of each variant whose memory is measured.
        threads: Threads that compute; by default torch's own choice.
        device: Where to compute.
        keeps_memory: Whether the process keeps the memory that it frees, as it does in
            the commands that train; see ``keep_memory``.
        progress: Hears what is measured next.
    """

    rounds: int = 15
    warmup: int = 2
    memory_rounds: int = 3
    threads: int | None = None
    device: str = "cpu"
    keeps_memory: bool = False
    progress: Callable[[str], object] = lambda words: None


@dataclass(frozen=True)
class Measurement:
    """Something measured, beside what it is relative to.

    Args:
        benchmark: Name of the benchmark.
        case: What was done, with its sizes.
        what: Who did it.
        to: Who did the same for comparison.
        unit: ``seconds`` or ``bytes``.
        value: What it took.
        base: What the other took.
        ratio: The ratios of the pairs.
    """

    benchmark: str
    case: str
    what: str
    to: str
    unit: str
    value: Spread
    base: Spread
    ratio: Spread


def measurement(
    benchmark: str,
    case: str,
    found: Mapping[str, Sequence[float]],
    what: str,
    *,
    to: str,
    unit: str = "seconds",
) -> Measurement:
    """Returns one of the things that were measured in turn, relative to another.

    Args:
        benchmark: Name of the benchmark.
        case: What was done, with its sizes.
        found: What each took in each round.
        what: Which of them.
        to: Which other.
        unit: ``seconds`` or ``bytes``.
    """
    return Measurement(
        benchmark,
        case,
        what,
        to,
        unit,
        spread(found[what]),
        spread(found[to]),
        ratio(found[what], found[to]),
    )


@dataclass(frozen=True)
class Curve:
    """How time grows with a size.

    Args:
        benchmark: Name of the benchmark.
        act: What was done, with the sizes that stay.
        axis: What grows.
        sizes: Its sizes.
        seconds: What the act took at each size.
        ratios: The ratios of the pairs to the first size.
        exponent: The b of ``a * size**b``, fitted to each round.
    """

    benchmark: str
    act: str
    axis: str
    sizes: tuple[int, ...]
    seconds: tuple[Spread, ...]
    ratios: tuple[Spread, ...]
    exponent: Spread


def curve(
    benchmark: str,
    act: str,
    axis: str,
    sizes: Sequence[int],
    times: Sequence[Sequence[float]],
) -> Curve:
    """Returns the curve through what was measured in turn at each size.

    Args:
        benchmark: Name of the benchmark.
        act: What was done, with the sizes that stay.
        axis: What grows.
        sizes: Its sizes, at least two.
        times: For each size the seconds of each round.
    """
    rounds = zip(*times, strict=True)
    return Curve(
        benchmark,
        act,
        axis,
        tuple(sizes),
        tuple(spread(seconds) for seconds in times),
        tuple(ratio(seconds, times[0]) for seconds in times),
        spread([exponent(sizes, seconds) for seconds in rounds]),
    )
