"""The methods of timm's models, on a network of a stem, stages and a head."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_integers, check_one_of
from ddw_graph.nn.edge_weights import edge_parameters
from ddw_graph.nn.stage import Stage

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet."""

EMBEDDINGS = {"stem.positions", "stem.class_token"}
"""Parameters of a Transformer's stem that take no weight decay."""


class Conventions(nn.Module):
    """What training scripts ask of a model: the methods that timm's models have.

    Source:
        Wightman, timm, https://huggingface.co/docs/timm/reference/models.
    """

    stem: nn.Module
    stages: Sequence[Stage]
    head: nn.Module
    in_channels: int
    config: dict[str, Any] | None
    own_cfg: dict[str, Any] | None = None
    """``pretrained_cfg`` of the network of timm that was rewired."""
    classifies = "head"
    """The name of the module whose last layer makes the logits."""

    @property
    @abstractmethod
    def image_size(self) -> int | None:
        """Height and width of its images, pixels; None where it takes any."""

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Checks an input."""

    @abstractmethod
    def example(self, size: Any = 224, *, batch: int = 1, device: Any = None) -> Tensor:
        """Returns a batch of random inputs."""

    @cached_property
    def _classifier(self) -> tuple[str, int]:
        """The name of the layer that makes the logits, and the width that it reads."""
        head = self.get_submodule(self.classifies)
        layers = [
            (name, module)
            for name, module in head.named_modules(prefix=self.classifies)
            if isinstance(module, nn.Linear | nn.Conv2d)
        ]
        if not layers:
            raise ModelError(
                "a classifier must be a linear layer or a convolution, got a "
                f"{type(head).__name__} without one"
            )
        name, last = layers[-1]
        read = last.in_features if isinstance(last, nn.Linear) else last.in_channels
        return name, read

    @property
    def num_classes(self) -> int:
        """Number of logits; 0 without a classifier."""
        layer = self.get_classifier()
        if isinstance(layer, nn.Identity):
            return 0
        made = (
            layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        )
        return int(made)

    @property
    def num_features(self) -> int:
        """Width of the features that the classifier reads."""
        return self._classifier[1]

    @property
    def head_hidden_size(self) -> int:
        """The same, by timm's other name."""
        return self.num_features

    def get_classifier(self, name_only: bool = False) -> Any:
        """Returns the layer that makes the logits, or its name.

        It is an ``nn.Identity`` in a network without classes.
        """
        name, _ = self._classifier
        return name if name_only else self.get_submodule(name)

    def reset_classifier(
        self, num_classes: int, global_pool: str | None = None
    ) -> None:
        """Gives the network a new classifier; its configuration follows.

        Args:
            num_classes: Number of logits; 0 for none: the network then returns the
                pooled features.
            global_pool: Must be None, as the pooling stays; a network of timm whose own
                forward runs the stages takes its own kinds.
        """
        if num_classes:
            check_integers(num_classes=num_classes)
        self._replace_classifier(num_classes, global_pool)
        if self.config is not None:
            self.config = {**self.config, "num_classes": num_classes}

    def _replace_classifier(self, num_classes: int, global_pool: str | None) -> None:
        if global_pool is not None:
            raise ModelError(f"global_pool must be None, got {global_pool!r}")
        (name, width), old = self._classifier, self.get_classifier()
        new: nn.Module = nn.Identity()
        if num_classes and isinstance(old, nn.Conv2d):
            new = nn.Conv2d(width, num_classes, 1)
        elif num_classes:
            new = nn.Linear(width, num_classes)
        like = next(self.parameters())
        self.set_submodule(name, new.to(like.device, like.dtype).train(self.training))

    def forward_features(self, x: Tensor) -> Tensor:
        """Returns the last stage's output."""
        last: Tensor = self.forward_intermediates(x, [-1])[0]
        return last

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Returns the logits of the last stage's output.

        Args:
            pre_logits: Whether to return what the classifier reads instead.
        """
        if not pre_logits:
            logits: Tensor = self.head(x)
            return logits
        read: list[Tensor] = []
        hook = self.get_classifier().register_forward_pre_hook(
            lambda _, args: read.append(args[0])
        )
        try:
            self.head(x)
        finally:
            hook.remove()
        return read[0]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Returns the last stage's output, and a list of the outputs of stages.

        Args:
            indices: Which stages, counted from 0, or from the last by negative numbers;
                a number of last stages; None for all.
            norm: Must be False: what normalises is the head's.
            stop_early: Whether the stages after the last of these are left out; the
                first result is then the output of that one.
            output_fmt: Must be ``NCHW``; the outputs of Transformers are ``(batch,
                tokens, channels)``.
            intermediates_only: Whether to return the second result only.
        """
        check_one_of("output_fmt", output_fmt, ("NCHW",))
        if norm:
            raise ModelError(
                "norm must be False: normalisation is the head's, got True"
            )
        asked = self._places(indices)
        self.check(x)
        x = self.stem(x)
        outputs = []
        for stage in self.stages[: max(asked) + 1 if stop_early else None]:
            x = stage(x)
            outputs.append(x)
        chosen = [outputs[place] for place in asked]
        return chosen if intermediates_only else (x, chosen)

    def _places(self, indices: int | Sequence[int] | None) -> list[int]:
        count = len(self.stages)
        if indices is None:
            return [*range(count)]
        given = range(-indices, 0) if isinstance(indices, int) else indices
        places = [place + count if place < 0 else place for place in given]
        if not places or not all(0 <= place < count for place in places):
            raise ModelError(
                f"indices must be of the {count} stages, or how many of the last, got "
                f"{indices}"
            )
        return places

    @cached_property
    def feature_info(self) -> list[dict[str, Any]]:
        """For each stage width, image size over the size of its output, and name."""
        size = self.image_size or 224
        # Without data, so that nothing is computed.
        shadow = copy.deepcopy(self).to("meta").eval()
        x = self.example(size, device="meta").to(next(self.parameters()).dtype)
        with torch.no_grad():
            outputs = shadow.forward_intermediates(x, intermediates_only=True)
        return [
            {
                "num_chs": stage.channels,
                "reduction": round(
                    size / (y.shape[-1] if y.ndim == 4 else isqrt(y.shape[1]))
                ),
                "module": f"stages.{place}",
            }
            for place, (stage, y) in enumerate(zip(self.stages, outputs, strict=True))
        ]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Sets whether training computes features again; see ``Stage.recompute``."""
        for stage in self.stages:
            stage.recompute = enable

    def no_weight_decay(self) -> set[str]:
        """Returns the names of the parameters that take no weight decay.

        Those that kinds of edges name, and embeddings of positions and of the class.
        """
        of_edges = edge_parameters(self)
        return {
            name
            for name, parameter in self.named_parameters()
            if not of_edges.get(id(parameter), (1.0, True))[1] or name in EMBEDDINGS
        }

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Returns patterns by which timm groups parameters into layers.

        Args:
            coarse: Whether a layer is a stage; otherwise it is a node, and what a stage
                has outside of its nodes is a layer before them.
        """
        nodes = (r"^stages\.(\d+)\.operations\.(\d+)", None)
        rest = (r"^stages\.(\d+)", (-1,))
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else [nodes, rest],
        }

    @property
    def default_cfg(self) -> dict[str, Any]:
        """What timm's scripts read to prepare images.

        It is that of the network of timm that was rewired, its names of layers as they
        are now; of others, images of three channels are normalised as ImageNet's.
        """
        size, channels = self.image_size or 224, self.in_channels
        first = next(n for n, m in self.named_modules() if isinstance(m, nn.Conv2d))
        return {
            "architecture": (self.config or {}).get("name"),
            "input_size": (channels, size, size),
            "fixed_input_size": self.image_size is not None,
            "interpolation": "bilinear",
            "crop_pct": 0.875,
            "mean": MEAN if channels == 3 else (0.5,) * channels,
            "std": STD if channels == 3 else (0.5,) * channels,
            **(self.own_cfg or {}),
            "num_classes": self.num_classes,
            "first_conv": first,
            "classifier": self.get_classifier(name_only=True),
        }

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        """The same, by timm's other name."""
        return self.default_cfg
