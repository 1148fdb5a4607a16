"""Measured cost: times in turns, and the memory of a step."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError

Act = Callable[[], object]


def paired_times(
    acts: Mapping[str, Act], *, rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """Returns the seconds that every act took in each round.

    The acts take turns, so that a machine whose speed drifts is unfair to none, and
    times of the same round may be compared. Each time begins and ends when the GPU, if
    there is one, has finished.

    Args:
        acts: What to time, by name.
        rounds: Times that each act counts, at least 1.
        warmup: Rounds before those, which are not counted.

    Raises:
        RunError: If there is no round to count.

    Example:
        >>> times = paired_times({"nothing": lambda: None}, rounds=3)
        >>> [len(seconds) for seconds in times.values()]
        [3]
    """
    if rounds < 1 or warmup < 0:
        raise RunError(
            "rounds must be at least 1 and warmup at least 0, "
            f"got rounds={rounds}, warmup={warmup}"
        )
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for turn in range(warmup + rounds):
        for name, act in acts.items():
            began = _now()
            act()
            ended = _now()
            if turn >= warmup:
                seconds[name].append(ended - began)
    return seconds


def _now() -> float:
    """Returns the seconds of a clock, when a GPU in use has finished.

    As ``torch.utils.benchmark.timer``, whose import warns where there is no CUDA.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def inference_times(
    models: Mapping[str, nn.Module], images: Tensor, *, rounds: int = 7
) -> dict[str, float]:
    """Returns the median time of each network for one image, milliseconds.

    Args:
        models: Networks by name; put into evaluation mode.
        images: One batch, of shape ``(batch, channels, height, width)``.
        rounds: Times that each network runs after one that is not counted.
    """
    acts = {name: partial(model.eval(), images) for name, model in models.items()}
    return {
        name: 1000 * statistics.median(seconds) / len(images)
        for name, seconds in paired_times(acts, rounds=rounds).items()
    }


def step_memory(step: Act, parameters: Iterable[Tensor]) -> dict[str, float]:
    """Returns the memory of a step of training, MB.

    ``saved_mb`` is what autograd keeps for the backward pass, each storage once; where
    the parameters are on a GPU, ``peak_mb`` is the most memory that the step adds.

    Args:
        step: Runs one forward and one backward pass.
        parameters: Those of the network, which ``saved_mb`` leaves out.

    Example:
        >>> x = torch.ones(1000, requires_grad=True)
        >>> step_memory(lambda: x.exp().sum().backward(), [x])
        {'saved_mb': 0.004}
    """
    kept = list(parameters)
    own = {tensor.untyped_storage().data_ptr() for tensor in kept}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The tensors live until the backward pass, so no storage is counted as another.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    memory = {"saved_mb": sum(found.values()) / 1e6}
    if kept and kept[0].is_cuda:
        device = kept[0].device
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        memory["peak_mb"] = (torch.cuda.max_memory_allocated(device) - before) / 1e6
    return memory
