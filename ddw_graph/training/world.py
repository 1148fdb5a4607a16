"""The processes that train one network together.

They are started by ``torchrun`` or by Slurm's ``srun``, on one machine or on many, and
find each other through its environment variables. A single process is the common case,
and runs through the same lines.
"""

import gc
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from ddw_graph.errors import LostError, RunError, UserError, first_sentence

TIMEOUT = 600.0
"""Seconds that a process waits for the others by default."""

LONGEST = 1e6
"""Most seconds that it can wait; torch counts milliseconds in 32 bits."""


@dataclass(frozen=True)
class World:
    """One process among those that train together.

    Args:
        rank: Its number; process 0 leads: it alone writes.
        size: How many there are.
        local_rank: Its number among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """Returns the part of a batch that this process has."""
        return batch.tensor_split(self.size)[self.rank]

    def total(self, values: Tensor) -> Tensor:
        """Returns the sum of what each process holds; ``values`` becomes it."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """Returns what each process passes, in the order of their numbers."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values

    def follow(self, tensors: Iterator[Tensor]) -> None:
        """Sets tensors to what they are in the process that leads."""
        if self.size > 1:
            for tensor in tensors:
                # NCCL refuses one that does not lie in order, such as a transpose.
                whole = tensor.contiguous()
                distributed.broadcast(whole, 0)
                if whole is not tensor:
                    tensor.copy_(whole)

    @contextmanager
    def together(self, device: torch.device | str = "cpu") -> Iterator[None]:
        """Ends every process where one of them fails within.

        Raises:
            RunError: If another process failed.
        """
        failure: Exception | None = None
        try:
            yield
        except (UserError, OSError) as error:
            failure = error
        failed = torch.tensor(float(failure is not None), device=device)
        others = self.total(failed).item()
        if failure is not None:
            raise failure
        if others:
            raise RunError(f"{others:.0f} of {self.size} processes failed")


@contextmanager
def joined(
    *,
    size: int | None = None,
    device: str = "cpu",
    timeout: float = TIMEOUT,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[World]:
    """Joins the processes that the launcher started, and leaves them at the end.

    Args:
        size: How many there must be; None for however many were started.
        device: Where each computes, which decides between NCCL and gloo.
        timeout: Seconds to wait for another process.

    Raises:
        RunError: If there are more or fewer than asked for, or they do not find each
            other.
        LostError: If one of them is silent for too long.

    Example:
        >>> with joined(environment={}) as world:
        ...     world
        World(rank=0, size=1, local_rank=0)
    """
    if not 0 < timeout <= LONGEST:
        raise RunError(f"timeout must be in (0, {LONGEST:g}] s, got {timeout}")
    world, address = _launched(environment)
    if size is not None and size != world.size:
        raise RunError(
            f"{size} processes were asked for, got {world.size}: start them with "
            "torchrun or srun"
        )
    if world.size > 1 or "TORCHELASTIC_RUN_ID" in environment:
        _end_with_launcher()
    if world.size == 1:
        yield world
        return
    try:
        _meet(world, address, device, timeout)
        yield world
    except RuntimeError as error:
        # gloo reports in a RuntimeError that a process has gone or is silent.
        if isinstance(error, distributed.DistError) or _lost(str(error)):
            raise LostError(
                f"a process that trains along has gone, or was silent for {timeout:g} "
                f"s; start again with --resume ({first_sentence(error)})"
            ) from error
        raise
    # Not after a failure: leaving would wait for the others. What still refers to the
    # group would end threads that run when Python shuts down.
    gc.collect()
    distributed.barrier()
    distributed.destroy_process_group()


def _meet(world: World, address: str, device: str, timeout: float) -> None:
    try:
        distributed.init_process_group(
            "nccl" if device.startswith("cuda") else "gloo",
            init_method=address,
            rank=world.rank,
            world_size=world.size,
            timeout=timedelta(seconds=timeout),
        )
    except ValueError as error:  # of the launcher's variables, not of who answers
        reason = str(error).splitlines()[0]
        raise RunError(
            "MASTER_ADDR and MASTER_PORT must be where the processes meet, got "
            f"{reason!r}"
        ) from error


def device_of(name: str, world: World) -> str:
    """Returns the device of one process: on GPUs each has its own.

    Raises:
        RunError: If a machine has fewer GPUs than processes.
    """
    if world.size == 1 or name != "cuda":
        return name
    count = torch.cuda.device_count()
    if world.local_rank >= count:
        raise RunError(
            f"each process of a machine needs a GPU of its own, got {count} for "
            f"process {world.local_rank}; where each sees only its own, as with "
            "Slurm's --gpus-per-task, the device is cuda:0"
        )
    torch.cuda.set_device(world.local_rank)
    return f"cuda:{world.local_rank}"


def _lost(message: str) -> bool:
    closed = ("connection reset", "connection closed", "pair closure")
    signs = ("gloo", "nccl", "timed out", *closed)
    return any(sign in message.lower() for sign in signs)


def _launched(environment: Mapping[str, str]) -> tuple[World, str]:
    """Returns this process as the launcher numbers it, and where all meet."""
    found, address = World(), ""
    try:
        if "RANK" in environment and "WORLD_SIZE" in environment:
            found = World(
                int(environment["RANK"]),
                int(environment["WORLD_SIZE"]),
                int(environment.get("LOCAL_RANK", "0")),
            )
            address = "env://"
        # Only within srun: a batch script has the numbers of its job, and is one
        # process all the same.
        elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            found = World(
                int(environment["SLURM_PROCID"]),
                int(environment["SLURM_STEP_NUM_TASKS"]),
                int(environment["SLURM_LOCALID"]),
            )
            address = _slurm_address(environment)
    except RunError:  # a ValueError too, with its own message
        raise
    except (KeyError, ValueError) as error:
        raise RunError(
            f"the variables of torchrun or srun must be numbers, got {error!r}"
        ) from error
    if not 0 <= found.rank < found.size:
        raise RunError(
            f"a process's number must be at least 0 and less than how many there are, "
            f"got {found.rank} of {found.size}"
        )
    return found, address


def _slurm_address(environment: Mapping[str, str]) -> str:
    """Returns where the processes of a Slurm step meet: on its first machine."""
    host = environment.get("MASTER_ADDR")
    if host is None:
        asked = ["scontrol", "show", "hostnames", environment["SLURM_STEP_NODELIST"]]
        try:
            names = subprocess.run(asked, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RunError(
                f"the machines of a Slurm step come from scontrol, got {error}; "
                "MASTER_ADDR may name the first instead"
            ) from error
        host = names.stdout.split()[0]
    # A port that all steps of one job agree on, and that two jobs seldom share.
    job, step = environment["SLURM_JOB_ID"], environment.get("SLURM_STEP_ID", "0")
    port = environment.get("MASTER_PORT", 20_000 + (int(job) * 7 + int(step)) % 20_000)
    return f"tcp://{host}:{port}"


def _end_with_launcher() -> None:
    """Lets this process end with its parent: a killed torchrun cannot end it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
