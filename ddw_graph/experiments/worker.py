"""One attempt at one run of an experiment, in a process that does nothing else."""

import traceback
from dataclasses import replace
from pathlib import Path

import torch

from ddw_graph.errors import LostError, UserError
from ddw_graph.experiments.folder import ExperimentFolder, this_attempt
from ddw_graph.experiments.planned_run import Work
from ddw_graph.training.launch import usable_device
from ddw_graph.training.lock import lock
from ddw_graph.training.memory import keep_memory

FINISHED, CRASHED, BUSY = 0, 1, 75
"""How an attempt ends, as exit codes; busy: another process trains the run."""

PATIENCE = 5.0
"""Seconds to wait for a lock, which a process that reads the status holds briefly."""


def attempt(path: str, name: str, threads: int, work: Work) -> int:
    """Trains a run unless another process does, and returns how that ended.

    A failure is written beside the run. A process that is killed writes nothing, and is
    recognised by that: its lock is free, and there is no result.
    """
    folder = ExperimentFolder(Path(path))
    with lock(folder.job(name, ".lock"), seconds=PATIENCE) as taken:
        if not taken or folder.is_taken(name):
            return BUSY
        if folder.result(name) is not None:
            return FINISHED
        now = this_attempt(folder.attempt(name).number + 1)
        folder.write_attempt(name, now)
        try:
            torch.set_num_threads(threads)
            device = usable_device(work.device)
            if device == "cpu":
                keep_memory()
            folder.plan(name).train(folder.run(name), replace(work, device=device))
        except Exception as error:
            refused = isinstance(error, UserError)
            if not refused:
                traceback.print_exc()
            words = f"{type(error).__name__}: " * (not refused) + str(error)
            failed = replace(
                now,
                failure=" ".join(words.split())[:500],
                by_user=refused and not isinstance(error, LostError),
            )
            folder.write_attempt(name, failed)
            return CRASHED
        return FINISHED
