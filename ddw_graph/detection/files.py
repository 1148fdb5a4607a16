"""Detectors on disk: one safetensors file each, as networks have."""

import os
from pathlib import Path

from ddw_graph.atomic import write_bytes
from ddw_graph.detection.detector import Detector, detector_from
from ddw_graph.errors import CheckpointError, ModelError, UserError
from ddw_graph.models.checkpoint import undrawn
from ddw_graph.models.sealed import difference_of, opened, sealed, telling
from ddw_graph.training.finite import first_not_finite

FORMAT = "ddw_graph.detector"


def save_detector(
    detector: Detector, path: str | os.PathLike[str], *, overwrite: bool = False
) -> bool:
    """Writes a detector as safetensors and returns whether it had to.

    The file is what ``ddw_graph.save`` makes of a network: with the exact edges of
    every wiring, a digest of all of it, there as a whole or not at all.

    Args:
        detector: Its network must have a ``config``.
        path: The file; its folder must exist.
        overwrite: Whether to replace a file of other content.

    Raises:
        ModelError: If the network has no ``config``.
        FileError: If another file is there and may not be replaced.
        OSError: If the folder or the disk refuses.
    """
    if detector.config is None:
        raise ModelError("a detector's network needs a config to be saved, got none")
    parts, _ = sealed(FORMAT, detector.config, detector.state_dict())
    return write_bytes(path, parts, overwrite=overwrite)


def load_detector(path: str | os.PathLike[str]) -> Detector:
    """Returns the detector in a file of ``save_detector``, in evaluation mode.

    A file is not trusted: it runs no code, and its digest and every name, shape and
    type are checked.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, is of another format,
            or does not hold the weights of the detector that it describes, or a weight
            is NaN or infinite.
    """
    with telling(path):
        content = opened(Path(path), FORMAT)
        try:
            with undrawn(content.tensors):
                detector = detector_from(content.config)
            detector.to(content.dtype)
        except (UserError, ArithmeticError) as error:
            raise CheckpointError(f"it cannot be built: {error}") from error
        difference = difference_of(content.tensors, detector.state_dict())
        if difference:
            raise CheckpointError(f"the file of another detector: {difference}")
        # It would find nothing in any image, and nothing would say why.
        spoilt = first_not_finite(content.tensors)
        if spoilt:
            raise CheckpointError(f"weights must be finite, those of {spoilt} are not")
        detector.load_state_dict(content.tensors)
        detector.eval()
        return detector
