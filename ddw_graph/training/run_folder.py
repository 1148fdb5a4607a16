"""The files of a run, as training writes them: each whole or not at all."""

import hashlib
import io
import json
import platform
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import torch

import ddw_graph
from ddw_graph.atomic import is_draft, write_bytes
from ddw_graph.errors import FileError, RunError
from ddw_graph.training.lock import lock
from ddw_graph.training.log import Row, write_rows

LOCK = ".lock"
PATIENCE = 2.0
"""Seconds to wait for a process that trained in a folder to end."""


def write_json(path: Path, value: Any, *, overwrite: bool = True) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(value, indent=1, allow_nan=False)
    write_bytes(path, [text.encode(), b"\n"], overwrite=overwrite)


def read_json(path: Path) -> Any:
    """Returns the content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RunError(f"{path} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} must hold JSON, got {error}") from error


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{path} must be readable, got {error.strerror}") from error


def environment() -> dict[str, Any]:
    """Returns what a result may depend on besides its configuration."""
    return {
        "ddw_graph": ddw_graph.__version__,
        "torch": torch.__version__,
        "networkx": nx.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run or of an experiment."""

    path: Path

    @property
    def config_path(self) -> Path:
        """What the run is a run of; written first, and never replaced."""
        return self.path / "config.json"

    @property
    def checkpoint_path(self) -> Path:
        """The last checkpoint, until the run has finished."""
        return self.path / "checkpoint.pt"

    @property
    def model_path(self) -> Path:
        """The trained network, once the run has finished."""
        return self.path / "model.safetensors"

    @property
    def result_path(self) -> Path:
        """The result, once the run has finished."""
        return self.path / "result.json"

    def start(
        self,
        config: Mapping[str, Any],
        *,
        resume: bool,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the folder, or checks that it holds the run that is to be resumed.

        Args:
            config: Everything that the result depends on, ready for JSON.
            resume: Whether a run that is there may be resumed.
            notes: What else ``config.json`` holds for those who read the run.

        Raises:
            RunError: If the folder is in use and not to be resumed, or holds a run of
                another configuration.
        """
        # Through JSON and back, so that tuples and integers compare as the file does.
        wanted = json.loads(json.dumps({"config": config}))["config"]
        if self.config_path.exists():
            found = self.content()["config"]
            if not resume:
                raise RunError(
                    f"{self.path} already holds a run; resume it with --resume"
                )
            difference = _difference(found, wanted)
            if difference:
                raise RunError(
                    f"{self.path} holds a run of another configuration: {difference}"
                )
            return
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"a run needs a folder, got the file {self.path}")
        # A process that was killed while it wrote leaves a draft.
        others = self.path.iterdir() if self.path.exists() else ()
        if not all(is_draft(path) or path.name == LOCK for path in others):
            raise RunError(f"a run needs an empty or a new folder, got {self.path}")
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"config": wanted, "environment": environment(), **(notes or {})}
        try:
            write_json(self.config_path, content, overwrite=False)
        except FileError:
            # Another process has begun a run here since we looked.
            self.start(config, resume=resume, notes=notes)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Locks the folder within, so that no other process trains here."""
        with lock(self.path / LOCK, seconds=PATIENCE) as free:
            if not free:
                raise RunError(
                    f"{self.path} is being trained by another process; run the same "
                    "command again when that has ended"
                )
            yield

    def content(self) -> dict[str, Any]:
        """Returns what ``config.json`` holds: ``config``, ``environment`` and notes."""
        if not self.config_path.is_file():
            raise RunError(f"a run's folder must hold config.json, got {self.path}")
        value = read_json(self.config_path)
        if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
            raise RunError(f"{self.config_path} must hold a run's configuration")
        return value

    def write_log(self, history: Sequence[Row]) -> None:
        """Writes the log, a line for each epoch: ``log.csv``."""
        write_rows(self.path / "log.csv", history)

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint of tensors, numbers and text."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_bytes(self.checkpoint_path, [buffer.getvalue()], overwrite=True)

    def read_checkpoint(self) -> dict[str, Any]:
        """Returns the last checkpoint; reading it runs no code.

        Raises:
            RunError: If there is none, or the file is damaged.
        """
        path = self.checkpoint_path
        if not path.is_file():
            raise RunError(
                f"{self.path} must hold result.json with model.safetensors, or "
                "checkpoint.pt, got neither; train it with ddw-graph train --resume"
            )
        try:
            # torch does not look at the checksums that its own files have.
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} has another checksum")
            with warnings.catch_warnings(action="ignore"):
                state = torch.load(path, map_location="cpu", weights_only=True)
            missing = {"model", "optimizer", "history"} - set(state)
        except Exception as error:  # a damaged file can make the reader raise anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            # By its name: nothing here imports pickle.
            if type(error).__name__ == "UnpicklingError":
                reason = "it holds more than tensors, numbers and text"
            raise RunError(f"{path} must be a whole checkpoint: {reason}") from error
        if missing:
            raise RunError(f"{path} must be a checkpoint, it lacks {sorted(missing)}")
        checkpoint: dict[str, Any] = state
        return checkpoint

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result of a run whose network has been saved.

        The checkpoint goes: the network has one home, and a finished run is as large as
        its network and its tables.
        """
        digest = file_digest(self.model_path)
        write_json(self.result_path, {**result, "model_sha256": digest})
        self.checkpoint_path.unlink(missing_ok=True)


def _difference(found: Any, wanted: Any, where: str = "") -> str | None:
    """Returns the first place where two JSON values differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            place = f"{where}.{key}" if where else str(key)
            difference = _difference(found.get(key), wanted.get(key), place)
            if difference:
                return difference
        return None
    if found == wanted:
        return None
    words = map(repr, (found, wanted))
    shown = [value if len(value) < 60 else "other" for value in words]
    return f"{where} is {shown[0]} there, and {shown[1]} was asked for"
