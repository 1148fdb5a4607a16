"""A trained network with what its images and its answers mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddw_graph.errors import ModelError, RunError, UserError
from ddw_graph.models import image_size
from ddw_graph.nn.network import Network
from ddw_graph.training.data import DATA_SETS, OF_FILES, TORCHVISION, load_data
from ddw_graph.training.preparation import Preparation, of_files
from ddw_graph.training.run import RunFolder
from ddw_graph.training.train import kept_model


@dataclass(frozen=True)
class Trained:
    """A trained network with what its images and its answers mean.

    Args:
        network: The network, in evaluation mode.
        classes: Name of each class; None where nothing says.
        preparation: What an image goes through; None where nothing says.
        trained_size: Height and width of the images of its run, pixels, where a run
            says no more of them.
    """

    network: Network
    classes: tuple[str, ...] | None = None
    preparation: Preparation | None = None
    trained_size: int | None = None

    @property
    def image_size(self) -> int | None:
        """Height and width of its images, pixels; None where nothing says."""
        if self.preparation is not None:
            return self.preparation.image_size
        if self.trained_size is not None:
            return self.trained_size
        name = (self.network.config or {}).get("name")
        try:
            return None if name is None else image_size(name)
        except ModelError:  # a network of the caller's own
            return None


def stage_edges(network: Network) -> list[dict[str, Any]]:
    """Returns nodes and edges of each stage, ready for JSON."""
    plans = (stage.plan for stage in network.stages)
    return [
        {"nodes": plan.nodes, "edges": [list(edge) for edge in plan.edges]}
        for plan in plans
    ]


def trained(
    path: Path,
    *,
    run: Path | None = None,
    root: Path | None = None,
    device: str = "cpu",
) -> Trained:
    """Returns the network of a run's folder or of a saved file, and what goes with it.

    A saved network goes with the run whose folder it lies in, as a pruned one does, if
    it takes as many channels and has as many classes.

    Args:
        path: A run's folder, or a file of ``ddw_graph.save``.
        run: The run that a file goes with.
        root: Folder of the data, for runs of earlier versions that did not keep mean
            and standard deviation of torchvision's sets.
        device: Where the network is to be.

    Raises:
        CheckpointError: If the file is damaged, or something else.
        RunError: If the folder holds no trained run, or the run is of another network.
        DataError: If what the run says of its images is damaged.
    """
    network = kept_model(path, device=device)
    if path.is_dir():
        if run is not None:
            raise RunError(f"a run goes with a saved network, got {path}, a run itself")
        return _of_run(network, path, root)
    if run is not None:
        found = _of_run(network, run, root)
        if not _fits(found):
            raise RunError(f"{path} is no network of the classes and images of {run}")
        return found
    if (path.parent / "config.json").is_file():
        try:
            found = _of_run(network, path.parent, root)
        except UserError:  # a folder of something else
            return Trained(network)
        if _fits(found):
            return found
    return Trained(network)


def _of_run(network: Network, run: Path, root: Path | None) -> Trained:
    folder = RunFolder(run)
    told = folder.data()
    name, size = told["name"], told["image_size"]
    classes = tuple(map(str, told["classes"]))
    values = folder.images()
    if values is not None:
        return Trained(network, classes, Preparation.from_dict(values))
    if name not in DATA_SETS:  # images in memory, of which nobody says what they were
        return Trained(network, classes, trained_size=size)
    # What follows is for runs of earlier versions.
    if name in OF_FILES:
        return Trained(network, classes, of_files(size))
    kept_apart = name in TORCHVISION
    if kept_apart and root is None:
        raise RunError(
            f"{run} does not say mean and std of {name}, as runs of this version do; "
            "root (--root), the folder of its data, is needed, got none"
        )
    data = load_data(name, root=root if kept_apart else None)
    return Trained(network, classes, Preparation.of(data))


def _fits(found: Trained) -> bool:
    """Returns whether a run's images and classes are those of the network."""
    config: Any = found.network.config or {}
    channels = None if found.preparation is None else found.preparation.channels
    wanted = config.get("num_classes"), config.get("in_channels")
    return (len(found.classes or ()), channels) == wanted
