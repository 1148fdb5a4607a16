"""Networks on disk: one safetensors file each, which says how to build them again."""

import copy
import hashlib
import json
import operator
import os
import platform
import reprlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import ddw_graph
from ddw_graph.atomic import write_bytes
from ddw_graph.errors import CheckpointError, ModelError, UserError
from ddw_graph.models.create import from_config
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import Operation

FORMAT = "ddw_graph.network"
VERSION = 1

# One entry of the metadata only: safetensors does not keep their order.
_KEY = "ddw_graph"
_ZEROS = b"0" * 64

_FLOATING = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

# Methods of tensors, and functions of torch.nn.init.
_DRAWS = {"normal_", "uniform_", "kaiming_uniform_"}


def save(
    model: nn.Module, path: str | os.PathLike[str], *, overwrite: bool = False
) -> bool:
    """Writes a network as safetensors and returns whether it had to.

    Any reader of safetensors opens the file. Its metadata holds, under ``ddw_graph``,
    a manifest in JSON: the configuration with the exact edges of every wiring, the
    releases that wrote it, and a SHA-256 of the whole file, in which the digest itself
    counts as zeros. The file appears as a whole or not at all. Equal networks give
    equal files, by the same releases, and a file that is there with the same content
    is left alone.

    Parameters and persistent buffers are saved, on whatever device they are, but not
    where they were, their memory format, or the mode of the network.

    Args:
        model: A network with a ``config``, such as ``create_model`` returns.
        path: The file; its folder must exist.
        overwrite: Whether to replace a file of other content.

    Raises:
        ModelError: If ``model`` has no ``config`` or is no longer the network that it
            describes, or if its floating tensors are not all of one type.
        FileError: If another file is there and may not be replaced.
        OSError: If the folder or the disk refuses.
    """
    if not isinstance(model, Network) or model.config is None:
        without = " without one" if isinstance(model, Network) else ""
        raise ModelError(
            "only a network that has a config can be saved, as create_model gives it, "
            f"got {type(model).__name__}{without}"
        )
    state = model.state_dict()
    dtype = _floating_dtype(state)
    manifest = {
        "sha256": _ZEROS.decode(),  # first, so that no text before it looks the same
        "format": FORMAT,
        "version": VERSION,
        "dtype": _name(dtype),
        "versions": {
            "ddw_graph": ddw_graph.__version__,
            "torch": str(torch.__version__),
            "networkx": nx.__version__,
            "python": platform.python_version(),
        },
        "config": model.config,
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
            f"a config must fit into a header of JSON, got {_line(error)}"
        ) from error
    config = json.loads(text)["config"]
    # What is the caller's own stands as None in a configuration, and is not at hand.
    if None not in (config.get("name"), config.get("operation", "")):
        wanted = _built(config, state, dtype).state_dict()
        difference = _difference(state, wanted)
        if difference:
            raise ModelError(
                f"a network must be what its config says to be saved, but {difference}"
            )
    place = data.index(_ZEROS)
    parts = (data[:place], _sha256(data, place).encode(), data[place + len(_ZEROS) :])
    return write_bytes(path, parts, overwrite=overwrite)


def load(
    path: str | os.PathLike[str],
    *,
    operation: Operation | None = None,
    backbone: nn.Module | None = None,
) -> Network:
    """Returns the network in a file that ``save`` wrote, in evaluation mode.

    It is on the CPU, in the floating type that it was saved in. Its wirings are those
    of the file, edge by edge; no generator is read or set.

    A file is not trusted: it runs no code, its digest and every name, shape and type
    are checked, and it takes memory in proportion to its size at most.

    Args:
        path: The file.
        operation: What a node computes, where the network was made with a callable,
            which a file cannot hold.
        backbone: The backbone, with any weights, where ``rewire`` was given one that
            has no name here. It is copied.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, is of another format,
            or does not hold the weights of the network that it describes. The message,
            of one line, names the file and the rule.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", wiring="complete", n=2)
        >>> with TemporaryDirectory() as folder:
        ...     written = save(model, f"{folder}/tiny.safetensors")
        ...     again = load(f"{folder}/tiny.safetensors")
        >>> written, again.training, [stage.plan.nodes for stage in again.stages]
        (True, False, [4, 4, 4])
    """
    try:
        given = copy.deepcopy(backbone)
        return _network(Path(path), operation=operation, backbone=given)
    except CheckpointError as error:
        reason, cause = str(error), error.__cause__ or error
    except OSError as error:
        reason, cause = f"cannot be read, {error.strerror or error}", error
    except SafetensorError as error:
        reason, cause = f"not a whole safetensors file, {error}", error
    raise CheckpointError(f"{os.fspath(path)}: {_line(reason)}") from cause


def _network(path: Path, **given: Any) -> Network:
    if not path.is_file():
        raise CheckpointError("not a regular file" if path.exists() else "no such file")
    # Reads the header alone, and checks its length and its places against the file's.
    with safe_open(path, framework="pt") as file:
        manifest = _manifest(file.metadata() or {})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    digest: str = manifest["sha256"]
    place = data.find(digest.encode(), 8, header)
    if place < 0 or _sha256(data, place) != digest:
        raise CheckpointError(
            "damaged, its content does not have the SHA-256 that it states"
        )
    with torch.device("cpu"):
        tensors = dict(sorted(safetensors.torch.load(data).items()))
    del data
    dtype = _FLOATING[manifest["dtype"]]
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype != dtype:
            raise CheckpointError(
                f"its manifest says {_name(dtype)}, but {name} is {_kind(tensor)}"
            )
    try:
        model = _built(manifest["config"], tensors, dtype, **given)
    except (UserError, ArithmeticError) as error:
        raise CheckpointError(f"its network cannot be built: {error}") from error
    difference = _difference(tensors, model.state_dict())
    if difference:
        raise CheckpointError(f"the checkpoint of another network: {difference}")
    model.load_state_dict(tensors)
    return model.eval()


