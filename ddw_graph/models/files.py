"""Networks and detectors on disk, a safetensors file each, that builds them again."""

import copy
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import TypeVar

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import CheckpointError, ModelError, UserError
from ddw_graph.models.backbones import is_altered
from ddw_graph.models.packing import (
    difference,
    file_named_in_errors,
    floating_type,
    pack,
    unpack,
)
from ddw_graph.nn.arguments import check_one_of
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import OperationLike

Model = TypeVar("Model", bound=nn.Module, default=Network)

BUILDERS = {
    "network": "ddw_graph.models.create:from_config",
    "detector": "ddw_graph.detection.detector:detector_from",
}
"""For each ``kind`` of a configuration, a network's where it has none, the function
that builds it; imported where it is used, as detectors need torchvision's."""

# Methods of tensors, and functions of torch.nn.init.
_DRAWS = {"normal_", "uniform_", "kaiming_uniform_"}


def save(
    model: nn.Module, path: str | os.PathLike[str], *, overwrite: bool = False
) -> bool:
    """Writes a network or a detector as safetensors and returns whether it had to.

    Any reader of safetensors opens the file. Its metadata holds, under ``ddw_graph``,
    a manifest in JSON: the configuration with the exact edges of every wiring, the
    releases that wrote it, and a SHA-256 of the whole file, in which the digest itself
    counts as zeros. The file appears as a whole or not at all. Equal networks give
    equal files, by the same releases, and a file with the same content is left alone.

    Parameters and persistent buffers are saved, but not their device, their memory
    format, or the mode of the network.

    Args:
        model: A network with a ``config``, such as ``create_model`` returns, or a
            ``Detector`` of one.
        path: The file; its folder must exist.
        overwrite: Whether to replace a file of other content.

    Raises:
        ModelError: If ``model`` has no ``config`` or is no longer the network that it
            describes, or if its floating tensors are not finite or not of one type.
        FileError: If another file is there and may not be replaced.
        OSError: If the folder or the disk refuses.
    """
    return write_bytes(path, packed(model), overwrite=overwrite)


def packed(model: nn.Module) -> list[bytes]:
    """Returns the content of the file that ``save`` would write, in pieces."""
    config: Any = getattr(model, "config", None)
    if not isinstance(config, dict):
        without = " without one" if hasattr(model, "config") else ""
        raise ModelError(
            "only a network or detector that has a config can be saved, such as "
            f"create_model returns, got {type(model).__name__}{without}"
        )
    state = model.state_dict()
    dtype = floating_type(state)
    if not has_own_parts(config):
        for name, module in model.named_modules():
            if is_altered(module):
                raise ModelError(
                    "a saved network must be the one that its config describes, but "
                    f"{name or 'the network'} has a forward hook, or a forward in "
                    "place of its class's, which no file holds: remove it"
                )
        found = difference(state, model_for(state, config).to(dtype).state_dict())
        if found:
            raise ModelError(
                "a saved network must be the one that its config describes, but "
                f"{found}"
            )
    return pack(config, state)


def load(
    path: str | os.PathLike[str],
    *,
    kind: type[Model] | None = None,
    operation: OperationLike | None = None,
    edges: str | Edges | None = None,
    backbone: nn.Module | None = None,
) -> Model:
    """Returns the network or detector in a file that ``save`` wrote.

    It is in evaluation mode, on the CPU, in the floating type that it was saved in. Its
    wirings are those of the file, edge by edge; no generator is read or set.

    A file is not trusted: it runs no code, its digest and every name, shape and type
    are checked, and it takes memory in proportion to its size at most.

    Args:
        kind: The class that the file must hold, ``Network`` or ``Detector``; by default
            any, which type checkers take for a ``Network``.
        operation: What a node computes, where the network was made with a callable,
            which a file cannot hold. Modules are copied.
        edges: The kind of edges, where the network was made with a callable that has no
            name.
        backbone: The backbone, with any weights, where ``rewire`` was given one that
            has no name here. It is copied.

    Raises:
        CheckpointError: If the file cannot be read, is damaged, is of another format or
            kind, does not hold the weights of the network that it describes, or holds a
            weight that is not finite. The message, of one line, names the file and the
            rule.

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
    own = {"operation": operation, "edges": edges, "backbone": copy.deepcopy(backbone)}
    with file_named_in_errors(path):
        config, tensors = unpack(Path(path))
        dtype = floating_type(tensors)
        try:
            model = model_for(tensors, config, **own).to(dtype)
        except (UserError, ArithmeticError) as error:
            raise CheckpointError(f"its network cannot be built: {error}") from error
        if kind is not None and not isinstance(model, kind):
            raise CheckpointError(
                f"must hold a {kind.__name__}, got a {type(model).__name__}"
            )
        found = difference(tensors, model.state_dict())
        if found:
            raise CheckpointError(f"the checkpoint of another network: {found}")
        model.load_state_dict(tensors)
        return model.eval()  # type: ignore[return-value]


def has_own_parts(config: Any) -> bool:
    """Returns whether the caller's own operation, edges or backbone is in a network.

    They are None in a configuration, and only the caller has them.
    """
    network = config.get("network", config)
    return None in (network.get(key, "") for key in ("name", "operation", "edges"))


def model_for(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any], **given: Any
) -> nn.Module:
    """Returns the model of a configuration to load tensors into.

    Its parameters are not drawn, no random number that its making takes has an effect
    outside, and one that is far larger than the tensors is refused.
    """
    kind = config.get("kind", "network")
    check_one_of("kind", kind, [*BUILDERS])
    build = pkgutil.resolve_name(BUILDERS[kind])
    numbers = sum(tensor.numel() for tensor in tensors.values())
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _Frugal(numbers):
        model: nn.Module = build(config, **given)
    return model


class _Frugal(TorchFunctionMode):
    """Makes modules without drawing their parameters, and none of another size.

    Args:
        numbers: How many numbers the network has. One of more than four times as many,
            which is far more than its modules take for themselves, is refused before
            the memory is taken.
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
