"""A run: everything that a training left in its folder."""

import math
import os
import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ddw_graph.errors import (
    DataError,
    RunError,
    UnfinishedWarning,
    UserError,
    counted,
)
from ddw_graph.models import load
from ddw_graph.models.files import Model, model_for
from ddw_graph.nn.network import Network
from ddw_graph.training.collection import Collection, open_collection
from ddw_graph.training.data import load_source
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.edge_log import EdgeRow, read_edge_log
from ddw_graph.training.log import Row, read_log
from ddw_graph.training.run_folder import RunFolder, file_digest, read_json
from ddw_graph.training.state import load_weights
from ddw_graph.training.text_data import Tokenizer
from ddw_graph.training.transform import Transform

PREDICTION = (
    *("test_accuracy", "test_loss", "train_seconds"),
    *("parameters", "total_macs", "expected_macs"),
)
NUMBERS = {
    "classification": PREDICTION,
    "language": (*PREDICTION, "test_perplexity", "test_bits_per_byte"),
}
"""Numbers that the result of a task has besides ``epochs`` and ``train_loss``."""


class Run:
    """A run in its folder, finished or not.

    What is read from it is checked, and reading runs no code.

    Args:
        path: The folder.

    Raises:
        RunError: If the folder holds no run.

    Example:
        >>> import tempfile
        >>> from ddw_graph import create_model
        >>> from ddw_graph.training import load_data, recipe_named, train
        >>> data = load_data(per_class=2, holdout=20)
        >>> network = create_model(
        ...     "randwire_tiny", n=2, channels=4, num_classes=10, in_channels=1
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recipe = recipe_named("small", epochs=1)
        ...     run = train(network, data, recipe, seed=0, folder=f"{folder}/run")
        ...     sorted(run.result)[:3], len(run.log), run.analysis.samples
        (['epochs', 'expected_macs', 'parameters'], 1, 20)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._folder = RunFolder(self.path)
        self._content = self._folder.content()

    def __repr__(self) -> str:
        """Returns the constructor call."""
        return f"Run({str(self.path)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """Everything that the result depends on: task, network, data, recipe, seed."""
        config: dict[str, Any] = self._content["config"]
        return config

    @property
    def model_config(self) -> dict[str, Any]:
        """The ``config`` of the network."""
        config = self.config.get("model")
        if not isinstance(config, dict):
            raise RunError(f"{self.path} must hold the run of a network")
        return config

    @property
    def seed(self) -> int:
        """The seed."""
        seed = self.config.get("seed")
        if not isinstance(seed, int):
            raise RunError(f"{self.path} must hold its seed, got {str(seed)[:60]}")
        return seed

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        names = tuple(map(str, self._data["classes"]))
        if any("\ud800" <= letter <= "\udfff" for name in names for letter in name):
            raise RunError(f"{self.path}: classes must be whole text, got {names!a}")
        return names

    @property
    def image_size(self) -> int:
        """Height and width of its images, pixels."""
        return int(self._data["image_size"])

    @property
    def transform(self) -> Transform | None:
        """What its images went through; None where the network saw them unchanged."""
        values = self._data.get("transform")
        return None if values is None else Transform.from_dict(values)

    @property
    def source(self) -> DataSource | None:
        """Where its images came from; None where they were in memory."""
        values = self._content.get("source")
        return None if values is None else DataSource.from_dict(values)

    def data(self) -> Any:
        """Returns its images or its text; for others see ``adapt``.

        Raises:
            RunError: If the run's images were in memory.
            DataError: If they cannot be read, or do not fit the run.
        """
        if self.source is None:
            raise RunError(
                f"{self.path} was trained on images in memory, {self._data['name']!r}, "
                "which no command can read; give others, or use ddw_graph.analysis"
            )
        return self.adapt(load_source(self.source))

    def tokenizer(self) -> Tokenizer:
        """Returns what makes tokens of a text, and a text of tokens.

        Raises:
            RunError: If this is no run of a language model.
            DataError: If its tokenizer's file is gone or another one.
        """
        if self.config.get("task") != "language":
            raise RunError(
                f"{self.path} must be the run of a language model, got one of the task "
                f"{self.config.get('task')}"
            )
        wanted = self.config["data"].get("tokenizer")
        path = self.source.tokenizer if wanted and self.source else None
        tokenizer = Tokenizer(path)
        if path is not None and tokenizer.digest[:16] != wanted:
            raise DataError(f"{path} must be the tokenizer of {self.path}, got another")
        return tokenizer

    def adapt(self, data: Any) -> Any:
        """Returns images to be transformed as those that this run was trained on.

        Where their source names an image size, they keep that size. A text is
        unchanged.

        Raises:
            DataError: If images have other channels or classes, a text has another
                vocabulary, or the run is of the other kind of data.
        """
        if data.task != self.config.get("task"):
            raise DataError(
                f"{self.path} is a run of the task {self.config.get('task')}, got data "
                f"for {data.task}"
            )
        if data.task == "language":
            vocabulary = self.config["data"].get("vocabulary")
            if data.vocabulary != vocabulary:
                raise DataError(
                    f"the network of {self.path} has a vocabulary of {vocabulary}, "
                    f"the text {data.vocabulary}"
                )
            return data
        if self.classes != data.classes:
            raise DataError(
                f"the network of {self.path} was trained on other classes than those "
                f"of {data.name}: {', '.join(self.classes[:5])} ..."
            )
        channels = self.model_config.get("in_channels")
        transform, own = self.transform, data.transform
        if transform is not None:
            if own is not None and data.source and data.source.image_size is not None:
                size = data.image_size
                transform = replace(transform, image_size=size, resize=own.resize)
            data = data.with_transform(transform)
        if channels != data.channels:
            raise DataError(
                f"the network takes {channels} channels, the images of {data.name} "
                f"have {data.channels}"
            )
        return data

    @property
    def result(self) -> dict[str, Any] | None:
        """The result: accuracy or COCO's figures, loss, time, cost; None if unfinished.

        Raises:
            RunError: If the file is damaged.
        """
        found = self._result()
        if found is not None:
            del found["model_sha256"]
        return found

    def _result(self) -> dict[str, Any] | None:
        """Returns the result with the digest of the network's file."""
        path = self._folder.result_path
        if not path.exists():
            return None
        result = read_json(path)
        if not _is_result(result, self.config.get("task")):
            raise RunError(
                f"{path} must hold numbers, epochs and model_sha256; restore it from "
                "a copy, or remove it and train again from the start with --resume"
            )
        return dict(result)

    @property
    def log(self) -> list[Row]:
        """The log: a row for each epoch."""
        return read_log(self.path)

    @property
    def edge_log(self) -> list[EdgeRow]:
        """Mean and standard deviation of each edge's weight after each epoch."""
        return read_edge_log(self.path)

    @property
    def analysis(self) -> Collection:
        """The edge weights of each test sample, as the last evaluation found them."""
        return open_collection(self.path)

    def network(self, *, device: str = "cpu", **own: Any) -> Any:
        """Returns the trained network, in evaluation mode.

        It is that of ``model.safetensors`` once the run has finished, and until then
        that of the last checkpoint. Its wirings are those of the run, edge by edge.

        Args:
            device: Where it is to be.
            own: ``operation``, ``edges`` and ``backbone`` as for ``load``, where the
                network was made of the caller's own.

        Warns:
            UnfinishedWarning: If the run has not finished.

        Raises:
            RunError: If the run is not trained, or ``model.safetensors`` is not the
                file that the run wrote.
            CheckpointError: If it is damaged.
        """
        if self._result() is None:
            return self._last_checkpoint(**own).to(device).eval()
        self.check_trained()
        return load(self._folder.model_path, **own).to(device)

    def check_trained(self) -> None:
        """Checks that the network is that which the run wrote, without loading it."""
        result, path = self._result(), self._folder.model_path
        if result is None:
            self._folder.read_checkpoint()
        elif file_digest(path) != result["model_sha256"]:
            raise RunError(
                f"{path} must be the file that this run wrote, with the SHA-256 in "
                "result.json, got another or a damaged one; restore it from a copy"
            )

    def _last_checkpoint(self, **own: Any) -> Any:
        checkpoint = self._folder.read_checkpoint()
        try:
            weights, history = checkpoint["model"], list(checkpoint["history"])
            kinds = {w.dtype for w in weights.values() if w.is_floating_point()}
            network = model_for(weights, self.model_config, **own)
            network.to(next(iter(kinds), torch.float32))
            load_weights(network, weights)
        except (UserError, AttributeError, TypeError) as error:
            raise RunError(f"{self._folder.checkpoint_path}: {error}") from error
        warnings.warn(
            f"{self.path} has not finished: its weights are those of its last "
            f"checkpoint, after {counted(len(history), 'epoch')}",
            UnfinishedWarning,
            stacklevel=3,
        )
        return network

    @cached_property
    def _data(self) -> dict[str, Any]:
        """The identity of the run's images: name, size, classes."""
        data = self.config.get("data")
        wanted = {"name": str, "image_size": int, "classes": list}
        if not isinstance(data, dict) or not all(
            isinstance(data.get(key), kind) for key, kind in wanted.items()
        ):
            got = str(data)[:60]
            raise RunError(f"{self.path} must describe its images, got {got}")
        return data


