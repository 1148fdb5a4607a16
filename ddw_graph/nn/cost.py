"""Cost of a network: parameters, and multiply-adds (MACs) by two conventions."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ddw_graph.nn.edge_weights import DynamicWeights
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage


@dataclass(frozen=True)
class Cost:
    """Cost of a network or of a part of it, for one image.

    Args:
        part: What it is the cost of.
        parameters: Number of parameters.
        macs: MACs of convolutions and fully connected layers, routers left out: the
            paper's convention in Tables 1, 4 and 5.
        aggregation: MACs of the weighted sums: one for each element of each input.
        pooling: Additions of the routers' global average pooling.
        routers: MACs of the routers' fully connected layers.
    """

    part: str
    parameters: int
    macs: int
    aggregation: int = 0
    pooling: int = 0
    routers: int = 0

    @property
    def total_macs(self) -> int:
        """MACs of everything that this counts."""
        return self.macs + self.aggregation + self.pooling + self.routers

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures by name, ready for JSON."""
        return {**self.__dict__, "total_macs": self.total_macs}


@dataclass(frozen=True)
class NetworkCost(Cost):
    """Cost of a network with its parts: the stem, each stage, the head."""

    parts: tuple[Cost, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures by name, ready for JSON."""
        return super().as_dict() | {"parts": [part.as_dict() for part in self.parts]}


def cost(model: Network, image_size: int = 224) -> NetworkCost:
    """Returns what a network costs for one image with every edge open.

    Counted on a copy without data, so that nothing is computed and the model is left
    as it was. Normalisation and activations are not counted.

    Args:
        model: The network.
        image_size: Height and width of the image, pixels.

    Example:
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", wiring="complete", n=4, channels=8)
        >>> cost(model, image_size=28).parts[1].part
        'stage 1'
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    image = torch.empty(1, model.in_channels, image_size, image_size, device="meta")
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def note(stage: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        sizes[stage] = inputs[0][0].numel(), output[0].numel()

    for stage in shadow.stages:
        stage.register_forward_hook(note)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(image)
    flops = {
        name: sum(by_operator.values())
        for name, by_operator in counter.get_flop_counts().items()
    }

    def macs(name: str) -> int:
        return int(flops.get(f"{type(shadow).__name__}.{name}", 0)) // 2

    parts = [Cost("stem", _parameters(shadow.stem), macs("stem"))]
    for place, stage in enumerate(shadow.stages):
        routers = macs(f"stages.{place}.weights")
        parts.append(
            Cost(
                f"stage {place + 1}",
                _parameters(stage),
                macs(f"stages.{place}") - routers,
                *_edge_work(stage, *sizes[stage]),
                routers,
            )
        )
    parts.append(Cost("head", _parameters(shadow.head), macs("head")))
    names = ("parameters", "macs", "aggregation", "pooling", "routers")
    total = {name: sum(getattr(part, name) for part in parts) for name in names}
    return NetworkCost(part="network", parts=tuple(parts), **total)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _edge_work(stage: Stage, entering: int, leaving: int) -> tuple[int, int]:
    """Returns the MACs of aggregation and the additions of pooling in a stage."""
    plan = stage.plan
    raw = sum(plan.takes_transition(node) for node in plan.successors[0])
    aggregation = raw * entering + (len(plan.edges) - raw) * leaving
    if not isinstance(stage.weights, DynamicWeights):
        return aggregation, 0
    pooled = {int(node) for node in stage.weights.routers}
    at_input = entering if stage.projection is None else leaving
    return aggregation, leaving * len(pooled - {0}) + at_input * (0 in pooled)
