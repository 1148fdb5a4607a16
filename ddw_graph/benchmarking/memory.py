"""Memory that something takes at its peak, in a process of its own."""

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from ddw_graph.errors import RunError

Result = TypeVar("Result")

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Returns the most bytes of main memory that this process has held so far.

    Linux itself is asked where it can be: ``ru_maxrss`` of a process that was started
    by a larger one begins with what the larger one held.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource  # which Windows does not have

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """Returns what a function returns in a new process.

    Args:
        function: A function of a module, or a partial one; the other process imports
            the module.
        arguments: What it is called with.

    Raises:
        RunError: If the process was ended from outside.

    Example:
        >>> in_fresh_process(divmod, 7, 2)
        (3, 1)
    """
    # A fresh interpreter: a forked one would hold all that this one does.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise RunError(
                "a process that measured was ended from outside, perhaps for want of "
                "memory; smaller batches or images need less"
            ) from error
