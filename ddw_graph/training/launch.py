"""Training: a network, data and a recipe become a run in a folder."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from ddw_graph.errors import ModelError, RunError
from ddw_graph.models import create_model, rewire, save
from ddw_graph.models.create import has_setting
from ddw_graph.models.files import has_own_parts, packed
from ddw_graph.nn.network import Network
from ddw_graph.training.bad_images import write_bad_images
from ddw_graph.training.budget_term import CLOSING_EDGES
from ddw_graph.training.classification import Classification
from ddw_graph.training.execution import Execution
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.language import Language
from ddw_graph.training.loop import Listener, Training, fit
from ddw_graph.training.own_data import dataset_data
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run import Run, kept_network
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.text_data import TextData
from ddw_graph.training.world import World

TASKS = {task.name: task for task in (Classification, Language)}
"""What is learned, by the ``task`` of data."""

Folder = str | os.PathLike[str]


def train(
    network: Network,
    data: ImageData | TextData | Sequence[Dataset[Any]],
    recipe: Recipe,
    *,
    seed: int,
    folder: Folder,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    listeners: Sequence[Listener] = (),
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    world: World = World(),  # noqa: B008 (frozen)
    checkpoint_steps: int | None = None,
) -> Run:
    """Trains a network to classify images or to predict text, and returns the run.

    A copy is trained: ``network`` stays unchanged, and ``run.network()`` is the trained
    one. Edge weights and operations of your own are trained like any other.

    Args:
        network: The network, with the weights to start from.
        data: The images or the text, such as ``load_data`` returns; or two data sets,
            to train and to test on, of pairs of an image and its class; see
            ``dataset_data``.
        seed: Fixes order, augmentation, dropout and DropPath. The initial weights are
            those of ``network``.
        folder: A new or empty folder, or, with ``resume``, that of the same run.
        resume: Whether a run that is there is resumed; a finished one is not repeated.
        workers: Processes that load samples.
        world: The processes that train together; all of them call this.
        checkpoint_steps: See ``Training``.

    Raises:
        RunError: If the folder holds something else, the loss is not finite, the recipe
            has a budget and the network's edges do not close in training, or another
            process failed.
        DataError: If the data do not fit the network.
        ModelError: If the network has no ``config``.
    """
    if not isinstance(data, ImageData | TextData):
        data = dataset_data(*data)
    copied = copy.deepcopy(network).to(usable_device(device))
    training = Training(
        TASKS[data.task](copied, data, recipe),
        seed,
        RunFolder(Path(folder)),
        execution,
        world,
        listeners,
        workers,
        checkpoint_steps,
    )
    return train_task(training, resume=resume)


def train_task(training: Training, *, resume: bool = False) -> Run:
    """Trains the network of a task in place and returns the run; see ``train``."""
    task, run, world = training.task, training.folder, training.world
    check_seed(training.seed)
    if task.network.config is None:
        raise ModelError(
            "a network must have a config to be trained, as create_model and rewire "
            "give it, got None"
        )
    packed(task.network)  # what cannot be saved is refused before it is trained
    task.check(training.execution)
    config = {
        "task": task.name,
        "model": task.network.config,
        "weights": weights_digest(task.network),
        "data": task.data_dict(),
        "recipe": task.recipe.as_dict(),
        "seed": training.seed,
        "execution": {**training.execution.as_dict(), "processes": world.size},
    }
    notes = task.notes()
    with start_together(
        run, config, world, training.device, resume=resume, notes=notes
    ):
        if not run.result_path.exists():
            with world.together(training.device):
                if world.leads:
                    write_bad_images(run.path, task.bad)
            history = fit(training)
            network = training.state.evaluated
            with world.together(training.device):
                if world.leads:
                    save(network, run.model_path, overwrite=True)
                    run.finish(task.result(network, history))
        finished = Run(run.path)
        with world.together(training.device):
            if world.leads:
                finished.check_trained()
                # A process that was killed as it finished leaves it.
                run.checkpoint_path.unlink(missing_ok=True)
        return finished


@contextmanager
def start_together(
    run: RunFolder,
    config: Mapping[str, Any],
    world: World,
    device: torch.device | str,
    *,
    resume: bool,
    notes: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Starts a run's folder for all that train together, and locks it within.

    The first process makes the folder; the others check that they see it, and that it
    holds the configuration that they are to train.

    Raises:
        RunError: If the folder holds something else, is in use by another training, or
            another process failed or was started with something else.
    """
    with ExitStack() as stack:
        with world.together(device):
            if world.leads:
                run.start(config, resume=resume, notes=notes)
                stack.enter_context(run.exclusive())
        with world.together(device):
            if not world.leads:
                run.content()  # which every process must see
                run.start(config, resume=True, notes=notes)
        yield


def check_seed(seed: int) -> None:
    """Checks that a seed is a word of the seeds that draws are made of; see ``Key``."""
    if not isinstance(seed, int):
        raise RunError(f"seed must be an integer, got {seed}")
    if not 0 <= seed < 2**32:
        raise RunError(f"seed must be in [0, 2**32), got {seed}")


def weights_digest(network: Any) -> str:
    """Returns a digest of the weights of a network.

    And of the classes and settings of its modules where some are of the user's own,
    which its ``config`` cannot hold; not of their code.
    """
    digest = sha256(str(network).encode() if has_own_parts(network.config) else b"")
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + b"\0" + values.numpy().tobytes())
    return digest.hexdigest()[:16]


def new_network(
    data: ImageData | TextData,
    recipe: Recipe,
    *,
    model: str | None = None,
    seed: int,
    **settings: Any,
) -> Network:
    """Returns a network for images or a text, its weights drawn from a seed.

    Args:
        data: The images or the text, which fix settings such as the classes.
        recipe: How it will be trained: with a budget, edges are ``CLOSING_EDGES`` where
            the settings name none.
        model: Its name; by default that of a small network for such data.
        seed: Fixes its wirings and initial weights.
        settings: What else ``create_model`` takes.
    """
    if recipe.budget is not None:
        if data.task == "language":
            raise RunError(f"budget is for images, got {recipe.budget} for a text")
        settings.setdefault("edges", CLOSING_EDGES)
    name, fixed = model or TASKS[data.task].default_model, data.network_settings()
    # Most networks take images of any size.
    if not has_setting(name, "image_size"):
        fixed.pop("image_size", None)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network: Network = create_model(name, seed=seed, **{**fixed, **settings})
    return network


def started_network(path: Path, *, seed: int, **settings: Any) -> Network:
    """Returns the network of a run or of a saved file to train further.

    Args:
        seed: Fixes what rewiring draws.
        settings: ``wiring``, ``edges``, ``node`` or ``drop_path`` of ``rewire``, which
            rewires the network; without any, it is unchanged.
    """
    allowed = ("wiring", "edges", "node", "drop_path")
    for name, value in settings.items():
        if name not in allowed:
            raise RunError(
                f"a network to start from can be rewired by {', '.join(allowed)}, got "
                f"{name}={value}; it cannot be combined with --from"
            )
    network: Network = kept_network(path)
    if not settings:
        return network
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # for projections that are added
        return rewire(network, seed=seed, **settings)


def usable_device(name: str) -> str:
    """Returns the device of a name, if this machine has it; ``auto`` finds one."""
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
