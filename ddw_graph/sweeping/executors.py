"""Where the runs of a sweep are trained: what a sweep asks of a place."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol, runtime_checkable

import torch

from ddw_graph.errors import RunError
from ddw_graph.experiments.runs import cores
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.worker import BUSY, Work


@runtime_checkable
class Executor(Protocol):
    """A place where runs are trained.

    Args:
        jobs: How many at once.
        room: How many more it takes now.
        pause: Seconds between two questions.
    """

    jobs: int
    pause: float

    @property
    def room(self) -> int:
        """How many more runs it takes now."""

    def start(self, names: Sequence[str]) -> None:
        """Takes runs."""

    def active(self) -> set[str]:
        """Returns the runs that it has taken and that have not ended."""

    def reason(self, name: str) -> str:
        """Returns what it knows of how the last attempt at a run ended."""

    def close(self) -> None:
        """Is told that nobody asks any more."""


class LocalExecutor:
    """Trains in processes of this machine, each with its share of the cores.

    A process for each run, so that none inherits another's memory, and one that is
    killed takes no other with it. They end with the process that made them. On GPUs
    each sees one alone, which fewest of the others have.

    Args:
        folder: The sweep.
        jobs: How many at once; by default one for each core, on GPUs one for each.
        work: How each is trained.
        runs: How many there are, where that is known: no more than that share cores.

    Raises:
        RunError: If ``jobs`` is less than 1.
    """

    pause = 0.2

    def __init__(
        self,
        folder: SweepFolder,
        jobs: int | None = None,
        work: Work = Work(),  # noqa: B008 (frozen)
        *,
        runs: int | None = None,
    ) -> None:
        if jobs is not None and jobs < 1:
            raise RunError(f"jobs must be at least 1, got {jobs}")
        self.folder = folder
        self.gpus = _gpus() if work.device in ("auto", "cuda") else []
        self.jobs = min(jobs or len(self.gpus) or cores(), runs or sys.maxsize)
        self.work = work
        self.on: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.reasons: dict[str, str] = {}

    @property
    def room(self) -> int:
        """How many more runs it takes now."""
        return self.jobs - len(self.processes)

    def start(self, names: Sequence[str]) -> None:
        """Takes runs."""
        shared = (str(max(1, cores() // self.jobs)), json.dumps(asdict(self.work)))
        module = "ddw_graph.sweeping.worker"
        for name in names:
            words = [str(self.folder.path), name, *shared]
            environment = dict(os.environ)
            if self.gpus:
                taken = Counter(self.on[other] for other in self.processes)
                self.on[name] = min(self.gpus, key=taken.__getitem__)
                environment["CUDA_VISIBLE_DEVICES"] = self.on[name]
            with open(self.folder.job(name, ".log"), "ab") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", module, *words],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    # Ctrl-C is for the sweep, which then ends its processes.
                    start_new_session=True,
                )

    def active(self) -> set[str]:
        """Returns the runs that are being trained."""
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is not None:
                _end(process)
                del self.processes[name]
                self.reasons[name] = self._words(name, code)
        return set(self.processes)

    def reason(self, name: str) -> str:
        """Returns how the last attempt at a run ended."""
        return self.reasons.get(name, "")

    def close(self) -> None:
        """Ends what is being trained; it goes on when the sweep does."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            _end(process)
        self.processes.clear()

    def _words(self, name: str, code: int) -> str:
        if code == BUSY:
            return "another process trains it"
        if code < 0:
            told = signal.Signals(-code).name
            out = ", which is also how memory that runs out ends"
            return f"its process was ended by {told}{out * (code == -signal.SIGKILL)}"
        log = os.fspath(self.folder.job(name, ".log"))
        return f"its process ended with exit code {code}, see {log}"


def _gpus() -> list[str]:
    """Returns the GPUs that this process may use, as processes are told of them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in given.split(",") if name.strip()]
    return (names or list(map(str, range(count))))[:count]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
