"""A worker of a sweep: makes one attempt at one run, alone, and says how it went.

    python -m ddw_graph.sweeping.worker FOLDER NAME THREADS WORK

It reads the plan of the run, which is JSON, and writes into the sweep's folder alone.
"""

import json
import os
import sys
import threading
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from ddw_graph.errors import LostError, UserError
from ddw_graph.sweeping.folder import SweepFolder, this_attempt
from ddw_graph.training.launch import usable_device
from ddw_graph.training.lock import lock
from ddw_graph.training.memory import keep_memory

FINISHED, CRASHED, REFUSED, BUSY = 0, 1, 2, 75
"""How an attempt ends, as exit codes; busy is a run that another process trains."""

PATIENCE = 5.0
"""Seconds to wait for a lock: who asks for the status holds it for a moment."""


@dataclass(frozen=True)
class Work:
    """How every run of a sweep is trained, of which its results say nothing.

    Args:
        device: Where; ``auto`` is settled where it is trained.
        workers: Processes that load images.
        checkpoint_steps: Steps of an epoch after which a checkpoint is written, beside
            the one after each epoch.
    """

    device: str = "auto"
    workers: int = 0
    checkpoint_steps: int | None = None


def attempt(path: str, name: str, threads: int, work: Work) -> int:
    """Trains a run of a sweep, unless another process does, and says how that ended.

    What went wrong is written beside the run. A process that is killed writes nothing,
    and is known by that: its lock is free, and there is no result.
    """
    folder = SweepFolder(Path(path))
    with lock(folder.job(name, ".lock"), seconds=PATIENCE) as taken:
        if not taken:
            return BUSY
        if folder.result(name) is not None:
            return FINISHED
        now = this_attempt(folder.attempt(name).number + 1)
        folder.write_attempt(name, now)
        try:
            torch.set_num_threads(threads)
            _, run = folder.plan(name)
            place = usable_device(work.device)
            if place == "cpu":
                keep_memory()
            replace(run, **asdict(replace(work, device=place))).train()
        except UserError as error:
            by_user = not isinstance(error, LostError)
            failed = replace(now, failure=_line(str(error)), by_user=by_user)
            folder.write_attempt(name, failed)
            return REFUSED if by_user else CRASHED
        except Exception as error:
            traceback.print_exc()
            told = _line(f"{type(error).__name__}: {error}")
            folder.write_attempt(name, replace(now, failure=told))
            return CRASHED
        return FINISHED


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _follow_the_driver() -> None:
    """Ends this process when the driver has gone, also where that was killed."""

    def follow() -> None:
        # Nothing is ever written: reading ends when the driver's end is closed. Not
        # through sys.stdin, whose lock processes that load images would inherit, and
        # wait for when they begin.
        os.read(0, 1)
        os._exit(CRASHED)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    _follow_the_driver()
    path, name, threads, work = sys.argv[1:]
    sys.exit(attempt(path, name, int(threads), Work(**json.loads(work))))
