"""The runs of an experiment as jobs of Slurm, submitted by submitit."""

import os
import secrets
import signal
import subprocess
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from getpass import getuser
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.planned_run import Work
from ddw_graph.experiments.worker import CRASHED, attempt
from ddw_graph.settings import check_settings, setting, settings_of
from ddw_graph.training.run_folder import read_json, write_json

LARGEST_ARRAY = 1000
"""Jobs that are handed over at once; Slurm's own limit is 1001 by default."""

DELAY = 5
"""Seconds between two questions to Slurm, for all jobs at once."""

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "TIMEOUT",
)
"""States that a job does not leave."""

UNSURE = ("UNKNOWN", "PREEMPTED", "REVOKED", "REQUEUED")
"""States after which a job may come again: the queue decides."""


@dataclass(frozen=True)
class SlurmOptions:
    """What each run asks Slurm for; a field holds its help."""

    partition: str | None = setting(None, "The partition, instead of the cluster's.")
    time: int = setting(60, "Minutes that an attempt may take.", "[1, inf)")
    cpus: int = setting(1, "Cores, and threads that compute.", "[1, inf)")
    gpus: int = setting(0, "GPUs; 0 to ask for none.", "[0, inf)")
    memory: str | None = setting(None, "Such as 8GB, instead of the cluster's.")

    def __post_init__(self) -> None:
        """Checks the values."""
        check_settings(self, RunError)

    @classmethod
    def from_text(cls, text: str) -> "SlurmOptions":
        """Returns the options of a text such as ``time=240,partition=gpu``.

        Raises:
            UserError: If it is no such text.

        Example:
            >>> SlurmOptions.from_text("time=240,partition=gpu").time
            240
        """
        known = settings_of(cls)
        values: dict[str, Any] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            if key not in known or not value:
                raise RunError(
                    f"Slurm's settings are {', '.join(known)}, each with =VALUE, got "
                    f"{part!r} in {text!r}"
                )
            values[key] = known[key].parse(value)
        return cls(**values)


def attempt_in_job(path: str, name: str, threads: int, work: dict[str, Any]) -> int:
    """Makes an attempt at a run in a job of Slurm; see ``attempt``."""
    end_at_the_limit()
    return attempt(path, name, threads, Work(**work))


def end_at_the_limit() -> None:
    """Lets this process end where submitit raises that its job's time is over.

    submitit raises from a handler of the signal, wherever the process happens to be:
    reading an image, say, which then passes for a bad one. A process that just ends is
    tried again.
    """
    before, owner = signal.getsignal(signal.SIGUSR2), os.getpid()
    if not callable(before):
        return

    def end(number: int, frame: Any) -> None:
        # Slurm signals every process of a job, also those that load images.
        if os.getpid() != owner:
            return
        try:
            before(number, frame)
        except Exception:
            traceback.print_exc()
            os._exit(CRASHED)

    signal.signal(signal.SIGUSR2, end)


