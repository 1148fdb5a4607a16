"""Times of acts beside each other, in turns; of networks' inference among them."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError


def paired_times(
    acts: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int = 1,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Returns the seconds that every act took in each round.

    The acts take turns, so that a machine whose speed drifts is unfair to none, and
    what they took in the same round may be compared.

    Args:
        acts: What to time, by name.
        rounds: Times that each act counts, at least 1.
        warmup: Rounds before those, which are not counted.
        device: Where the acts compute.

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
    device = torch.device(device)
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for turn in range(warmup + rounds):
        for name, act in acts.items():
            _finish(device)
            began = time.perf_counter()
            act()
            _finish(device)
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


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
        for name, seconds in paired_times(
            acts, rounds=rounds, device=images.device
        ).items()
    }


def _finish(device: torch.device) -> None:
    """Waits for a device that computes behind Python's back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