def _manifest(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Returns the manifest among a file's metadata, its keys and types checked."""
    if _KEY not in metadata:
        raise CheckpointError(
            "tensors alone, without what ddw_graph.save writes beside them; use "
            "safetensors.torch.load_file, and load_state_dict of a network made anew"
        )
    try:
        manifest = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its manifest must be JSON, {error}") from error
    if not isinstance(manifest, dict):
        raise CheckpointError(
            f"its manifest must be a JSON object, got {reprlib.repr(manifest)}"
        )
    found = manifest.get("format")
    if found != FORMAT:
        raise CheckpointError(f'format must be "{FORMAT}", got {reprlib.repr(found)}')
    version = manifest.get("version")
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f"version {reprlib.repr(version)} of the format is unknown, this release "
            f"reads version {VERSION}"
        )
    digest, dtype = manifest.get("sha256"), manifest.get("dtype")
    if not isinstance(digest, str) or not digest.isascii() or len(digest) != 64:
        raise CheckpointError(
            f"sha256 must be a text of 64 digits, got {reprlib.repr(digest)}"
        )
    if not isinstance(dtype, str) or dtype not in _FLOATING:
        known = ", ".join(_FLOATING)
        raise CheckpointError(
            f"dtype must be one of {known}, got {reprlib.repr(dtype)}"
        )
    config = manifest.get("config")
    if not isinstance(config, dict):
        raise CheckpointError(f"config must be an object, got {reprlib.repr(config)}")
    return manifest


def _floating_dtype(state: Mapping[str, Any]) -> torch.dtype:
    """Returns the one floating type of a network's tensors, which are checked."""
    first: dict[torch.dtype, str] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.is_meta:
            what = "no data" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ModelError(f"only tensors with data can be saved, {name} has {what}")
        if (
            tensor.dtype not in (*_FLOATING.values(), *_WHOLE)
            or tensor.layout != torch.strided
        ):
            raise ModelError(f"only dense real tensors can be saved, {name} is other")
        if tensor.is_floating_point():
            first.setdefault(tensor.dtype, name)
    if len(first) != 1:
        told = ", ".join(f"{_name(dtype)} ({name})" for dtype, name in first.items())
        raise ModelError(
            f"a saved network must have one floating type, got {told or 'none'}"
        )
    return next(iter(first))


def _built(
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    dtype: torch.dtype,
    *,
    operation: Operation | None = None,
    backbone: nn.Module | None = None,
) -> Network:
    """Returns the network of a configuration, which is to hold the given tensors.

    Its parameters are not drawn. What something of the caller's own draws must not be
    felt outside.
    """
    numbers = sum(tensor.numel() for tensor in state.values())
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _Frugal(numbers):
        model = from_config(config, operation=operation, backbone=backbone)
    return model.to(dtype)


class _Frugal(TorchFunctionMode):
    """Makes modules without drawing their parameters, and none of another size.

    Args:
        numbers: How many numbers the network has. One of more than four times as many,
            which is far more than what its modules make for themselves, is refused
            before the memory is taken.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.left = 4 * numbers + 2**20

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls a function of torch, unless it draws a parameter."""
        kwargs = kwargs or {}
        drawn = args[0] if args else kwargs.get("tensor")
        if isinstance(drawn, nn.Parameter) and getattr(func, "__name__", "") in _DRAWS:
            return drawn
        if func is torch.empty:  # which makes the weights of all of torch's modules
            wanted = torch.empty(*args, **{**kwargs, "device": "meta"})
            if str(kwargs.get("device")) == "meta":
                return wanted
            self.left -= wanted.numel()
            if self.left < 0:
                raise ModelError(
                    f"a network of {self.numbers} numbers was expected, got one more "
                    "than four times as large"
                )
        return func(*args, **kwargs)


def _difference(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> str | None:
    """Returns where the tensors of two networks first differ, in words."""
    told = [f"{name} is missing" for name in wanted if name not in found]
    told += [f"{name} is unexpected" for name in found if name not in wanted]
    for name in filter(found.__contains__, wanted):
        here, there = _kind(found[name]), _kind(wanted[name])
        if here != there:
            told.append(f"{name} is {here}, not {there}")
    if not told:
        return None
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return _line("; ".join(told[:3]), most=200) + more


def _kind(tensor: Tensor) -> str:
    return f"{_name(tensor.dtype)} {tuple(tensor.shape)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sha256(data: bytes, place: int) -> str:
    """Returns the digest of a file in which a digest stands at ``place``, as zeros."""
    view = memoryview(data)
    digest = hashlib.sha256(view[:place])
    digest.update(_ZEROS)
    digest.update(view[place + len(_ZEROS) :])
    return digest.hexdigest()


def _line(text: object, *, most: int = 300) -> str:
    """Returns a text as one line, which commands no terminal."""
    line = textwrap.shorten(str(text), most)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
