"""A dynamic network beside its original, both as they are and compiled, in turns.

python benchmarks/compiled.py resnet50 --rounds 9
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import torch

from ddw_graph.benchmarking.acts import images, inference, settle, training_step
from ddw_graph.benchmarking.networks import dynamic, original
from ddw_graph.benchmarking.spread import ratio, spread
from ddw_graph.training.timing import paired_times


@click.command()
@click.option("--network", default="resnet50", show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--size", default=128, show_default=True, help="Pixels.")
@click.option("--rounds", default=9, show_default=True)
def main(network: str, batch: int, size: int, rounds: int) -> None:
    """Print what they take, and what compiling takes."""
    torch.manual_seed(0)
    x = images(batch, size, "cpu")
    models = {"torchvision": original(network), "dynamic": dynamic(network)}
    for model in models.values():
        settle(model, partial(model, x))
    for label, act_of in (("inference", _inference), ("training step", training_step)):
        acts: dict[str, Callable[[], object]] = {}
        for name, model in models.items():
            model.train(label != "inference")
            acts[name] = act_of(model, x)
            compiled: Any = torch.compile(model, fullgraph=True)
            acts[f"{name}, compiled"] = act_of(compiled, x)
            begun = time.perf_counter()
            acts[f"{name}, compiled"]()
            seconds = time.perf_counter() - begun
            click.echo(f"{label}: compiling {name} took {seconds:.0f} s", err=True)
        times = paired_times(acts, rounds=rounds, warmup=2)
        for form in ("", ", compiled"):
            own, to = times[f"dynamic{form}"], times[f"torchvision{form}"]
            share = ratio(own, to)
            click.echo(
                f"| {network}, {label}{form} | {1e3 * spread(own).median:.0f} ms | "
                f"{1e3 * spread(to).median:.0f} ms | "
                f"{share.median:.2f} ({share.low:.2f} to {share.high:.2f}) |"
            )


def _inference(model: torch.nn.Module, x: torch.Tensor) -> Callable[[], object]:
    return inference(partial(model, x))


if __name__ == "__main__":
    main()
