"""Where the runs of an experiment are trained: processes of this machine."""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import Protocol, runtime_checkable

import torch

from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.planned_run import Work
from ddw_graph.experiments.worker import BUSY, CRASHED, attempt


@runtime_checkable
class Executor(Protocol):
    """Where runs are trained.

    Args:
        jobs: How many run at once.
        pause: Seconds between two questions.
    """

    jobs: int
    pause: float

    @property
    def room(self) -> int:
        """How many more runs it takes now."""

    def start(self, names: Sequence[str]) -> None:
        """Starts runs."""

    def active(self) -> set[str]:
        """Returns the runs that it started and that have not ended."""

    def reason(self, name: str) -> str:
        """Returns how the last attempt at a run ended, as far as is known here."""

    def close(self) -> None:
        """Is called at the end, also after an error."""


class ProcessExecutor:
    """Trains each run in a process of its own.

    No run inherits another's memory, and one that is killed takes no other with it. The
    processes end with the one that made them. They are copies of a server that has
    imported torch, so that none has to. With GPUs, each process sees only one: the one
    that fewest others have.

    Args:
        jobs: How many run at once; by default one for each core, or for each GPU.
        runs: How many there are, where that is known: no more processes than that.
        threads: Threads of each; by default ``OMP_NUM_THREADS`` if that is set, one
            where several run at once, and torch's choice for a single one.
    """

    pause = 0.1

    def __init__(
        self,
        folder: ExperimentFolder,
        jobs: int | None = None,
        work: Work = Work(),  # noqa: B008 (frozen)
        *,
        runs: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.folder = folder
        self.gpus = _gpus() if work.device in ("auto", "cuda") else []
        # Of runs on one named device there is one at a time.
        usual = cores() if work.device in ("auto", "cpu") else 1
        self.jobs = min(jobs or len(self.gpus) or usual, runs or sys.maxsize)
        alone = torch.get_num_threads() if self.jobs == 1 else 1
        self.threads = threads or _omp_threads() or alone
        self.work = work
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload([__name__])
        self.gpu: dict[str, str] = {}
        self.processes: dict[str, BaseProcess] = {}
        self.reasons: dict[str, str] = {}

    @property
    def room(self) -> int:
        """How many more runs it takes now."""
        return self.jobs - len(self.processes)

    def start(self, names: Sequence[str]) -> None:
        """Starts runs."""
        for name in names:
            if self.gpus:
                taken = Counter(self.gpu[other] for other in self.processes)
                self.gpu[name] = min(self.gpus, key=taken.__getitem__)
            log = os.fspath(self.folder.job(name, ".log"))
            words = (os.fspath(self.folder.path), name, self.threads, self.work)
            process = self.context.Process(
                target=attempt_in_process, args=(log, self.gpu.get(name), *words)
            )
            process.start()
            self.processes[name] = process

    def active(self) -> set[str]:
        """Returns the runs that are being trained."""
        for name, process in list(self.processes.items()):
            if process.exitcode is not None:
                del self.processes[name]
                self.reasons[name] = self._reason(name, process.exitcode)
        return set(self.processes)

    def reason(self, name: str) -> str:
        """Returns how the last attempt at a run ended."""
        return self.reasons.get(name, "")

    def close(self) -> None:
        """Kills the processes; the same experiment resumes their runs."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()
        self.processes.clear()

    def _reason(self, name: str, code: int) -> str:
        if code == BUSY:
            return "another process trains it"
        if code < 0:
            by = signal.Signals(-code).name
            out = ", as it is when memory runs out" * (code == -signal.SIGKILL)
            return f"its process was killed by {by}{out}"
        log = os.fspath(self.folder.job(name, ".log"))
        return f"its process ended with exit code {code}, see {log}"


def attempt_in_process(
    log: str, gpu: str | None, path: str, name: str, threads: int, work: Work
) -> None:
    """Makes an attempt at a run in a process of its own, which then ends.

    Args:
        log: File that gets what is printed.
        gpu: The only GPU that it may see.
    """
    # Ctrl-C is for the process that drives the experiment, which kills this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    _end_with_parent()
    sys.exit(attempt(path, name, threads, work))


def _end_with_parent() -> None:
    """Ends this process when its parent has gone, also where that was killed."""
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(CRASHED)

    threading.Thread(target=follow, daemon=True).start()


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _omp_threads() -> int | None:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else None


def _gpus() -> list[str]:
    """Returns the names of the GPUs that this process may use."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",") if name.strip()]
    return (names or list(map(str, range(count))))[:count]
