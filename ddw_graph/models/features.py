"""A network without its head, for detectors and segmenters: a pyramid of features."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata

from ddw_graph.errors import ModelError
from ddw_graph.models.tracing import output_of, trace
from ddw_graph.nn.arguments import is_integer
from ddw_graph.nn.features import Features
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.network import Network, check_images, run_stages
from ddw_graph.nn.stage import Stage

PROBE = 224
"""Size of the image that a network is called with, pixels."""


@dataclass(frozen=True)
class Level:
    """A level of a feature pyramid.

    Args:
        reduction: Image size over the size of the features.
        stage: Place of the stage that makes them; -1 for the stem.
        step: Name of the stem's step that makes them.
    """

    channels: int
    reduction: int
    stage: int
    step: str | None = None


@dataclass(frozen=True)
class FeatureInfo:
    """The levels of a pyramid, with the methods of timm's ``feature_info``."""

    levels: tuple[Level, ...]

    def channels(self) -> list[int]:
        """Returns the width of each level."""
        return [level.channels for level in self.levels]

    def reduction(self) -> list[int]:
        """Returns for each level the size of the image over that of the features."""
        return [level.reduction for level in self.levels]


class FeatureNetwork(nn.Module):
    """Returns the features of a network at several resolutions, in timm's sense.

    A level is the last features of a resolution, from half the image's on; in a ResNet
    level 0 is the stem before its pooling, and levels 1 to 4 are the stages. Features
    with their channels last are no level. Nothing behind the last level returned runs.
    Parameters keep their names.

    Args:
        network: The network, whose modules this one shares.
        out_indices: The levels to return, ascending; all by default.

    Shapes:
        - x: ``(batch, in_channels, height, width)``
        - output: a list of ``(batch, channels, height / reduction, width / reduction)``

    Raises:
        ModelError: If a level does not exist, or the order is another one.

    Example:
        >>> from ddw_graph import create_model
        >>> backbone = create_model("resnet18", features_only=True, out_indices=(1, 4))
        >>> backbone.feature_info.channels(), backbone.feature_info.reduction()
        ([64, 512], [4, 32])
        >>> [tuple(level.shape) for level in backbone(torch.zeros(1, 3, 64, 64))]
        [(1, 64, 16, 16), (1, 512, 2, 2)]
    """

    def __init__(
        self, network: Network, out_indices: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        if isinstance(network, HostNetwork):
            raise ModelError(
                "a feature pyramid needs a network with a stem, stages and a head, got "
                f"a {type(network.model).__name__} whose own forward runs the stages"
            )
        graph = trace(network.stem)
        stem = fx.GraphModule(network.stem, graph)
        known = _levels(network, stem)
        every = range(len(known))
        asked = every if out_indices is None else out_indices
        if (
            not isinstance(asked, Sequence)
            or not asked
            or not all(map(is_integer, asked))
            or list(asked) != [index for index in every if index in asked]
        ):
            raise ModelError(
                "out_indices must be a sequence of integers, ascending and in "
                f"[0, {len(known)}), got {out_indices!r}"
            )
        levels = tuple(known[index] for index in asked)
        self.feature_info = FeatureInfo(levels)
        self.in_channels = network.in_channels
        steps = {node.name: node for node in graph.nodes}
        kept = [steps[each.step] for each in levels if each.step is not None]
        (output,) = (node for node in graph.nodes if node.op == "output")
        output.args = ((*kept, output_of(graph)),)
        self.stem = fx.GraphModule(network.stem, graph)
        last = 1 + levels[-1].stage
        self.stages: Sequence[Stage] = nn.ModuleList(network.stages[:last])  # type: ignore[assignment]
        # Only the new modules: the others are the network's, and may be frozen.
        own: tuple[Any, ...] = (self, self.stem, self.stages)
        for module in own:
            module.training = network.training

    def forward(
        self,
        x: Features,
        *,
        adjacency: Sequence[Tensor] | None = None,
        return_adjacency: bool = False,
    ) -> list[Tensor] | tuple[list[Tensor], list[Tensor]]:
        """Returns the levels, and each stage's adjacency with ``return_adjacency``.

        Raises:
            ModelError: If the images have another number of channels, or ``adjacency``
                does not fit.
        """
        check_images(x, self.in_channels)
        *kept, x = self.stem(x)
        outputs, matrices = run_stages(
            self.stages, x, adjacency=adjacency, return_adjacency=return_adjacency
        )
        asked = self.feature_info.levels
        levels = kept + [outputs[each.stage] for each in asked if each.step is None]
        return (levels, matrices) if return_adjacency else levels


def _levels(network: Network, stem: fx.GraphModule) -> list[Level]:
    """Returns the last features of each resolution, from the largest on."""
    shadow = copy.deepcopy(stem).to("meta").eval()
    dtype = next(network.parameters()).dtype
    image = torch.empty(
        1, network.in_channels, PROBE, PROBE, device="meta", dtype=dtype
    )
    x = ShapeProp(shadow).propagate(image)
    made: list[tuple[Sequence[int], int, str | None]] = []
    for node in shadow.graph.nodes:
        meta = node.meta.get("tensor_meta")
        if node.op != "output" and isinstance(meta, TensorMetadata):
            made.append((meta.shape, -1, node.name))
    with torch.no_grad():
        for place, stage in enumerate(network.stages):
            x = copy.deepcopy(stage).to("meta").eval()(x)
            if stage.plan.channel_axis == 1:
                made.append((x.shape, place, None))
    levels: dict[int, Level] = {}
    for shape, place, step in made:
        if len(shape) == 4:
            reduction = round(PROBE / shape[2])
            levels[reduction] = Level(shape[1], reduction, place, step)
    return [levels[reduction] for reduction in sorted(levels) if reduction > 1]
