"""A trained network with its classes, and what its images go through."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddw_graph.errors import ModelError, RunError, UserError
from ddw_graph.models import image_size
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.network import Network
from ddw_graph.training.run import Run, kept_network
from ddw_graph.training.transform import Transform


@dataclass(frozen=True)
class Trained:
    """A trained network with its classes, and what its images go through.

    Args:
        network: The network, in evaluation mode.
        classes: Name of each class; None where it is not known.
        transform: What an image goes through; None where it is not known.
        trained_size: Height and width of the images of its run, pixels, if it has one.
    """

    network: Network
    classes: tuple[str, ...] | None = None
    transform: Transform | None = None
    trained_size: int | None = None

    @property
    def image_size(self) -> int | None:
        """Height and width of its images, pixels; None where they are not known."""
        if self.trained_size is not None:
            return self.trained_size
        name = (self.network.config or {}).get("name")
        try:
            own = self.network.image_size
            return own or (None if name is None else image_size(name))
        except ModelError:  # a network of the caller's own
            return None


def stage_edges(network: Network) -> list[dict[str, Any]]:
    """Returns nodes and edges of each stage, ready for JSON."""
    plans = (stage.plan for stage in network.stages)
    return [
        {"nodes": plan.nodes, "edges": [list(edge) for edge in plan.edges]}
        for plan in plans
    ]


def trained(path: Path, *, run: Path | None = None, device: str = "cpu") -> Trained:
    """Returns the network of a run's folder or of a saved file, and its run's classes.

    A saved network belongs to the run in whose folder it lies, as a pruned one does, if
    it takes as many channels and has as many classes.

    Args:
        path: A run's folder, or a file of ``ddw_graph.save``.

    Raises:
        CheckpointError: If the file is damaged, or something else.
        RunError: If the folder holds no trained run, or the run is of another network.
    """
    if path.is_dir() and run is not None:
        raise RunError(f"run is for a saved network, got {path}, a run itself")
    network = kept_network(path, device=device)
    if path.is_dir():
        return _of_run(network, Run(path))
    if run is not None:
        found = _of_run(network, Run(run))
        if not _fits(found):
            raise RunError(
                f"{path} must have the classes and channels of {run}, got others"
            )
        return found
    try:
        found = _of_run(network, Run(path.parent))
    except UserError:  # a folder of something else
        return Trained(network)
    return found if _fits(found) else Trained(network)


def _of_run(network: Network, run: Run) -> Trained:
    if isinstance(network, LanguageModel):
        return Trained(network)
    return Trained(network, run.classes, run.transform, run.image_size)


def _fits(found: Trained) -> bool:
    """Returns whether a run's images and classes are those of the network."""
    classes = (found.network.config or {}).get("num_classes")
    channels = found.network.in_channels
    if found.transform is not None and found.transform.channels != channels:
        return False
    return len(found.classes or ()) == classes
