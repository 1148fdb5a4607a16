"""Options of how a training is computed, and by how many processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ddw_graph.training.execution import Execution
    from ddw_graph.training.world import World

Command = TypeVar("Command", bound=Callable[..., Any])

TIMEOUT = 600.0

THREADS = click.IntRange(1, 4096)

PRECISION_OPTION = click.option(
    "--precision",
    default="float32",
    show_default=True,
    help="float32, or bfloat16 or float16 for mixed precision.",
)
LAYOUT_OPTION = click.option(
    "--channels-last", is_flag=True, help="Channels innermost in memory."
)
CHOICES = (
    PRECISION_OPTION,
    click.option(
        "--accumulate",
        type=int,
        default=1,
        show_default=True,
        help="Parts in which a process computes its images of a step.",
    ),
    LAYOUT_OPTION,
    click.option("--compile", is_flag=True, help="Let torch.compile make the network."),
    click.option(
        "--deterministic", is_flag=True, help="Only operations that repeat bit for bit."
    ),
)


def execution_options(command: Command) -> Command:
    """Returns ``command`` with the options that say how steps are computed."""
    for option in reversed(CHOICES):
        command = option(command)
    return command


def world_options(command: Command) -> Command:
    """Returns ``command`` with the options of processes that train together."""
    for option in (
        click.option(
            "--timeout",
            type=float,
            default=TIMEOUT,
            show_default=True,
            help="Seconds to wait for another process.",
        ),
        click.option(
            "--processes",
            type=click.IntRange(min=1),
            help="How many torchrun or srun must have started.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def training_place(
    device: str, *, threads: int | None, processes: int | None, timeout: float
) -> "Iterator[tuple[World, str]]":
    """Yields the processes that train together, and the device of this one.

    Args:
        device: The device that was asked for.
        threads: Threads that compute; by default torch's choice.
        processes: How many must have been started.
        timeout: Seconds to wait for another process.
    """
    import torch

    from ddw_graph.training.launch import usable_device
    from ddw_graph.training.memory import keep_memory
    from ddw_graph.training.world import device_of, joined

    if threads is not None:
        torch.set_num_threads(threads)
    place = usable_device(device)
    if place == "cpu":
        keep_memory()
    with joined(size=processes, device=place, timeout=timeout) as world:
        yield world, device_of(place, world)


def chosen_execution(options: dict[str, Any]) -> "Execution":
    """Returns what the options choose, and takes them out of ``options``."""
    from dataclasses import fields

    from ddw_graph.training.execution import Execution

    names = {field.name for field in fields(Execution)} & set(options)
    return Execution(**{name: options.pop(name) for name in names})
