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

TRIES = 20
"""Networks that it looks at, at most."""


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


def network_at_budget(
    label: str,
    model: Network,
    make: Callable[[float], Network],
    total_macs: int,
    *,
    counted: TotalMacs,
) -> Network:
    """Returns the network of the width that keeps a budget, or checks that it does.

    Widths are multiples of C in whole channels, so C need not be whole, and the steps
    between neighbouring networks are finer than one channel of the narrowest stage.
    Where no network is within half a percent, the search ends when it has closed in on
    a step between two.

    Args:
        model: The network at the width where the search begins.
        make: Makes the network of a C.
        total_macs: The budget, MACs of everything for one image.

    Raises:
        ModelError: If none that was looked at is close enough, or its width cannot be
            chosen and it is not within ``OWN_WIDTH_TOLERANCE``.
    """
    assert model.config is not None
    channels = model.config.get("channels")
    off = counted(model) / total_macs - 1
    if channels is None:
        if abs(off) > OWN_WIDTH_TOLERANCE:
            raise ModelError(
                f"networks are compared within {OWN_WIDTH_TOLERANCE:.0%} of the same "
                f"total MACs where their width cannot be chosen, got {label} at "
                f"{off:+.1%} of {total_macs}"
            )
        return model
    low, high = 0.0, float("inf")
    closest, best = abs(off), model
    seen = [off]
    while closest > AIM and len(seen) < TRIES:
        low, high = (channels, high) if off < 0 else (low, channels)
        # Most MACs grow with the square of the width.
        guess = channels / (1 + off) ** 0.5
        channels = guess if low < guess < high else (low + high) / 2
        found = make(channels)
        off = counted(found) / total_macs - 1
        if abs(off) < closest:
            closest, best = abs(off), found
        seen.append(off)
        if set(seen[-REPEATS:]) <= set(seen[:-REPEATS]):
            break
    if closest > TOLERANCE:
        raise ModelError(
            f"some width must bring {label} within {TOLERANCE:.0%} of {total_macs} "
            f"MACs, the closest of {len(seen)} is {closest:.1%} off"
        )
    return best
