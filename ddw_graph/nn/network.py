"""A network: a stem, a chain of stages, a head (Eq. 2)."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.checks import check_count
from ddw_graph.nn.conventions import Conventions
from ddw_graph.nn.stage import Stage


class Network(Conventions):
    """Chains stages between a stem and a head.

    It has the methods that training scripts ask of timm's models.

    Args:
        stem: Maps images to the first stage's input.
        head: Maps the last stage's output to logits.
        in_channels: Channels of an image; 0 for a network that takes none.

    Shapes:
        - x: ``(batch, in_channels, height, width)``
        - output: ``(batch, classes)``
        - adjacency: a tensor ``(batch, N_k, N_k)`` for each stage

    Source:
        DDW, Eq. 2.
    """

    config: dict[str, Any] | None = None
    """The arguments that rebuild this network, exact edge lists among them, if it was
    made from such."""

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Stage],
        head: nn.Module,
        *,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not stages:
            raise ModelError("a network needs at least one stage, got none")
        self.in_channels = in_channels
        self.stem = stem
        self.stages: Sequence[Stage] = nn.ModuleList(stages)  # type: ignore[assignment]
        self.head = head
        for place, stage in enumerate(self.stages, start=1):
            stage.label = f"stage {place}"

    @property
    def image_size(self) -> int | None:
        """Height and width of its images, pixels; None where it takes any."""
        for module in self.stem.modules():
            # Of the embeddings of patches here, in torchvision and in timm.
            size: Any = getattr(module, "image_size", getattr(module, "img_size", None))
            if size is not None and getattr(module, "strict_img_size", True):
                return int(size if isinstance(size, int) else size[0])
        return None

    def check(self, x: Tensor) -> None:
        """Checks that an input is a batch of images with the network's channels."""
        check_images(x, self.in_channels)

    def example(
        self,
        size: int | tuple[int, int] = 224,
        *,
        batch: int = 1,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Returns a batch of random inputs.

        Args:
            size: Height and width of an image, pixels; one number for both, or two.
        """
        if not self.in_channels:
            raise ModelError(
                f"a {type(self).__name__} that takes no images needs inputs="
            )
        height, width = (size, size) if isinstance(size, int) else size
        shape = batch, self.in_channels, height, width
        return torch.randn(shape, generator=generator, device=device)

    def forward(
        self,
        x: Tensor,
        *,
        adjacency: Sequence[Tensor] | None = None,
        return_adjacency: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Returns logits, with each stage's adjacency where it is asked for.

        Raises:
            ModelError: If the input or ``adjacency`` does not fit.
        """
        self.check(x)
        outputs, matrices = run_stages(
            self.stages,
            self.stem(x),
            adjacency=adjacency,
            return_adjacency=return_adjacency,
        )
        logits: Tensor = self.head(outputs[-1])
        return (logits, matrices) if return_adjacency else logits

    def with_stages(self, stages: Sequence[Stage]) -> "Network":
        """Returns a network of other stages that shares all else with this one."""
        other = Network(self.stem, stages, self.head, in_channels=self.in_channels)
        other.own_cfg = self.own_cfg
        return other


def check_images(x: Tensor, channels: int) -> None:
    """Checks that images have the channels that a network takes."""
    if x.ndim == 3:
        raise ModelError(
            "images must be a batch (batch, channels, height, width), got one image "
            f"{tuple(x.shape)}; add the batch with x[None]"
        )
    if x.shape[1] != channels:
        raise ModelError(f"images must have {channels} channels, got {x.shape[1]}")


def run_stages(
    stages: Iterable[Stage],
    x: Tensor,
    *,
    adjacency: Sequence[Tensor] | None,
    return_adjacency: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """Returns what each stage of a chain puts out, and the adjacencies if asked for."""
    chain = list(stages)
    if adjacency is not None:
        check_count(adjacency, len(chain))
    given: Sequence[Tensor | None] = adjacency or [None] * len(chain)
    outputs: list[Tensor] = []
    matrices: list[Tensor] = []
    for stage, matrix in zip(chain, given, strict=True):
        if return_adjacency:
            x, effective = stage(x, adjacency=matrix, return_adjacency=True)
            matrices.append(effective)
        else:
            x = stage(x, adjacency=matrix)
        outputs.append(x)
    return outputs, matrices
