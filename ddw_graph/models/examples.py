"""Calls that a network takes: images of its size, or the tokens of a language model."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ddw_graph.errors import ModelError
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.language_model import LanguageModel

Inputs: TypeAlias = Tensor | Sequence[Any] | Mapping[str, Any]
"""What a network is called with: a tensor, arguments, or arguments by their names."""

SIZES = (224, 256, 384, 128, 64, 32)
"""Sizes of images to try where a network does not say its own, pixels."""


class Example(NamedTuple):
    """The arguments of a call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def batch(self) -> int:
        """The number of samples."""
        return len(next(x for x in tree_leaves(tuple(self)) if isinstance(x, Tensor)))

    @property
    def image_channels(self) -> int:
        """The channels of the image that is its only argument; 0 for another call."""
        x = self.args[0] if len(self.args) == 1 and not self.kwargs else None
        is_image = isinstance(x, Tensor) and x.is_floating_point() and x.ndim == 4
        return x.shape[1] if is_image else 0  # type: ignore[union-attr]

    def like(self, parameter: Tensor) -> "Example":
        """Returns the same on a parameter's device, floats in its type."""

        def moved(x: Tensor) -> Tensor:
            dtype = parameter.dtype if x.is_floating_point() else x.dtype
            return x.to(parameter.device, dtype)

        return Example(*tree_map_only(Tensor, moved, tuple(self)))


def float_tensors(output: Any) -> list[Tensor]:
    """Returns the tensors of floats in what a network returned."""
    leaves = tree_leaves(output)
    return [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]


def examples(
    model: nn.Module, inputs: Inputs | None = None, *, first: Sequence[int] = ()
) -> Iterator[Example]:
    """Yields calls that a network may take, the likeliest first.

    Args:
        inputs: What it is called with; by default images of noise, or for a language
            model of Hugging Face its ``dummy_inputs``.
        first: Sizes of images to try before those of the network, pixels.

    Example:
        >>> from torchvision.models import vit_b_16
        >>> next(examples(vit_b_16(image_size=32))).args[0].shape
        torch.Size([2, 3, 32, 32])
    """
    if inputs is not None:
        if isinstance(inputs, Mapping):
            yield Example((), dict(inputs))
        else:
            args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
            yield Example(args, {})
        return
    if isinstance(model, HostNetwork):
        model = model.model
    if isinstance(model, LanguageModel):
        generator = torch.Generator().manual_seed(0)
        yield Example((model.example(batch=2, generator=generator),), {})
        return
    main = getattr(model, "main_input_name", "pixel_values")
    if main == "input_ids" and hasattr(model, "dummy_inputs"):
        ids: dict[str, Tensor] = dict(model.dummy_inputs)  # type: ignore[arg-type]
        # With padding each kind of attention has a mask of its own.
        mask = torch.ones_like(ids["input_ids"])
        mask[0, -1] = 0
        yield Example((), ids | {"attention_mask": mask})
        yield Example((), ids)
        return
    sizes = dict.fromkeys([*((n, n) for n in first), *_sizes(model)])
    generator = torch.Generator().manual_seed(0)
    for channels, (height, width) in product(_channels(model), sizes):
        noise = torch.randn(2, channels, height, width, generator=generator)
        yield Example((noise,), {})


def _channels(model: nn.Module) -> list[int]:
    """Returns the channels of the images that a network may take."""
    convolution = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    known: Any = getattr(model, "pretrained_cfg", None) or {}
    channels = [
        getattr(getattr(model, "config", None), "num_channels", None),
        getattr(convolution, "in_channels", None),
        known.get("input_size", (None,))[0],
    ]
    found = [*dict.fromkeys(n for n in channels if isinstance(n, int))]
    if not found:
        raise ModelError(
            "a network to rewire needs 2-D convolutions for its images, or inputs= "
            f"that show what it takes, got {type(model).__name__} without"
        )
    return found


def _sizes(model: nn.Module) -> Iterator[tuple[int, int]]:
    """Yields the sizes of images that a network may take, its own first."""
    known: Any = getattr(model, "pretrained_cfg", None) or {}
    owners = (*model.modules(), getattr(model, "config", None))
    own = [
        *(getattr(module, "img_size", None) for module in owners),
        known.get("input_size", (None,))[1:],
        *(getattr(module, "image_size", None) for module in owners),
    ]
    for size in (*own, *SIZES):
        if isinstance(size, int):
            yield size, size
        elif isinstance(size, Sequence) and [*map(type, size)] == [int, int]:
            yield size[0], size[1]
