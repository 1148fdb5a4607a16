"""Runs of an experiment, trained in processes of this machine."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import torch

from ddw_graph.errors import RunError, UserError
from ddw_graph.models import from_config
from ddw_graph.training.data import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import train
from ddw_graph.training.log import finished_epochs
from ddw_graph.training.memory import keep_memory
from ddw_graph.training.recipe import Recipe

Progress = Callable[[int, int, int], None]
"""Hears of runs finished, runs in all, and epochs finished in all of them."""


@dataclass(frozen=True)
class PlannedRun:
    """A run before it is trained, as plain data that any process can take.

    Args:
        folder: Where it runs, or has run.
        model: Configuration of its network.
        recipe: How it is trained.
        source: Where the images come from.
        seed: Its seed.
        device: Where to train.
        execution: How steps are computed.
        workers: Processes that load its images.
        checkpoint_steps: See ``train``.
    """

    folder: Path
    model: dict[str, Any]
    recipe: Recipe
    source: DataSource
    seed: int
    device: str = "cpu"
    execution: Execution = Execution()
    workers: int = 0
    checkpoint_steps: int | None = None

    def train(self) -> dict[str, Any]:
        """Trains what is not trained yet, and returns the result."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            network = from_config(self.model)
        run = train(
            network,
            self.source.load(workers=self.workers),
            self.recipe,
            seed=self.seed,
            folder=self.folder,
            resume=True,
            device=self.device,
            execution=self.execution,
            workers=self.workers,
            checkpoint_steps=self.checkpoint_steps,
        )
        assert run.result is not None
        return run.result


def run_all(
    runs: Sequence[PlannedRun],
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> dict[Path, dict[str, Any]]:
    """Trains what is not finished yet, and returns the result in each folder.

    As many processes as there are cores, each with its share of the threads, or one
    where runs are trained on a GPU, whose memory they would share. Runs go on where
    they were interrupted. The first that fails ends all.

    Args:
        runs: What to train, each in a folder of its own.
        jobs: Processes; by default as many as that, or one for each run.
        progress: Hears how it goes, about twice a second.

    Raises:
        RunError: If a run failed.
    """
    if jobs is not None and jobs < 1:
        raise RunError(f"jobs must be at least 1, got {jobs}")
    jobs = min(jobs or _usual(runs), len(runs))
    with ProcessPoolExecutor(
        jobs,
        # A fresh interpreter: forked copies of torch's threads would hang.
        mp_context=get_context("spawn"),
        initializer=begin_worker,
        initargs=(max(1, cores() // jobs),),
    ) as pool:
        futures = {pool.submit(run.train): run for run in runs}
        try:
            return _results(futures, progress)
        except BaseException:
            # The pool offers no way to end runs that have begun, and forgets its
            # processes when it shuts down.
            processes = list(pool._processes.values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            raise


def _usual(runs: Sequence[PlannedRun]) -> int:
    return 1 if any(run.device.startswith("cuda") for run in runs) else cores()


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def begin_worker(threads: int) -> None:
    """Sets a worker's threads, and lets it end when the process that made it does."""
    torch.set_num_threads(threads)
    keep_memory()
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        # Also where the parent was killed and could not say goodbye.
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _results(
    futures: Mapping[Future[dict[str, Any]], PlannedRun], progress: Progress | None
) -> dict[Path, dict[str, Any]]:
    results: dict[Path, dict[str, Any]] = {}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            run = futures[future]
            try:
                results[run.folder] = future.result()
            except UserError as error:
                raise RunError(f"the run {run.folder} failed: {error}") from error
            except BrokenProcessPool as error:
                raise RunError(
                    "a process that trained was ended from outside; the same command "
                    "goes on where it was"
                ) from error
        if progress:
            epochs = sum(finished_epochs(run.folder) for run in futures.values())
            progress(len(results), len(futures), epochs)
    return results