class SlurmExecutor:
    """Trains in jobs of Slurm: an array for what is handed over at once.

    Jobs outlive the process that made them, and the next one finds them again.

    submitit pickles what a job calls: a function of this package, texts and numbers.
    They go into a new folder below ``FOLDER/slurm``, which only its owner may enter,
    and only the job reads them. What jobs return is never read: the experiment's own
    files hold the status of each run.

    Args:
        folder: The experiment, on a file system that all nodes see.
        jobs: How many at once.
        options: What each asks for.
        work: How each is trained.

    Raises:
        RunError: If submitit or Slurm is not there.
    """

    pause = 1.0

    def __init__(
        self,
        folder: ExperimentFolder,
        jobs: int,
        options: SlurmOptions,
        work: Work = Work(),  # noqa: B008 (frozen)
    ) -> None:
        try:
            from submitit import SlurmExecutor as Submitit
            from submitit.slurm.slurm import SlurmInfoWatcher
        except ImportError as error:
            raise RunError(
                "the executor slurm needs submitit: pip install 'ddw_graph[slurm]'"
            ) from error
        if Submitit.affinity() < 0:
            raise RunError("the executor slurm needs sbatch and srun, got neither here")
        self.folder = folder
        self.jobs = jobs
        self.options = options
        self.work = work
        self.place = (folder.path / "slurm").resolve()
        self.place.mkdir(exist_ok=True)
        # New each time: a job reads the first pickle that has its number, and one that
        # lay there before would not be ours.
        own = self.place / secrets.token_hex(4)
        own.mkdir(mode=0o700)
        self.submitit = Submitit(folder=own)
        asked = {
            "partition": options.partition,
            "mem": options.memory,
            "gpus_per_node": options.gpus or None,
        }
        self.submitit.update_parameters(
            job_name="ddw-graph",
            array_parallelism=jobs,
            stderr_to_stdout=True,
            time=options.time,
            cpus_per_task=options.cpus,
            **{key: value for key, value in asked.items() if value is not None},
        )
        # submitit's own asks every ten minutes at first.
        self.watcher = SlurmInfoWatcher(delay_s=DELAY)
        self.table = self.place / "jobs.json"
        self.ids: dict[str, str] = {}
        self.has_accounting = _answer("sacct", "--starttime=now") is not None
        self.queue: set[str] | None = None
        self.asked = float("-inf")
        self.waited_for: set[str] = set()
        if self.table.exists():
            found = read_json(self.table)
            if not isinstance(found, dict):
                raise RunError(f"{self.table} must hold the jobs of runs")
            self.ids = {str(name): str(number) for name, number in found.items()}
        # Asked for all at once, and not each by itself when it is first looked for.
        for number in self.ids.values():
            self.watcher.register_job(number)

    @property
    def room(self) -> int:
        """How many more runs it takes now: all that Slurm may keep, or what is free.

        Slurm limits how many jobs of one array run at once. Those of a second array,
        such as new attempts, would run beside these.
        """
        if not self.waited_for:
            return LARGEST_ARRAY
        return max(0, self.jobs - len(self.waited_for))

    def start(self, names: Sequence[str]) -> None:
        """Takes runs."""
        from submitit.core.utils import FailedJobError

        path = str(self.folder.path.resolve())
        shared = (self.options.cpus, asdict(self.work))
        calls = [(path, name, *shared) for name in names]
        try:
            jobs = self.submitit.map_array(attempt_in_job, *zip(*calls, strict=True))
        except (FailedJobError, OSError) as error:
            last = str(error).strip().splitlines()[-1]
            raise RunError(f"Slurm must take the runs, got: {last}") from error
        self.ids |= {name: job.job_id for name, job in zip(names, jobs, strict=True)}
        self.waited_for |= set(names)
        write_json(self.table, self.ids)
        self.asked = float("-inf")
        for job in jobs:
            self.watcher.register_job(job.job_id)

    def active(self) -> set[str]:
        """Returns the runs whose jobs have not ended."""
        self.waited_for = {name for name in self.ids if not self._ended(name)}
        return set(self.waited_for)

    def reason(self, name: str) -> str:
        """Returns how the last job of a run ended."""
        number = self.ids.get(name, "")
        state = self.watcher.get_state(number, mode="cache") if number else "UNKNOWN"
        logs = [str(path) for path in self.place.glob(f"*/{number}_0_log.out")]
        where = ", ".join(logs) or "which wrote no log"
        return f"its job {number} of Slurm ended as {state}, see {where}"

    def close(self) -> None:
        """Leaves the jobs to Slurm."""

    def _ended(self, name: str) -> bool:
        number = self.ids[name]
        state = "UNKNOWN"
        if self.has_accounting:
            state = self.watcher.get_state(number)
        # As in "CANCELLED by 1000", or in "CANCELLED+" where a column is narrow.
        state = state.split()[0].rstrip("+")
        if state in UNSURE:
            # Accounting lags behind, or there is none, or a cluster may have queued a
            # preempted job again.
            queued = self._queued()
            return queued is not None and number not in queued
        return state in ENDED

    def _queued(self) -> set[str] | None:
        """Returns the jobs that have not ended, None where Slurm does not answer."""
        if time.monotonic() > self.asked + DELAY:
            found = _answer("squeue", "--array", "--format=%i", f"--user={getuser()}")
            self.queue = None if found is None else set(found.split())
            self.asked = time.monotonic()
        return self.queue


def _answer(command: str, *options: str) -> str | None:
    """Returns what a command of Slurm prints, None if it fails."""
    words = [command, "--noheader", *options]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
