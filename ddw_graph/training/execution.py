"""How a training step is computed, on whatever it is computed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ddw_graph.errors import RunError, first_sentence
from ddw_graph.training.world import World

Module = TypeVar("Module", bound=nn.Module)

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Types that the operations of a training step may have."""


@dataclass(frozen=True)
class Execution:
    """How a training step is computed.

    Weights stay in float32, and so is evaluated.

    Args:
        precision: ``float32``, or ``bfloat16`` or ``float16`` for torch's mixed
            precision; the loss of float16 is scaled so that small gradients survive.
        accumulate: Parts in which each process computes its images of a step, for
            batches that memory does not hold. Batch normalisation sees a part at a
            time, as does a budget; a part has at least two images.
        channels_last: Whether images and features lie with channels innermost.
        compile: Whether ``torch.compile`` makes the network's computation.
        deterministic: Whether torch must take operations that repeat bit for bit, and
            refuses those that it has no such form of.

    Raises:
        RunError: If a value is out of range.
    """

    precision: str = "float32"
    accumulate: int = 1
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.precision not in PRECISIONS:
            names = ", ".join(PRECISIONS)
            raise RunError(f"precision must be one of {names}, got {self.precision!r}")
        if self.accumulate < 1:
            raise RunError(f"accumulate must be at least 1, got {self.accumulate}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        return asdict(self)

    @property
    def scales(self) -> bool:
        """Whether the loss is scaled."""
        return self.precision == "float16"

    def autocast(self, device: torch.device) -> torch.autocast:
        """Returns the context in which a network and its loss are computed."""
        kind = PRECISIONS[self.precision]
        return torch.autocast(
            device.type, dtype=kind, enabled=self.precision != "float32"
        )

    def set_layout(self, model: Module) -> Module:
        """Returns a network with its weights laid out as asked for."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        return model

    def to_network(self, batch: Any, network: nn.Module) -> Any:
        """Returns a batch where a network is, in its type and in the layout asked for.

        Args:
            batch: Tensors, or lists, tuples and dicts of them. Integers keep their
                type.
            network: The network.
        """
        if isinstance(batch, tuple | list):
            moved = [self.to_network(each, network) for each in batch]
            return tuple(moved) if isinstance(batch, tuple) else moved
        if isinstance(batch, dict):
            return {
                name: self.to_network(each, network) for name, each in batch.items()
            }
        if not isinstance(batch, Tensor):
            return batch
        first = next(network.parameters())
        kind = first.dtype if batch.is_floating_point() else batch.dtype
        batch = batch.to(first.device, kind, non_blocking=True)
        if self.channels_last and batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        return batch

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Returns what scales the loss, or leaves it as it is."""
        return torch.amp.GradScaler(device.type, enabled=self.scales)

    def forward_of(self, model: nn.Module, world: World) -> nn.Module:
        """Returns what computes a network in training: compiled, and distributed."""
        forward = cast(nn.Module, torch.compile(model)) if self.compile else model
        if world.size == 1:
            return forward
        device = next(model.parameters()).device
        on_gpu = device.type == "cuda"
        return DistributedDataParallel(forward, device_ids=[device] if on_gpu else None)

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Sets the choice of operations for a while, where that is asked for.

        Raises:
            RunError: If ``torch.compile`` was asked for and fails here, or operations
                that repeat and there are none.
        """
        faults = _compiler_faults() if self.compile else nullcontext()
        with self._repeatable(), faults:
            yield

    @contextmanager
    def _repeatable(self) -> Iterator[None]:
        """Sets torch's choice of operations for a while, where that is asked for."""
        if not self.deterministic:
            yield
            return
        before = (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
        )
        # cuBLAS reads this when it starts, which is before the first operation.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        try:
            yield
        except RuntimeError as error:
            if "deterministic implementation" not in str(error):
                raise
            reason = first_sentence(error).partition(", but")[0]
            raise RunError(
                f"deterministic needs operations that repeat bit for bit, got {reason}"
            ) from error
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.backends.cudnn.benchmark = before[1]


@contextmanager
def _compiler_faults() -> Iterator[None]:
    """Says in one line why torch could not compile, which it does at the first step.

    Raises:
        RunError: If it could not.
    """
    from torch._dynamo.exc import TorchDynamoException  # slow to import

    try:
        yield
    except TorchDynamoException as error:
        cause = getattr(error, "inner_exception", error)
        reason = str(cause).strip().partition("\n")[0] or type(cause).__name__
        raise RunError(
            f"compile needs a compiler that torch can use here, got {reason}"
        ) from error
