"""Where the time goes: the operators of a dynamic network, and of its original.

The clock stands around each operator, so that Python is left out, and what is told of
the whole step beside it shows how much that is.

    python benchmarks/operators.py resnet50 --training
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import click
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ddw_graph.benchmarking.acts import training_step
from ddw_graph.benchmarking.networks import dynamic, original
from ddw_graph.training.memory import keep_memory


class Clock(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the seconds of each operator, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls an operator between two looks at the clock."""
        name = str(func).removeprefix("aten.").partition(".")[0]
        begun = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        # Counters hold what adds up, seconds too.
        self.seconds[name] += time.perf_counter() - begun  # type: ignore[assignment]
        self.calls[name] += 1
        return result


def step_of(model: nn.Module, training: bool, x: torch.Tensor) -> Callable[[], Any]:
    """Returns a training step or an inference of a network."""
    model.train(training)
    if training:
        return training_step(model, x)

    def infer() -> None:
        with torch.no_grad():
            model(x)

    return infer


@click.command()
@click.argument("network", default="resnet50")
@click.option("--training", is_flag=True, help="A training step, not an inference.")
@click.option("--batch", default=8, show_default=True)
@click.option("--size", default=128, show_default=True, help="Pixels.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--top", default=12, show_default=True, help="Operators to tell of.")
def main(
    network: str,
    training: bool,
    batch: int,
    size: int,
    rounds: int,
    top: int,
) -> None:
    """Print the operators that take longest, in turns with the original's."""
    keep_memory()
    torch.manual_seed(0)
    x = torch.randn(batch, 3, size, size)
    made = {"torchvision": original(network), "dynamic": dynamic(network)}
    steps = {name: step_of(model, training, x) for name, model in made.items()}
    clocks = {name: Clock() for name in steps}
    whole: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(2 + rounds):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            if turn < 2:
                continue
            whole[name].append(1e3 * (time.perf_counter() - begun))
            with clocks[name]:
                step()
    click.echo(f"| operator | {' | '.join(f'{name}, ms | calls' for name in made)} |")
    click.echo(f"| --- |{' ---: | ---: |' * len(made)}")
    most = sum((clock.seconds for clock in clocks.values()), Counter[str]())
    for operator, _ in most.most_common(top):
        cells = [
            f"{1e3 * clock.seconds[operator] / rounds:.1f} "
            f"| {clock.calls[operator] // rounds}"
            for clock in clocks.values()
        ]
        click.echo(f"| {operator} | {' | '.join(cells)} |")
    for label, totals in (
        ("all operators", [1e3 * sum(c.seconds.values()) for c in clocks.values()]),
        ("the step without a clock", [statistics.median(w) for w in whole.values()]),
    ):
        divisor = rounds if label == "all operators" else 1
        cells = [f"{total / divisor:.1f} | |" for total in totals]
        click.echo(f"| {label} | {' '.join(cells)}")


if __name__ == "__main__":
    main()
