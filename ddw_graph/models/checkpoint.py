"""Networks on disk: one safetensors file each, which says how to build them again."""

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import CheckpointError, ModelError, UserError
from ddw_graph.models.create import from_config
from ddw_graph.models.hooks import is_altered
from ddw_graph.models.sealed import difference_of, opened, sealed, telling
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import OperationLike

FORMAT = "ddw_graph.network"

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
    parts, told = sealed(FORMAT, model.config, state)
    # What is the caller's own stands as None in a configuration, and is not at hand.
    own = (told.config.get(key, "") for key in ("name", "operation", "edges"))
    if None not in own:
        for name, module in model.named_modules():
            if is_altered(module):
                raise ModelError(
                    "a network must be what its config says to be saved, but "
                    f"{name or 'the network'} has a forward hook, or a forward in "
                    "place of its class's, which no file holds: remove it"
                )
        wanted = _built(told.config, state, told.dtype).state_dict()
        difference = difference_of(state, wanted)
        if difference:
            raise ModelError(
                f"a network must be what its config says to be saved, but {difference}"
            )
    return write_bytes(path, parts, overwrite=overwrite)


def load(
    path: str | os.PathLike[str],
    *,
    operation: OperationLike | None = None,
    edges: str | Edges | None = None,
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
            which a file cannot hold. Modules are copied.
        edges: The kind of edges, where the network was made with a callable that has no
            name.
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
    with telling(path):
        given = copy.deepcopy(backbone)
        return _network(Path(path), operation=operation, edges=edges, backbone=given)


def _network(path: Path, **given: Any) -> Network:
    content = opened(path, FORMAT)
    try:
        model = _built(content.config, content.tensors, content.dtype, **given)
    except (UserError, ArithmeticError) as error:
        raise CheckpointError(f"its network cannot be built: {error}") from error
    difference = difference_of(content.tensors, model.state_dict())
    if difference:
        raise CheckpointError(f"the checkpoint of another network: {difference}")
    model.load_state_dict(content.tensors)
    return model.eval()


def _built(
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    dtype: torch.dtype,
    **given: Any,
) -> Network:
    """Returns the network of a configuration, which is to hold the given tensors.

    Its parameters are not drawn. What something of the caller's own draws must not be
    felt outside.
    """
    with undrawn(state):
        model = from_config(config, **given)
    return model.to(dtype)


@contextmanager
def undrawn(state: Mapping[str, Tensor]) -> Iterator[None]:
    """Makes networks within on the CPU, for tensors that are there already.

    Their parameters are not drawn, and none far larger than the tensors is made.
    """
    numbers = sum(tensor.numel() for tensor in state.values())
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _Frugal(numbers):
        yield


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
