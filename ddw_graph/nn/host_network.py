"""A network whose own forward runs the stages, each in the place of a run of blocks."""

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.checks import check_count
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage


@dataclass(frozen=True)
class Run:
    """A run of blocks that a stage takes the place of.

    Args:
        paths: Names of the blocks in the network.
        in_channels: Width of the first block's input.
        channels: Width of every block's output.
        stride: Stride of the first block.
        channel_axis: The features' axis of channels; see ``Stage``.
        args: For each argument behind the features whether it was None.
        kwargs: For each argument by name whether it was None.
        returns: What follows the features in the tuple that a block returns: the
            place or name of an argument, or None; None where it returns no tuple.
    """

    paths: Sequence[str]
    in_channels: int
    channels: int
    stride: int = 1
    channel_axis: int = -1
    args: Sequence[bool] = ()
    kwargs: Mapping[str, bool] = field(default_factory=dict)
    returns: Sequence[int | str | None] | None = None

    def output(self, y: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns features in the form of a block's output."""
        if self.returns is None:
            return y
        given: dict[Any, Any] = dict(enumerate(args)) | kwargs
        return y, *(given.get(key) for key in self.returns)


@dataclass
class _Call:
    """The adjacencies of one call of a network, by the place of the stage."""

    runs: tuple[Run, ...]
    given: Sequence[Tensor] | None
    asked: bool
    returned: dict[int, Tensor]


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)
"""The call that runs now; None where no adjacency is given or asked for."""


