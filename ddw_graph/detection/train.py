"""One training of a detector, from data to a result in a folder."""

import math
from pathlib import Path
from typing import Any

import torch

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Detector, detector_from
from ddw_graph.detection.figures import FIGURES, check_installed
from ddw_graph.detection.loop import check_execution, fit_detector
from ddw_graph.detection.recipe import DetectionRecipe
from ddw_graph.detection.settings import DetectorSettings, settings_named
from ddw_graph.errors import RunError
from ddw_graph.models import FeatureNetwork, load, save
from ddw_graph.nn.network import Network
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import check_seed, started_together, weights_digest
from ddw_graph.training.loop import Listener
from ddw_graph.training.run import RunFolder, read_json, write_json
from ddw_graph.training.state import load_weights
from ddw_graph.training.world import World

RESULT = ("train_loss", "epochs", "train_seconds", "parameters")
"""The numbers of a run's result, beside COCO's figures."""


def chosen_settings(
    network: Network, preset: str, *, started: bool, **changes: Any
) -> DetectorSettings:
    """Returns a preset's settings as they suit a backbone that is trained or is not.

    A backbone that was trained keeps its normalisation, and its stem and first stage
    stay as they are; one from scratch trains as a whole. What is asked for goes first.

    Args:
        network: The backbone's network.
        preset: One of ``SETTINGS``.
        started: Whether the network was trained.
        changes: Values in place of the preset's; None changes nothing.

    Raises:
        ModelError: If there is no such preset or value, or a value is out of range.
    """
    if changes.get("norm") is None:
        changes["norm"] = "frozen" if started else "batch"
    settings = settings_named(preset, **changes)
    if started and changes.get("trainable_layers") is None:
        info = FeatureNetwork(network).feature_info
        stages = [
            each.stage for each in info.levels if each.reduction in settings.levels
        ]
        layers = max(stages, default=-1) + 2
        changes["trainable_layers"] = max(0, layers - 2)
        settings = settings_named(preset, **changes)
    return settings


def train_detector(
    network: Network,
    settings: DetectorSettings,
    train: CocoData,
    val: CocoData,
    recipe: DetectionRecipe,
    *,
    seed: int,
    folder: Path,
    started: bool,
    resume: bool = False,
    device: str = "cpu",
    workers: int = 0,
    listener: Listener | None = None,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    world: World = World(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Trains a detector in a folder, and returns the result.

    What was trained is at the end in the folder's ``detector.safetensors``, for
    ``ddw_graph.load``. The result holds COCO's figures of ``val`` after the last epoch,
    None where it has no object to tell, and says whether the images are synthetic.

    Args:
        network: The network whose stem and stages are the backbone; stays as it is.
        settings: What the detector is beside it.
        train: Images to train on.
        val: Images to test on.
        recipe: The recipe.
        seed: Fixes the weights beside the backbone's, order, flips and sampling.
        folder: A new or empty folder, or, with ``resume``, that of the same run.
        started: Whether the network was trained before: its weights then tell a run
            apart, which otherwise follow from the seed.
        resume: Whether to go on with a run that is there.
        device: Where to train.
        workers: Processes that load images.
        listener: Hears of steps and epochs.
        execution: How steps are computed: precision, channels last.
        world: The processes that train together; the first writes.

    Raises:
        RunError: If the folder holds something else, the loss is not finite, COCO's
            figures cannot be computed here, steps cannot be computed so, or another
            process failed.
        DataError: If both parts have not the same categories, or none to train on.
        ModelError: If the network cannot be the backbone of such a detector.
    """
    check_seed(seed)
    check_installed()
    check_execution(execution)
    val.check_categories(train.categories, train)
    torch.manual_seed(seed)
    detector = Detector(network, train.categories, settings)
    if detector.config is None:
        raise RunError("a detector's network needs a config to be trained, got none")
    config: dict[str, Any] = {
        "detector": detector.config,
        "data": {"train": train.trainable().as_dict(), "val": val.as_dict()},
        "recipe": recipe.as_dict(),
        "seed": seed,
    }
    if started:
        config["start"] = weights_digest(network)
    if world.size > 1:
        config["processes"] = world.size
    # Left out where it is the default, which earlier versions did not know.
    computed = execution.as_dict()
    if computed:
        config["execution"] = computed
    detector.to(device)
    run = RunFolder(folder)
    with started_together(run, config, world, device, resume=resume):
        finished = detection_result(run)
        if finished is not None:
            return finished
        history = fit_detector(
            detector,
            train,
            val,
            recipe,
            seed=seed,
            folder=run,
            execution=execution,
            world=world,
            listener=listener,
            workers=workers,
        )
        last = history[-1]
        result: dict[str, Any] = {name: last.get(name) for name in FIGURES} | {
            "train_loss": last["train_loss"],
            "epochs": len(history),
            "train_seconds": sum(row["train_seconds"] for row in history),
            "parameters": sum(each.numel() for each in detector.parameters()),
            "synthetic": train.synthetic or val.synthetic,
        }
        with world.together(device):
            if world.leads:
                save(detector, folder / "detector.safetensors", overwrite=True)
                write_json(run.result_path, result)
        return result


def detection_result(run: RunFolder) -> dict[str, Any] | None:
    """Returns the result of a finished run, None of one that has not finished.

    Raises:
        RunError: If the file is damaged.
    """
    if not run.result_path.exists():
        return None
    result = read_json(run.result_path)
    if (
        not isinstance(result, dict)
        or not all(_is_finite(result.get(key)) for key in RESULT)
        or not all(
            key in result and (result[key] is None or _is_finite(result[key]))
            for key in FIGURES
        )
    ):
        raise RunError(
            f"{run.result_path} must hold COCO's figures and {', '.join(RESULT)}; "
            "without the file, --resume makes it again"
        )
    return result


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def kept_detector(path: Path, *, device: str = "cpu") -> Detector:
    """Returns the detector in a file of ``ddw_graph.save``, or in a run's folder.

    Warns:
        UnfinishedWarning: If the run has not come to its end.

    Raises:
        CheckpointError: If the file is damaged, or something else.
        RunError: If the folder holds no trained detector, or a damaged one.
    """
    if not path.is_dir():
        loaded = load(path, kind=Detector)
        loaded.to(device)
        return loaded
    run = RunFolder(path)
    config = run.config()
    if not isinstance(config.get("detector"), dict):
        raise RunError(f"{path} must hold the run of a detector")
    weights = run.weights()
    detector = detector_from(config["detector"])
    load_weights(detector, weights, run)
    detector.to(device).eval()
    return detector
