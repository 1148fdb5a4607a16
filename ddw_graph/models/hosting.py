"""Runs of blocks whose stages stay in the network: its own forward runs them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models.parts import Parts, StageParts, kept_shortcut
from ddw_graph.models.probing import Call, Probe, same
from ddw_graph.nn.host_network import HostNetwork, Run
from ddw_graph.nn.stage import Stage


def runs_of(
    model: nn.Module, probe: Probe, blocks: Mapping[str, Call]
) -> list[list[Call]]:
    """Returns the runs of blocks that follow each other, in the order of running."""
    runs: list[list[Call]] = []
    reasons: list[tuple[bool, bool, str]] = []  # the nearest to a run is least
    for call in blocks.values():
        before = runs[-1][-1] if runs else None
        reason = _not_a_run(probe, before, call) if before else ""
        if reason is None:
            runs[-1].append(call)
            continue
        runs.append([call])
        if before:
            apart = before.parent != call.parent
            reasons.append((apart, not call.keeps_shape, reason))
    if max(map(len, runs)) == 1:
        one = (True, True, f"{runs[0][0].path} is the only block")
        *_, reason = min(reasons, key=lambda each: each[:2], default=one)
        raise ModelError(
            "a network to rewire must have blocks that follow each other, got a "
            f"{type(model).__name__} in which {reason}"
        )
    return runs


def run_of(calls: Sequence[Call]) -> Run:
    """Returns the run of some blocks."""
    first, axis = calls[0], calls[-1].channel_axis
    return Run(
        [call.path for call in calls],
        in_channels=first.x.shape[axis],
        channels=first.y.shape[axis],
        stride=1 if first.keeps_shape else _stride(first) or 1,
        channel_axis=axis,
        args=[each is None for each in first.args],
        kwargs={name: each is None for name, each in first.kwargs.items()},
        returns=first.returns,
    )


def may_start(call: Call) -> bool:
    """Returns whether a stage may begin with a block.

    Only images, with their channels first, change width or stride in a stage.
    """
    if call.keeps_shape:
        return True
    is_image = call.channel_axis == 1 and call.x.ndim == call.y.ndim == 4
    return is_image and call.is_plain and _stride(call) is not None


def _not_a_run(probe: Probe, before: Call, call: Call) -> str | None:
    """Returns why a block cannot be in the stage of the one before; None if it can."""
    names = f"{before.path} and {call.path}"
    if before.parent != call.parent:
        return f"{names} are not in one module"
    if not call.keeps_shape:
        return f"{call.mapping}, another shape"
    if call.x is not before.y:
        sources = (each.path for each in probe.calls if each.y is call.x)
        if source := next(sources, ""):
            return f"{call.path} takes what {source} returns, not {before.path}"
        return f"something runs between {names}"
    for running in sorted(probe.readers[id(before.y)]):
        if before.path not in running and call.path not in running:
            owner = running[-1] if running[1:] else "the network itself"
            return f"{owner} reads what {before.path} returns"
    if not same(before.args, call.args) or not same(before.kwargs, call.kwargs):
        return f"{names} take different arguments besides the features"
    if before.returns != call.returns:
        return f"{names} return different tuples"
    return None


def _stride(call: Call) -> int | None:
    """Returns the stride of a block of images; None for one that enlarges them."""
    before, after = call.x.shape[2:], call.y.shape[2:]
    stride = -(-before[0] // after[0])
    fits = all(-(-b // stride) == a for b, a in zip(before, after, strict=True))
    return stride if fits else None


def host_parts(
    model: nn.Module, runs: Sequence[Run], in_channels: int, num_classes: int
) -> Parts:
    """Returns the parts of a network whose own forward runs the stages."""

    def make(stages: Sequence[Stage]) -> HostNetwork:
        return HostNetwork(model, stages, runs, in_channels=in_channels)

    stages = [stage_parts(model, run) for run in runs]
    return Parts("block", make, stages, in_channels, num_classes)


def stage_parts(model: nn.Module, run: Run) -> StageParts:
    """Returns the parts of the stage that takes the place of a run."""
    try:
        blocks = [model.get_submodule(path) for path in run.paths]
    except AttributeError as error:
        raise ModelError(
            f"the backbone must have the blocks {', '.join(run.paths)}, got a "
            f"{type(model).__name__} without: {error}"
        ) from error
    return StageParts(
        operations=blocks if run.returns is None else [*map(FirstOutput, blocks)],
        wiring=vgg(len(blocks)),
        in_channels=run.in_channels,
        channels=run.channels,
        stride=run.stride,
        projection=kept_shortcut(blocks[0]) if run.channel_axis == 1 else None,
        channel_axis=run.channel_axis,
        run=run,
    )


class FirstOutput(nn.Module):
    """Returns the features of a block that returns a tuple."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the first of what the block does."""
        y: Tensor = self.block(*args, **kwargs)[0]
        return y