class _OfModel:
    """A property or method that is that of a host's own network."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, host: Any, owner: type | None = None) -> Any:
        return self if host is None else getattr(host.model, self.name)


class HostNetwork(Network):
    """A network whose own forward runs the stages.

    Each stage is in the place of the first block of a run, and the run's other blocks
    let features through. What the network passes to a block besides its features, such
    as masks, positions and a cache, reaches every node.

    Args:
        model: The network; its blocks are replaced. Its own methods, such as
            ``generate``, run the stages too, and are those of the host.
        stages: At least one.
        runs: The blocks that each stage takes the place of.
        in_channels: Channels of an image; 0 where it takes other inputs.

    Example:
        >>> import torch
        >>> from ddw_graph.generators import vgg
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        >>> stage = Stage(vgg(2), 8, 8, operation=[*model], channel_axis=-1)
        >>> network = HostNetwork(model, [stage], [Run(["0", "1"], 8, 8)])
        >>> y, adjacency = network(torch.zeros(2, 8), return_adjacency=True)
        >>> y.shape, adjacency[0].shape
        (torch.Size([2, 8]), torch.Size([2, 4, 4]))
    """

    classifies = "model"
    forward_features = _OfModel()
    forward_head = _OfModel()
    forward_intermediates = _OfModel()
    feature_info = _OfModel()

    def __init__(
        self,
        model: nn.Module,
        stages: Sequence[Stage],
        runs: Sequence[Run],
        *,
        in_channels: int = 0,
    ) -> None:
        nn.Module.__init__(self)
        self.model, self.runs, self.in_channels = model, tuple(runs), in_channels
        self.own_cfg = getattr(model, "pretrained_cfg", None)
        for place, (stage, run) in enumerate(zip(stages, runs, strict=True)):
            stage.label = f"stage {place + 1}"
            for path in run.paths:
                block = model.get_submodule(path)
                taken = path == run.paths[0]
                new = _InPlace(stage, place, run) if taken else _Through(run)
                model.set_submodule(path, _with_settings(new, block))

    def __getattr__(self, name: str) -> Any:
        """Returns what only the network's own class has, such as ``generate``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)

    def get_classifier(self, name_only: bool = False) -> Any:
        """Returns the network's own classifier, or its name; see ``Network``."""
        own = getattr(self.model, "get_classifier", None)
        if own is None or name_only:
            return super().get_classifier(name_only)
        return own()

    def _replace_classifier(self, num_classes: int, global_pool: str | None) -> None:
        own = getattr(self.model, "reset_classifier", None)
        if own is None:
            super()._replace_classifier(num_classes, global_pool)
        else:
            own(num_classes, *() if global_pool is None else (global_pool,))

    def no_weight_decay(self) -> set[str]:
        """Returns the names of the parameters that take no weight decay."""
        own: Any = getattr(self.model, "no_weight_decay", set)()
        found = super().no_weight_decay()
        return found | {f"model.{each}" for each in own}

    def group_matcher(self, coarse: bool = False) -> Any:
        """Returns a function from the name of a parameter to its layer, for timm."""
        names = [name for name, _ in self.named_parameters()]
        places = {f"model.{run.paths[0]}.stage.": k for k, run in enumerate(self.runs)}
        first = min(i for i, name in enumerate(names) if name.startswith((*places,)))

        def layer(name: str) -> tuple[float, ...]:
            for start, place in places.items():
                if name.startswith(start):
                    node = re.match(r"operations\.(\d+)\.", name.removeprefix(start))
                    return (1, place, -1 if coarse or not node else int(node[1]))
            return (0,) if names.index(name) < first else (2,)

        return layer

    @property
    def stages(self) -> Sequence[Stage]:  # type: ignore[override]
        """The stages, in the order of their runs."""
        return [self.model.get_submodule(run.paths[0]).stage for run in self.runs]  # type: ignore[misc]

    @property
    def image_size(self) -> int | None:
        """None: the network says itself which images it takes."""
        return None

    def with_stages(self, stages: Sequence[Stage]) -> Network:
        """Returns the network with other stages; they take the place of its own."""
        return HostNetwork(self.model, stages, self.runs, in_channels=self.in_channels)

    def forward(
        self,
        *args: Any,
        adjacency: Sequence[Tensor] | None = None,
        return_adjacency: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Returns what the network does, with each stage's adjacency if asked for.

        Args:
            adjacency: As for ``Network``.
            return_adjacency: As for ``Network``.

        Raises:
            ModelError: If ``adjacency`` does not fit, or a stage did not run once.
        """
        if adjacency is None and not return_adjacency:
            return self.model(*args, **kwargs)
        if adjacency is not None:
            check_count(adjacency, len(self.runs))
        call = _Call(self.runs, adjacency, return_adjacency, {})
        token = _CALL.set(call)
        try:
            output = self.model(*args, **kwargs)
        finally:
            _CALL.reset(token)
        if not return_adjacency:
            return output
        for place in range(len(self.runs)):
            if place not in call.returned:
                raise ModelError(
                    "an adjacency is returned by each stage that runs, got a forward "
                    f"without stage {place + 1}"
                )
        return output, [call.returned[place] for place in range(len(self.runs))]


class _InPlace(nn.Module):
    """A stage in the place of a block."""

    def __init__(self, stage: Stage, place: int, run: Run) -> None:
        super().__init__()
        self.stage, self.place, self.run = stage, place, run

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Returns the stage's output in the form of a block's."""
        call = _CALL.get()
        # Another network's, if it runs this one.
        if call is None or not any(run is self.run for run in call.runs):
            y = self.stage(x, *args, **kwargs)
        else:
            given = None if call.given is None else call.given[self.place]
            y = self.stage(
                x, *args, adjacency=given, return_adjacency=call.asked, **kwargs
            )
            if call.asked:
                y, call.returned[self.place] = y
        return self.run.output(y, args, kwargs)


class _Through(nn.Module):
    """Lets features through, in the place of a block that is a node of a stage."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Returns the features in the form of a block's output."""
        return self.run.output(x, args, kwargs)


def _with_settings(new: nn.Module, block: nn.Module) -> nn.Module:
    """Gives a module the plain attributes of a block, which a network may read."""
    for key, value in vars(block).items():
        if not key.startswith("_") and isinstance(value, bool | int | float | str):
            vars(new).setdefault(key, value)
    return new
