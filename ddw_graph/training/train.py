"""One training run, from a configuration to a result in a folder."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ddw_graph.errors import DataError, RunError
from ddw_graph.models import create_model, from_config, load, save
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.training.budget_term import CLOSING_EDGES, check_closing
from ddw_graph.training.data import ImageData, load_data
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.execution import Execution
from ddw_graph.training.loop import Listener, check_steps, fit
from ddw_graph.training.preparation import Preparation
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run import LATER, RESULT, RunFolder, write_json
from ddw_graph.training.state import load_weights
from ddw_graph.training.world import World

DEFAULT_MODEL = "randwire_tiny"
"""The network that is trained where none is named."""


@dataclass(frozen=True)
class DataSource:
    """Where images come from; see ``load_data``.

    Args:
        name: One of ``DATA_SETS``.
        root: Folder of the data.
        image_size: Height and width, pixels, for image folders and shards.
        download: Whether torchvision may download.
        per_class: Training images of each class to choose.
        holdout: Training images to hold out and to test on.
        bad_images: ``fail`` or ``skip``.
    """

    name: str = "fashion_mnist_mini"
    root: Path | None = None
    image_size: int | None = None
    download: bool = False
    per_class: int | None = None
    holdout: int | None = None
    bad_images: str = "fail"

    def load(self) -> ImageData:
        """Returns the images."""
        return load_data(
            self.name,
            root=self.root,
            image_size=self.image_size,
            download=self.download,
            per_class=self.per_class,
            holdout=self.holdout,
            bad_images=self.bad_images,
        )


def train(
    model_config: dict[str, Any],
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int,
    folder: Path,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    listener: Listener | None = None,
    start: Network | None = None,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    world: World = World(),  # noqa: B008 (frozen)
    checkpoint_steps: int | None = None,
) -> dict[str, Any]:
    """Trains the network of a configuration in a folder, and returns the result.

    What was trained is at the end in the folder's ``model.safetensors``, for
    ``ddw_graph.load``. The result's ``expected_macs`` is the mean over test images of
    what each asks for, beside ``total_macs`` with every edge open.

    Args:
        model_config: The ``config`` of a network.
        data: The images.
        recipe: The recipe.
        seed: Fixes initial weights, order, augmentation, dropout and DropPath.
        folder: A new or empty folder, or, with ``resume``, that of the same run.
        resume: Whether to go on with a run that is there; a finished one is not
            repeated.
        device: Where to train.
        workers: Processes that load images.
        listener: Hears of steps and epochs.
        start: The network of this configuration to start from, which stays as it is;
            by default a freshly initialised one.
        execution: How steps are computed.
        world: The processes that train together; all of them call this, and the first
            writes.
        checkpoint_steps: Steps of an epoch after which a checkpoint is written, beside
            the one after each epoch.

    Raises:
        RunError: If the folder holds something else, the loss is not finite, ``start``
            is of another configuration, the recipe has a budget and the network's edges
            do not close in training, or another process failed.
        DataError: If the images do not fit the network.
    """
    check_fit(model_config, data)
    check_seed(seed)
    check_steps(recipe, execution, world, checkpoint_steps)
    if start is not None and _plain(start.config) != _plain(model_config):
        raise RunError("start must be a network of the same configuration, got another")
    # Building first: a network that cannot be built leaves no folder behind.
    torch.manual_seed(seed)
    model = from_config(model_config) if start is None else copy.deepcopy(start)
    if recipe.budget is not None:
        for stage in model.stages:
            check_closing(stage.edges)
    config = {
        "model": model_config,
        "data": data.as_dict(),
        "recipe": recipe.as_dict(),
        "seed": seed,
    }
    if start is not None:
        config["start"] = weights_digest(start)
    # What earlier versions did not know is left out where it is off: their runs go on.
    computed = execution.as_dict()
    if world.size > 1:
        computed["processes"] = world.size
    if computed:
        config["execution"] = computed
    model = model.to(device)
    run = RunFolder(folder)
    prepared = Preparation.of(data)
    images = None if prepared is None else prepared.as_dict()
    with started_together(run, config, world, device, resume=resume, images=images):
        finished = run.result()
        if finished is not None:
            return finished
        history = fit(
            model,
            data,
            recipe,
            seed=seed,
            folder=run,
            listener=listener,
            workers=workers,
            execution=execution,
            world=world,
            checkpoint_steps=checkpoint_steps,
        )
        # The weights that were tested, which may be an average of the trained ones.
        load_weights(model, run.read_checkpoint()["model"], run)
        price = cost(model, data.image_size)
        share = history[-1].get("test_macs_share")
        if share is None:  # trained to the end by an earlier version
            share = evaluate(model, data.test, workers=workers, price=price).macs_share
        result: dict[str, Any] = history[-1] | {
            "epochs": len(history),
            "train_seconds": sum(row["train_seconds"] for row in history),
            **price.as_dict(),
            "expected_macs": share * price.total_macs,
        }
        result = {key: result[key] for key in (*RESULT, *LATER)}
        with world.together(device):
            if world.leads:
                save(model, run.model_path, overwrite=True)
                write_json(run.result_path, result)
        return result


def _plain(config: Mapping[str, Any] | None) -> str:
    """Returns a configuration as a run's folder keeps it."""
    return json.dumps(config, sort_keys=True)


