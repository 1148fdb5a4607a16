"""A run's folder: its configuration, log, checkpoint and result.

Every file is written whole or not at all.
"""

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
from ddw_graph.errors import FileError, RunError, UnfinishedWarning
from ddw_graph.training.lock import lock
from ddw_graph.training.log import Row as Row
from ddw_graph.training.log import csv_log, json_log

RESULT = (
    "test_accuracy",
    "test_loss",
    "train_loss",
    "epochs",
    "train_seconds",
    "parameters",
    "macs",
    "total_macs",
)
"""The numbers of a run's result."""

LATER = ("expected_macs",)
"""Numbers of a result beside these that runs of earlier versions lack."""

PATIENCE = 2.0
"""Seconds to wait for a process that trained in a folder to be gone."""


def write_json(path: Path, value: Any, *, overwrite: bool = True) -> None:
    """Writes JSON, whole or not at all.

    Raises:
        FileError: If another file is there and may not be replaced.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    write_bytes(path, [text.encode(), b"\n"], overwrite=overwrite)


def read_json(path: Path) -> Any:
    """Returns what a JSON file holds.

    Raises:
        RunError: If the file cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} must hold JSON, got {error}") from error


def environment() -> dict[str, Any]:
    """Returns what a result may depend on beside its configuration."""
    return {
        "ddw_graph": ddw_graph.__version__,
        "torch": torch.__version__,
        "networkx": nx.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }


@dataclass(frozen=True)
class RunFolder:
    """The folder of a training run.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def checkpoint_path(self) -> Path:
        """Where the last checkpoint is."""
        return self.path / "checkpoint.pt"

    @property
    def model_path(self) -> Path:
        """Where the trained network is, once the run has finished."""
        return self.path / "model.safetensors"

    @property
    def result_path(self) -> Path:
        """Where the result is, once the run has finished."""
        return self.path / "result.json"

    def start(
        self,
        config: Mapping[str, Any],
        *,
        resume: bool,
        images: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the folder, or checks that it holds the run that is to go on.

        Args:
            config: Everything that the result should depend on, ready for JSON.
            resume: Whether a run that is there already may go on.
            images: How images are prepared, for those who use what was trained.

        Raises:
            RunError: If the folder is in use and not to be resumed, or holds a run of
                another configuration.
        """
        path = self.path / "config.json"
        # Through JSON and back, so that tuples and integers compare as the file does.
        wanted = json.loads(json.dumps({"config": config}))["config"]
        if path.exists():
            found = self.config()
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
        if self.path.exists() and not all(map(is_draft, self.path.iterdir())):
            raise RunError(f"a run needs an empty or a new folder, got {self.path}")
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"config": wanted, "environment": environment()}
        content = content if images is None else {**content, "images": images}
        try:
            write_json(path, content, overwrite=False)
        except FileError:
            # Another process has begun a run here since we looked.
            self.start(config, resume=resume, images=images)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training here for a while.

        On a file system without locks nothing does.

        Raises:
            RunError: If one trains here already.
        """
        # The one file of a run that is never replaced.
        with lock(self.path / "config.json", seconds=PATIENCE) as free:
            if not free:
                raise RunError(
                    f"{self.path} is being trained by another process; the same "
                    "command goes on when that has ended"
                )
            yield

    def config(self) -> dict[str, Any]:
        """Returns the configuration of the run.

        Raises:
            RunError: If the folder holds no run.
        """
        config: dict[str, Any] = self._content()["config"]
        return config

    def network_config(self) -> dict[str, Any]:
        """Returns the configuration of the run of a network.

        Raises:
            RunError: If the folder holds no run, or one of something else.
        """
        config = self.config()
        if not isinstance(config.get("model"), dict):
            raise RunError(f"{self.path} must hold the run of a network")
        return config

    def data(self) -> dict[str, Any]:
        """Returns what the run's images are: ``name``, ``image_size``, ``classes``.

        Raises:
            RunError: If the folder holds no run, or one that does not say so.
        """
        data = self.config().get("data")
        wanted = {"name": str, "image_size": int, "classes": list}
        if not isinstance(data, dict) or not all(
            isinstance(data.get(key), kind) for key, kind in wanted.items()
        ):
            got = str(data)[:60]
            raise RunError(f"{self.path} must say what its images are, got {got}")
        return data

    def images(self) -> dict[str, Any] | None:
        """Returns how the run prepared its images; None of one that does not say.

        Raises:
            RunError: If the folder holds no run, or says something else.
        """
        images = self._content().get("images")
        if images is not None and not isinstance(images, dict):
            raise RunError(f"{self.path} must say how images are prepared as an object")
        return images

    def _content(self) -> dict[str, Any]:
        path = self.path / "config.json"
        if not path.is_file():
            raise RunError(f"a run's folder must hold config.json, got {self.path}")
        value = read_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
            raise RunError(f"{path} must hold a run's configuration")
        return value

    def write_log(self, history: Sequence[Row]) -> None:
        """Writes the log, a line an epoch: ``log.csv`` and ``log.jsonl``."""
        for name, text in (
            ("log.csv", csv_log(history)),
            ("log.jsonl", json_log(history)),
        ):
            write_bytes(self.path / name, [text.encode()], overwrite=True)

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint of tensors, numbers and text."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_bytes(self.checkpoint_path, [buffer.getvalue()], overwrite=True)

    def read_checkpoint(self) -> dict[str, Any]:
        """Returns the last checkpoint; reading one runs no code.

        Raises:
            RunError: If there is none, or the file is damaged.
        """
        path = self.checkpoint_path
        if not path.is_file():
            raise RunError(f"a trained run must hold checkpoint.pt, got {self.path}")
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
            raise RunError(f"{path} must be a whole checkpoint: {reason}") from error
        if missing:
            raise RunError(f"{path} must be a checkpoint, it lacks {sorted(missing)}")
        checkpoint: dict[str, Any] = state
        return checkpoint

    def weights(self) -> dict[str, Any]:
        """Returns the weights of the last checkpoint, by name.

        Warns:
            UnfinishedWarning: If the run has not come to its end.

        Raises:
            RunError: If there is no checkpoint, or the file is damaged.
        """
        checkpoint = self.read_checkpoint()
        if not self.result_path.exists():
            epochs = self.config().get("recipe", {}).get("epochs")
            warnings.warn(
                f"{self.path} has not finished: its weights are those of its last "
                f"checkpoint, {len(checkpoint['history'])} of {epochs} epochs",
                UnfinishedWarning,
                stacklevel=3,
            )
        weights: dict[str, Any] = checkpoint["model"]
        return weights

    def result(self) -> dict[str, Any] | None:
        """Returns the result of a finished run, None of one that has not finished.

        Raises:
            RunError: If the file is damaged.
        """
        if not self.result_path.exists():
            return None
        result = read_json(self.result_path)
        if not isinstance(result, dict) or not all(
            isinstance(result.get(key), int | float) for key in RESULT
        ):
            raise RunError(
                f"{self.result_path} must hold the numbers {', '.join(RESULT)}; "
                "without the file, --resume makes it again"
            )
        return result


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
    told = [value if len(value) < 60 else "other" for value in words]
    return f"{where} is {told[0]} there, and {told[1]} was asked for"
