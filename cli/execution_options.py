"""Options of where and how a command computes, and by how many processes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.setting_options import pop_settings, section, setting_option
from ddw_graph.printable import printable
from ddw_graph.settings import Setting, settings_of
from ddw_graph.training.execution import Execution

if TYPE_CHECKING:
    from ddw_graph.training.world import World


def _device(ctx: click.Context, _: Any, name: str) -> str:
    """Returns the name of a device; whether there is one here is checked with torch."""
    if not re.fullmatch(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", name):
        raise click.UsageError(
            f"device must be auto, cpu, cuda, cuda:N, mps or xpu, got {name!r}"
        )
    return name


DEVICE_OPTION = click.option(
    "--device",
    default="auto",
    callback=_device,
    help="auto, cpu, cuda, cuda:N, mps or xpu.  [default: auto, a GPU if there is one]",
)
WORKERS_OPTION = setting_option(
    Setting("workers", int, "Processes that load data.", "[0, inf)"), default=0
)
THREADS_OPTION = setting_option(
    Setting("threads", int, "Threads that compute.", "[1, 4096]"),
    shown="OMP_NUM_THREADS, or one a core",
)
place_options = section("Execution", DEVICE_OPTION, WORKERS_OPTION, THREADS_OPTION)
PRECISION_OPTION = setting_option(settings_of(Execution)["precision"])
WORLD_OPTIONS = (
    setting_option(
        Setting(
            "processes", int, "How many torchrun or srun must have started.", "[1, inf)"
        )
    ),
    setting_option(
        Setting(
            "timeout", float, "Seconds to wait for another process.", "(0, 1000000]"
        ),
        default=600.0,
    ),
)


def computing_device(device: str, threads: int | None = None) -> str:
    """Sets the threads of this process, and returns the device that computes.

    Args:
        threads: Threads that compute; None leaves them to ``OMP_NUM_THREADS`` or torch.

    Raises:
        RunError: If this machine has no such device.
    """
    import torch

    from ddw_graph.training.launch import usable_device

    if threads is not None:
        torch.set_num_threads(threads)
    return usable_device(device)


@contextmanager
def training_place(
    device: str, *, threads: int | None, processes: int | None, timeout: float
) -> "Iterator[tuple[World, str]]":
    """Yields the processes that train together, and the device of this one.

    Args:
        processes: How many must have been started.
    """
    from ddw_graph.training.memory import keep_memory
    from ddw_graph.training.world import device_of, joined

    place = computing_device(device, threads)
    if place == "cpu":
        keep_memory()
    with joined(size=processes, device=place, timeout=timeout) as world:
        yield world, device_of(place, world)


def chosen_execution(options: dict[str, Any]) -> Execution:
    """Returns the execution that the options choose, and removes them."""
    return Execution(**pop_settings(Execution, options))


def report_start(folder: Path, *, resume: bool) -> None:
    """Prints that a run starts where there is none to resume."""
    if resume and not (folder / "config.json").exists():
        click.echo(printable(f"{folder}: no run to resume: it starts"), err=True)
