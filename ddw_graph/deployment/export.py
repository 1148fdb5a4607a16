"""Export: a network as a file that runs without this library."""

import copy
import io
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ddw_graph
from ddw_graph.atomic import check_free, write_bytes
from ddw_graph.deployment import onnx
from ddw_graph.deployment.parity import BATCHES, Parity, Runs, parity
from ddw_graph.deployment.trained import Trained, stage_edges
from ddw_graph.errors import ExportError, ModelError, first_sentence
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.network import Network

FORMATS = {".onnx": "onnx", ".pt2": "torch"}
"""Formats by the ending that their files have."""

METADATA_FILE = "ddw_graph.json"
"""Name of the metadata among the extra files of a ``torch.export`` file."""


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Args:
        path: Its file.
        format: ``onnx`` or ``torch``.
        size: Length of the file, bytes.
        outputs: Name of each output.
        metadata: The file's metadata.
        parity: How far its outputs are from the network's.
    """

    path: Path
    format: str
    size: int
    outputs: tuple[str, ...]
    metadata: dict[str, Any]
    parity: Parity


class Outputs(nn.Module):
    """Returns a network's outputs as a tuple of tensors."""

    def __init__(self, network: Network, adjacency: bool) -> None:
        super().__init__()
        self.network = network
        self.adjacency = adjacency

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs."""
        if not self.adjacency:
            return (self.network(images),)
        logits, matrices = self.network(images, return_adjacency=True)
        return logits, *matrices


def export(
    model: Trained | Network,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    image_size: int | None = None,
    adjacency: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Writes a network to a file that runs without this library.

    The file takes any number of float32 images at a time, or of texts of at most the
    context of a language model, and computes what the network does in evaluation mode.
    Gates stay as multiplications: a closed edge weighs 0, and every node is computed.
    The file's outputs are compared with the network's before it is kept; it appears as
    a whole or not at all.

    Args:
        model: The network, with what its images and classes are where that is known.
        path: The file; its folder must exist.
        format: ``onnx``, or ``torch`` for ``torch.export``; by default that of the
            ending of the file's name, ``.onnx`` or ``.pt2``.
        image_size: Height and width of an image, pixels; by default those of the
            images it was trained on, or that a network of its name is meant for.
        adjacency: Whether each stage's adjacency is an output too.
        overwrite: Whether to replace a file that is there.

    Raises:
        ExportError: If the format is unknown, what it needs is not installed, the
            network cannot be exported, or the file would compute something else.
        FileError: If a file is there and may not be replaced.
        OSError: If the folder or the disk refuses.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", wiring="complete", n=2, channels=4)
        >>> with TemporaryDirectory() as folder:
        ...     made = export(model.eval(), f"{folder}/tiny.pt2")
        >>> made.outputs, made.parity.logits < 1e-4
        (('logits',), True)
    """
    source = model if isinstance(model, Trained) else Trained(model)
    path = Path(path)
    chosen = _format(path, format)
    if chosen == "onnx":
        onnx.check_installed()
    check_free(path, overwrite=overwrite)
    size = _size(source, image_size)
    network = plain(source.network)
    matrices = range(1, 1 + len(network.stages)) if adjacency else ()
    outputs = ("logits", *(f"adjacency_{stage}" for stage in matrices))
    wrapped = Outputs(network, adjacency).eval()
    metadata = _metadata(source, network, size, adjacency)
    generator = torch.Generator().manual_seed(0)
    batches = [
        network.example(size, batch=batch, generator=generator) for batch in BATCHES
    ]
    text = isinstance(network, LanguageModel)
    try:
        most = batches[0].shape[1] if text else None
        program = program_of(wrapped, batches[-1], max_tokens=most)
        if chosen == "onnx":
            content = onnx.onnx_bytes(
                program, outputs, metadata, name="tokens" if text else "images"
            )
            opened = onnx.session(content, threads=torch.get_num_threads())
            runs = onnx.running(opened)
        else:
            content = _torch_bytes(program, metadata)
            runs = _running(content)
    except Exception as error:  # whatever torch and its converters raise
        ours = isinstance(error, ModelError)
        reason = str(error) if ours else first_sentence(error)
        raise ExportError(
            f"this network cannot be exported to {chosen}: {reason}"
        ) from error
    if text:  # which may be shorter
        batches[0] = batches[0][:, : max(1, len(batches[0][0]) // 2)]
    found = parity(wrapped, runs, batches)
    write_bytes(path, [content], overwrite=overwrite)
    return Exported(path, chosen, len(content), outputs, metadata, found)


def _format(path: Path, given: str | None) -> str:
    found = FORMATS.get(path.suffix) if given is None else given
    if found is None:
        raise ExportError(
            "format must be given where a file's name ends with neither .onnx nor "
            f".pt2, got {path.name}"
        )
    if found not in FORMATS.values():
        raise ExportError(f"format must be onnx or torch, got {given!r}")
    return found


def _size(source: Trained, image_size: int | None) -> int:
    """Returns height and width of an image; of a language model 0."""
    if isinstance(source.network, LanguageModel):
        if image_size is not None:
            raise ExportError(
                f"image_size is for images, got {image_size} for a language model"
            )
        return 0
    size = source.image_size if image_size is None else image_size
    if size is None:
        raise ExportError(
            "--image-size must be given for a network without a run or a "
            "known name, got none"
        )
    if size < 1:
        raise ExportError(f"image_size must be at least 1 pixel, got {size}")
    return size


def plain(network: Network) -> Network:
    """Returns a copy in float32 on the CPU, in evaluation mode."""
    for place, stage in enumerate(network.stages, start=1):
        if stage.skips:
            raise ExportError(
                "a network with skips=True cannot be exported: its data decide which "
                "nodes are computed, and an exported graph always computes the same; "
                f"set skips=None to export it masked, got skips=True in stage {place}"
            )
    return copy.deepcopy(network).float().cpu().eval()


def _metadata(
    source: Trained, network: Network, size: int, adjacency: bool
) -> dict[str, Any]:
    """Returns a file's metadata: what anybody needs to run it."""
    found: dict[str, Any] = {"ddw_graph": ddw_graph.__version__}
    if isinstance(network, LanguageModel):
        found |= {"vocabulary": network.vocabulary, "context": network.context}
    else:
        found |= {"channels": network.in_channels, "image_size": size}
    prepared = source.transform
    if prepared is not None:
        values = prepared.as_dict()
        # In proportion where the size is another one.
        values["resize"] = prepared.resize * size // prepared.image_size
        found |= {key: values[key] for key in ("resize", "mean", "std")}
    if source.classes is not None:
        found["classes"] = list(source.classes)
    if adjacency:
        found["wirings"] = stage_edges(network)
    return found


@torch.no_grad()
def program_of(
    wrapped: nn.Module, batch: Tensor, *, max_tokens: int | None = None
) -> torch.export.ExportedProgram:
    """Returns the graph of a network, for any number of inputs at a time.

    Args:
        batch: Two inputs or more: torch.export would take one for a constant.
        max_tokens: Most tokens of a text; None for images.
    """
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if max_tokens is not None and max_tokens > 1:
        free[1] = torch.export.Dim("tokens", max=max_tokens)
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(wrapped, (batch,), dynamic_shapes=(free,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _torch_bytes(
    program: torch.export.ExportedProgram, metadata: dict[str, Any]
) -> bytes:
    buffer = io.BytesIO()
    extra = {METADATA_FILE: json.dumps(metadata, allow_nan=False)}
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def _running(content: bytes) -> Runs:
    """Returns a function that runs the content of a ``torch.export`` file."""
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.load(io.BytesIO(content))
    run: Any = program.module()
    return lambda images: list(run(images))
