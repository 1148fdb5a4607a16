"""The share of a rewired network's parameters that its stages hold."""

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

from ddw_graph.nn.network import Network

HALF = 0.5
"""The share below which ``rewire`` warns."""


@dataclass(frozen=True)
class StageShare:
    """The share of the stages, and what is outside."""

    share: float
    outside: dict[str, int]

    def __str__(self) -> str:
        """Returns the share and the largest modules outside."""
        largest = [f"{name} ({n:,})" for name, n in [*self.outside.items()][:3]]
        more = f" and {len(self.outside) - 3} more" if len(self.outside) > 3 else ""
        return (
            f"the stages hold {self.share:.0%} of the parameters; outside are "
            f"{', '.join(largest) or 'none'}{more}"
        )


def share_in_stages(network: Network) -> StageShare:
    """Returns the share of a network's parameters that are in the nodes of its stages.

    Edge weights and projections, which a network did not have before, do not count.

    Example:
        >>> from torchvision.models import resnet18
        >>> from ddw_graph import rewire
        >>> share = share_in_stages(rewire(resnet18()))
        >>> round(share.share, 3), share.outside
        (0.955, {'head.fc': 513000, 'stem.conv1': 9408, 'stem.bn1': 128})
    """
    nodes = [node for stage in network.stages for node in stage.operations]
    inside = {parameter for node in nodes for parameter in node.parameters()}
    new = {
        parameter
        for stage in network.stages
        for module in (stage.weights, stage.projection)
        if module is not None
        for parameter in module.parameters()
    }
    held = inside | new
    mixed = {
        path
        for path, module in network.named_modules()
        if not held.isdisjoint(module.parameters()) or path in ("stem", "head")
    }
    outside: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        if parameter not in held:  # counts for the outermost module without nodes
            paths = accumulate(name.split("."), "{}.{}".format)
            outside[next(p for p in paths if p not in mixed)] += parameter.numel()
    within = sum(parameter.numel() for parameter in inside)
    return StageShare(within / (within + outside.total()), dict(outside.most_common()))
