"""Detection as a task of the training loop."""

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Boxes, Detector
from ddw_graph.detection.evaluation import coco_results
from ddw_graph.detection.figures import FIGURES, coco_figures
from ddw_graph.detection.recipe import DetectionRecipe
from ddw_graph.errors import RunError
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import train_task
from ddw_graph.training.log import Row
from ddw_graph.training.loop import Training
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.task import Evaluating, Task


class Detection(Task):
    """A detector that learns to find objects.

    The log has the means of the loss and of its four terms, as torchvision names them,
    over the training images, and those of COCO's figures of the validation images that
    are defined.

    Args:
        train: Images to train on; those without an object are left out.
        val: Images to evaluate on.

    Raises:
        DataError: If both have not the detector's categories, or there is no object to
            train on.
        RunError: If faster-coco-eval is not installed.
    """

    name = "detection"

    def __init__(
        self,
        detector: Detector,
        train: CocoData,
        val: CocoData,
        recipe: DetectionRecipe,
    ) -> None:
        super().__init__(detector, recipe)
        for data in (train, val):
            data.check_categories(detector.categories, "the detector")
        channels = detector.in_channels
        self.data = replace(train.trainable(), channels=channels, flip=recipe.flip)
        self.val = val
        self.bad = [*self.data.bad, *val.bad]
        # Fails here, if it is not installed, and not after an epoch.
        val.index  # noqa: B018

    @property
    def train(self) -> CocoData:
        """The training images with their boxes."""
        return self.data

    @staticmethod
    def collate(
        samples: Sequence[tuple[Tensor, Boxes]],
    ) -> tuple[list[Tensor], list[Boxes]]:
        """Returns a list of images, which can differ in size, and of their boxes."""
        return [image for image, _ in samples], [boxes for _, boxes in samples]

    def data_dict(self) -> dict[str, Any]:
        """Returns what identifies the images."""
        return {"train": self.data.as_dict(), "val": self.val.as_dict()}

    def check(self, execution: Execution) -> None:
        """Refuses to compile: images of each size would be compiled anew."""
        if execution.compile:
            raise RunError("a detector's images differ in size, compile must be off")

    def loss(
        self, forward: nn.Module, batch: tuple[list[Tensor], list[Boxes]], count: int
    ) -> dict[str, Tensor]:
        """Returns the sum of torchvision's four terms, and each; see ``Task.loss``."""
        # A process without a sample computes one that does not count.
        images, boxes = (column[: max(1, count)] for column in batch)
        terms = forward(images, boxes)
        loss = torch.stack([*terms.values()]).sum()
        sums = {
            name.removeprefix("loss_"): count * value.detach().double()
            for name, value in terms.items()
        }
        return {
            "objective": loss if count else 0 * loss,
            "loss": torch.stack([*sums.values()]).sum(),
            **sums,
        }

    def evaluate(self, network: Detector, now: Evaluating) -> Row:
        """Returns COCO's figures that are defined for the validation images."""
        results = coco_results(network, self.val, workers=now.workers, world=now.world)
        figures = coco_figures(self.val, results)
        return {name: value for name, value in figures.items() if value is not None}

    def result(self, network: Detector, history: Sequence[Row]) -> dict[str, Any]:
        """Returns the last figures, None where undefined; loss and time."""
        last = history[-1]
        return {
            **{name: last.get(name) for name in FIGURES},
            "train_loss": last["train_loss"],
            "epochs": len(history),
            "train_seconds": sum(row["train_seconds"] for row in history),
            "parameters": sum(each.numel() for each in network.parameters()),
            "synthetic": self.data.synthetic or self.val.synthetic,
        }


def train_detector(
    detector: Detector,
    train: CocoData,
    val: CocoData,
    recipe: DetectionRecipe,
    *,
    seed: int,
    folder: str | os.PathLike[str],
    device: str = "cpu",
    **options: Any,
) -> Run:
    """Trains a detector and returns the run.

    A copy is trained: ``detector`` stays unchanged, and ``run.network()`` is the
    trained one. Everything that ``ddw_graph.training.launch`` does, from exact resuming
    to several processes, it does here too; several normalise their own images.

    Args:
        detector: The detector, with the weights to start from.
        train: Images to train on; those without an object are left out.
        val: Images to evaluate on after each epoch.
        seed: Fixes order, flips, dropout and what is sampled.
        folder: A new or empty folder, or, with ``resume``, that of the same run.
        options: ``resume``, ``workers``, ``listeners``, ``execution``, ``world`` and
            ``checkpoint_steps``, as for ``ddw_graph.training.launch``.

    Raises:
        RunError: If the folder holds something else, the loss is not finite,
            faster-coco-eval is not installed, or another process failed.
        DataError: If the categories differ, an image cannot be read, or none has an
            object to train on.
        ModelError: If the detector's network has no ``config``.
    """
    task = Detection(copy.deepcopy(detector).to(device), train, val, recipe)
    resume = options.pop("resume", False)
    training = Training(task, seed, RunFolder(Path(folder)), **options)
    return train_task(training, resume=resume)