def _is_result(result: Any, task: Any) -> bool:
    """Returns whether a result has the numbers of its task, each finite or None."""
    return (
        isinstance(result, dict)
        and isinstance(result.get("model_sha256"), str)
        and isinstance(result.get("epochs"), int)
        and all(
            isinstance(result.get(key), int | float) for key in NUMBERS.get(task, ())
        )
        and "train_loss" in result
        and result.get("total_macs") != 0
        and all(
            value is None
            or isinstance(value, str | int)
            or (isinstance(value, float) and math.isfinite(value))
            for value in result.values()
        )
    )


def kept_network(
    path: str | os.PathLike[str],
    *,
    kind: type[Model] = Network,  # type: ignore[assignment]
    device: str = "cpu",
) -> Model:
    """Returns the network in a run's folder, or in a file of ``ddw_graph.save``.

    Raises:
        CheckpointError: If the file is damaged, or something else.
        RunError: If the folder holds no trained run of this kind, or a damaged one.
    """
    path = Path(path)
    if not path.is_dir():
        return load(path, kind=kind).to(device)
    network = Run(path).network(device=device)
    if not isinstance(network, kind):
        raise RunError(
            f"{path} must hold the run of a {kind.__name__}, got that of a "
            f"{type(network).__name__}"
        )
    return network
