"""How a training step is computed, on whatever it is computed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ddw_graph.errors import RunError, first_sentence
from ddw_graph.settings import as_json, check_settings, setting

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ddw_graph.training.world import World


@dataclass(frozen=True)
class Execution:
    """How a training step is computed.

    Every field holds its help, rule and default: see ``settings_of``. Weights stay in
    float32, and evaluation is in float32. torch is imported when a step is computed.

    Raises:
        RunError: If a value is out of range.
    """

    precision: str = setting(
        "float32",
        "float32; or bfloat16 or float16 for torch's mixed precision, with a scaled "
        "loss for float16.",
        ("float32", "bfloat16", "float16"),
    )
    accumulate: int = setting(
        1,
        "Parts in which a process computes its images of a step, for batches that "
        "memory does not hold. Batch normalisation and a budget take each part on its "
        "own.",
        "[1, inf)",
    )
    channels_last: bool = setting(
        False, "Store images and features with channels innermost in memory."
    )
    compile: bool = setting(False, "Compile the network with torch.compile.")
    deterministic: bool = setting(
        False, "Use only operations that repeat bit for bit; refuse all others."
    )

    def __post_init__(self) -> None:
        """Checks the values."""
        check_settings(self, RunError)

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        return as_json(self)

    @property
    def scales(self) -> bool:
        """Whether the loss is scaled."""
        return self.precision == "float16"

    def autocast(self, device: "torch.device") -> "torch.autocast":
        """Returns the context in which a network and its loss are computed."""
        import torch

        kind = getattr(torch, self.precision)
        return torch.autocast(
            device.type, dtype=kind, enabled=self.precision != "float32"
        )

    def to_network(self, batch: Any, network: "nn.Module") -> Any:
        """Returns a batch where a network is, in its type and in the layout asked for.

        Args:
            batch: Tensors, or lists, tuples and dicts of them. Integers keep their
                type.
        """
        import torch

        if isinstance(batch, tuple | list):
            moved = [self.to_network(each, network) for each in batch]
            return tuple(moved) if isinstance(batch, tuple) else moved
        if isinstance(batch, dict):
            return {
                name: self.to_network(each, network) for name, each in batch.items()
            }
        if not isinstance(batch, torch.Tensor):
            return batch
        first = next(network.parameters())
        kind = first.dtype if batch.is_floating_point() else batch.dtype
        batch = batch.to(first.device, kind, non_blocking=True)
        if self.channels_last and batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        return batch

    def forward_of(self, model: "nn.Module", world: "World") -> "nn.Module":
        """Returns what computes a network in training: compiled, and distributed."""
        import torch
        from torch.nn.parallel import DistributedDataParallel

        forward = model
        if self.compile:
            forward = cast("nn.Module", torch.compile(model))
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
        import torch

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
    """Reports in one line why torch could not compile, which is at the first step.

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
