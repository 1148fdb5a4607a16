"""Safetensors files with a manifest of their content and a digest of all of it."""

import hashlib
import json
import operator
import os
import platform
import reprlib
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

import ddw_graph
from ddw_graph.errors import CheckpointError, ModelError, UserError
from ddw_graph.nn.finite import first_not_finite
from ddw_graph.printable import printable

FORMAT = "ddw_graph.model"

# One entry of the metadata only: safetensors does not keep their order.
_KEY = "ddw_graph"
_ZEROS = b"0" * 64

_FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def pack(config: Mapping[str, Any], state: Mapping[str, Any]) -> list[bytes]:
    """Returns the bytes of a file, piece by piece.

    See ``ddw_graph.models.files.save`` for its form.
    """
    manifest = {
        "sha256": _ZEROS.decode(),  # first, so that no text before it looks the same
        "format": FORMAT,
        "versions": {
            "ddw_graph": ddw_graph.__version__,
            "torch": str(torch.__version__),
            "networkx": nx.__version__,
            "python": platform.python_version(),
        },
        "config": config,
    }
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }
    try:
        text = json.dumps(
            manifest, allow_nan=False, separators=(",", ":"), default=operator.index
        )
        data = safetensors.torch.save(tensors, metadata={_KEY: text})
    except (TypeError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"a config must fit into a header of JSON, got {one_line(error)}"
        ) from error
    place = data.index(_ZEROS)
    return [data[:place], _sha256(data, place).encode(), data[place + len(_ZEROS) :]]


@contextmanager
def file_named_in_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns errors in reading a file into one line that begins with its name."""
    try:
        yield
        return
    except UserError as error:
        reason, cause = str(error), error.__cause__ or error
    except OSError as error:
        reason, cause = f"cannot be read, {error.strerror or error}", error
    except SafetensorError as error:
        reason, cause = f"not a whole safetensors file, {error}", error
    raise CheckpointError(f"{os.fspath(path)}: {one_line(reason)}") from cause


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Returns configuration and tensors of a file that ``pack`` made.

    Reading it runs no code, and takes memory in proportion to the file's size.
    """
    if not path.is_file():
        raise CheckpointError("not a regular file" if path.exists() else "no such file")
    # Reads only the header, and checks its length and places against the file's.
    with safe_open(path, framework="pt") as file:
        manifest = _manifest(file.metadata() or {})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    digest: str = manifest["sha256"]
    place = data.find(digest.encode(), 8, header)
    if place < 0 or _sha256(data, place) != digest:
        raise CheckpointError("damaged: its SHA-256 must be the one in its manifest")
    with torch.device("cpu"):
        tensors = dict(sorted(safetensors.torch.load(data).items()))
    return manifest["config"], tensors


def _manifest(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Returns the manifest in a file's metadata; its keys and types are checked."""
    if _KEY not in metadata:
        raise CheckpointError(
            "only tensors, without the manifest that ddw_graph.save writes; load them "
            "with safetensors.torch.load_file, then load_state_dict of a new network"
        )
    try:
        manifest = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its manifest must be JSON, {error}") from error
    if not isinstance(manifest, dict):
        raise CheckpointError(
            f"its manifest must be a JSON object, got {reprlib.repr(manifest)}"
        )
    digest, config = manifest.get("sha256"), manifest.get("config")
    is_digest = isinstance(digest, str) and digest.isascii() and len(digest) == 64
    for key, rule, fits in (
        ("format", repr(FORMAT), manifest.get("format") == FORMAT),
        ("sha256", "a text of 64 digits", is_digest),
        ("config", "an object", isinstance(config, dict)),
    ):
        if not fits:
            found = reprlib.repr(manifest.get(key))
            raise CheckpointError(f"{key} must be {rule}, got {found}")
    return manifest


def floating_type(state: Mapping[str, Any]) -> torch.dtype:
    """Returns the one floating type of a model's tensors, once they are checked."""
    first: dict[torch.dtype, str] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.is_meta:
            what = "no data" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ModelError(f"a model must hold tensors with data, {name} has {what}")
        dense = tensor.layout == torch.strided
        if not dense or tensor.dtype not in (*_FLOATING, *_WHOLE):
            raise ModelError(f"tensors must be dense and real, {name} is not")
        if tensor.is_floating_point():
            first.setdefault(tensor.dtype, name)
    if len(first) != 1:
        found = ", ".join(f"{_name(dtype)} ({name})" for dtype, name in first.items())
        raise ModelError(f"tensors must have one floating type, got {found or 'none'}")
    spoilt = first_not_finite(state)
    if spoilt:
        raise ModelError(f"weights must be finite, got NaN or infinity in {spoilt}")
    return next(iter(first))


def difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    """Returns a text of where the tensors of two models differ, None if nowhere."""
    differences = [f"{name} is missing" for name in wanted if name not in found]
    differences += [f"{name} is unexpected" for name in found if name not in wanted]
    for name in filter(found.__contains__, wanted):
        here, there = (
            f"{_name(tensor.dtype)} {tuple(tensor.shape)}"
            for tensor in (found[name], wanted[name])
        )
        if here != there:
            differences.append(f"{name} is {here}, not {there}")
    if not differences:
        return None
    more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return one_line("; ".join(differences[:3]), most=200) + more


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sha256(data: bytes, place: int) -> str:
    """Returns the digest of a file, in which that at ``place`` counts as zeros."""
    view = memoryview(data)
    digest = hashlib.sha256(view[:place])
    digest.update(_ZEROS)
    digest.update(view[place + len(_ZEROS) :])
    return digest.hexdigest()


def one_line(text: object, *, most: int = 300) -> str:
    """Returns a text as one line, without what would command a terminal."""
    return printable(textwrap.shorten(str(text), most))
