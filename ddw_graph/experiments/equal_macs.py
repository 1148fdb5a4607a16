"""Equal budgets: networks of different wirings with the same total MACs."""

import json
from collections.abc import Callable, Hashable

from ddw_graph.errors import ModelError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network

TOLERANCE = 0.03
"""Networks within this share of each other's total MACs have the same budget."""

OWN_WIDTH_TOLERANCE = 0.1
"""The same for networks whose width cannot be chosen, backbones and Transformers:
dynamic edges add projections that are 5 % of MobileNetV2, as in Table 6."""

AIM = 0.005
"""The search stops at this share."""

REPEATS = 3
"""Networks in a row, known by their total MACs, after which it stops as well."""


class TotalMacs:
    """Counts the total MACs of networks, of those that are alike once.

    To count takes longer than to make. Networks of neighbouring C often have the same
    whole channels, and those of several seeds the same wirings.

    Args:
        image_size: Height and width of the image, pixels.
    """

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size
        self._known: dict[Hashable, int] = {}

    def __call__(self, model: Network) -> int:
        """Returns the total MACs of a network that has a ``config``, for one image."""
        assert model.config is not None
        apart = ("channels", "wirings")
        config = {k: v for k, v in model.config.items() if k not in apart}
        key = (
            json.dumps(config, sort_keys=True),
            tuple(stage.plan.edges for stage in model.stages),
            tuple(parameter.shape for parameter in model.parameters()),
        )
        if key not in self._known:
            self._known[key] = cost(model, self.image_size).total_macs
        return self._known[key]


def matched_channels(
    make: Callable[[float], Network],
    total_macs: int,
    *,
    counted: TotalMacs,
    start: float = 16.0,
    tries: int = 20,
) -> float:
    """Returns C for which a network's total MACs are within 3 % of a budget.

    Widths are multiples of C in whole channels, so C need not be whole, and the steps
    between neighbouring networks are finer than one channel of the narrowest stage.
    Where no network is within half a percent, the search ends when it has closed in on
    a step between two.

    Args:
        make: Makes the network of a C.
        total_macs: The budget, MACs of everything for one image.
        counted: Counts them.
        start: Where to begin; the closer, the faster.
        tries: Networks to look at before giving up.

    Raises:
        ModelError: If no C that was looked at is close enough.
    """

    low, high = 0.0, float("inf")
    channels = start
    closest, best = float("inf"), start
    seen: list[int] = []
    for _ in range(tries):
        seen.append(counted(make(channels)))
        off = seen[-1] / total_macs - 1
        if abs(off) < closest:
            closest, best = abs(off), channels
        fresh = set(seen[-REPEATS:]) - set(seen[:-REPEATS])
        if closest <= AIM or not fresh:
            break
        low, high = (channels, high) if off < 0 else (low, channels)
        # Most MACs grow with the square of the width.
        guess = channels / (1 + off) ** 0.5
        channels = guess if low < guess < high else (low + high) / 2
    if closest > TOLERANCE:
        raise ModelError(
            f"some C must bring the network within {TOLERANCE:.0%} of {total_macs} "
            f"MACs, the closest of {len(seen)} is {closest:.1%} off"
        )
    return best


def network_at_budget(
    label: str,
    model: Network,
    make: Callable[[float], Network],
    total_macs: int,
    *,
    counted: TotalMacs,
) -> Network:
    """Returns a network of the width that keeps a budget, or checks that it does.

    Args:
        label: The network in words.
        model: The network at the width where the search begins.
        make: Makes the network of a C.
        total_macs: The budget, MACs of everything for one image.
        counted: Counts them.

    Raises:
        ModelError: If none is close enough, or its width cannot be chosen and it is
            not within ``OWN_WIDTH_TOLERANCE``.
    """
    assert model.config is not None
    off = counted(model) / total_macs - 1
    if abs(off) <= AIM:
        return model
    start = model.config.get("channels")
    if start is not None:
        return make(matched_channels(make, total_macs, counted=counted, start=start))
    if abs(off) > OWN_WIDTH_TOLERANCE:
        raise ModelError(
            f"networks are compared within {OWN_WIDTH_TOLERANCE:.0%} of the same total "
            f"MACs where their width cannot be chosen, got {label} at {off:+.1%} of "
            f"{total_macs}"
        )
    return model