def check_seed(seed: int) -> None:
    """Checks that a seed is one that draws can be named by; see ``Key``.

    Raises:
        RunError: If it is out of range.
    """
    if not 0 <= seed < 2**32:
        raise RunError(f"seed must be in [0, 2**32), got {seed}")


def new_network(
    data: ImageData,
    recipe: Recipe,
    *,
    model: str = DEFAULT_MODEL,
    seed: int,
    **settings: Any,
) -> Network:
    """Returns a network for images, with edges that can keep the recipe's budget.

    Args:
        data: The images.
        recipe: How it will be trained: with a budget, edges are ``CLOSING_EDGES`` where
            the settings name none.
        model: Its name.
        seed: Fixes its wirings and initial weights.
        settings: What else ``create_model`` takes.

    Raises:
        ModelError: If it cannot be built.
    """
    if recipe.budget is not None:
        settings.setdefault("edges", CLOSING_EDGES)
    network: Network = create_model(
        model,
        num_classes=len(data.classes),
        in_channels=data.channels,
        seed=seed,
        **settings,
    )
    return network


@contextmanager
def started_together(
    run: RunFolder,
    config: Mapping[str, Any],
    world: World,
    device: str,
    *,
    resume: bool,
    images: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Starts a run's folder for all that train together, and holds it for a while.

    The process that leads makes the folder; the others check that they see it, and that
    what they are to train is what is written there.

    Args:
        run: The folder.
        config: See ``RunFolder.start``, as ``resume`` and ``images``.
        world: The processes.
        device: Where they compute.
        resume: Whether a run that is there may go on.
        images: How images are prepared.

    Raises:
        RunError: If the folder holds something else, is in use by another training, or
            another process failed or was started with something else.
    """
    with ExitStack() as stack:
        with world.together(device):
            if world.leads:
                run.start(config, resume=resume, images=images)
                stack.enter_context(run.held())
        with world.together(device):
            if not world.leads:
                run.config()  # which every process must see
                run.start(config, resume=True, images=images)
        yield


def weights_digest(model: Network) -> str:
    """Returns what tells the weights of a network from others."""
    digest = sha256()
    for name, tensor in model.state_dict().items():
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + b"\0" + values.numpy().tobytes())
    return digest.hexdigest()[:16]


def usable_device(name: str) -> str:
    """Returns the device of a name, if this machine has it; ``auto`` finds one.

    Raises:
        RunError: If there is no such device here.
    """
    # Which GPU it will be is not known yet: nothing may be put on the first.
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if name == "auto":
        return "cpu"
    try:
        # Sums are in float64, which not every device knows.
        torch.empty(1, device=name, dtype=torch.float64).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise RunError(
            "device must be auto, or one that torch can use here with float64, got "
            f"{name!r}"
        ) from error
    return name


def check_fit(model_config: dict[str, Any], data: ImageData) -> None:
    """Checks that a network and images go together.

    Raises:
        DataError: If channels or classes differ.
    """
    for what, wanted, found in (
        ("channels", model_config["in_channels"], data.channels),
        ("classes", model_config["num_classes"], len(data.classes)),
    ):
        if wanted != found:
            raise DataError(
                f"the network takes {wanted} {what}, the images of {data.name} "
                f"have {found}"
            )


def images_for(folder: Path, data: ImageData) -> ImageData:
    """Returns images as the network of a run is to see them.

    Mean and deviation are those that the run was trained with, not those of images that
    it never saw. Of a run of an earlier version, which does not say, images stay as
    they are.

    Args:
        folder: The run.
        data: The images.

    Raises:
        RunError: If the folder holds no run of a network.
        DataError: If the images have other channels or classes than the run's.
    """
    run = RunFolder(folder)
    config = run.network_config()
    trained = run.data()["classes"]
    if trained != list(data.classes):
        raise DataError(
            f"the network of {folder} was trained on other classes than those of "
            f"{data.name}: {', '.join(map(str, trained[:5]))} ..."
        )
    values = run.images()
    if values is not None:
        data = Preparation.from_dict(values).applied(data)
    check_fit(config["model"], data)
    return data


def trained_model(folder: Path, *, device: str = "cpu") -> Network:
    """Returns the network of a run with the weights of its last checkpoint.

    Its wirings are those of the run's configuration, edge by edge.

    Warns:
        UnfinishedWarning: If the run has not come to its end.

    Raises:
        RunError: If the folder holds no trained run, or a damaged one.
    """
    run = RunFolder(folder)
    model = from_config(run.network_config()["model"])
    load_weights(model, run.weights(), run)
    return model.to(device).eval()


def kept_model(path: Path, *, device: str = "cpu") -> Network:
    """Returns the network in a file of ``ddw_graph.save``, or in a run's folder.

    Raises:
        CheckpointError: If the file is damaged, or something else.
        RunError: If the folder holds no trained run, or a damaged one.
    """
    if path.is_dir():
        return trained_model(path, device=device)
    return load(path).to(device)
