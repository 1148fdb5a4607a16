"""RandWire beside a module for each node, as it is commonly written."""

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ddw_graph.benchmarking.acts import (
    images,
    inference,
    settle,
    training_memory,
    training_step,
)
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.models import create_model, image_size
from ddw_graph.nn.edge_weights import LearnedWeights
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.training.timing import paired_times

OURS, NAIVE = "ddw_graph", "module per node"


class StackedNode(nn.Module):
    """Stacks a node's inputs, sums them with learned weights, and computes.

    Args:
        operation: What the node computes.
        logits: Logits of the weights of its inputs; none for the input alone.
    """

    def __init__(self, operation: nn.Module, logits: Tensor | None) -> None:
        super().__init__()
        self.operation = operation
        self.logits = None if logits is None else nn.Parameter(logits)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Returns what the node emits."""
        if self.logits is None:
            return self.operation(inputs[0])  # type: ignore[no-any-return]
        weights = self.logits.sigmoid()[:, None, None, None, None]
        return self.operation(  # type: ignore[no-any-return]
            (weights * torch.stack(list(inputs))).sum(0)
        )


class StackedStage(nn.Module):
    """Runs a stage of RandWire's node by node, with the stage's own weights.

    Args:
        stage: The stage; learned edges, transition ``sources`` and output ``mean``.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        plan, weights = stage.plan, stage.weights
        assert (plan.transition, plan.output) == ("sources", "mean")
        assert isinstance(weights, LearnedWeights)
        place = {
            (i, j): start.start + slot
            for i, start in enumerate(plan.weighted_places)
            for slot, j in enumerate(plan.weighted(i))
        }
        self.heard = [[i for i, _ in heard] for heard in plan.predecessors]
        self.nodes = nn.ModuleList()
        for node, operation in enumerate(stage.operations, start=1):
            inner = [place[i, node] for i in self.heard[node] if i]
            logits = weights.logit.detach()[inner] if inner else None
            self.nodes.append(StackedNode(copy.deepcopy(operation), logits))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the mean of the sinks."""
        emitted = [x]
        for heard, node in zip(self.heard[1:-1], self.nodes, strict=True):
            emitted.append(node([emitted[i] for i in heard]))
        return torch.stack([emitted[i] for i in self.heard[-1]]).mean(0)


def stacked(network: Network) -> nn.Module:
    """Returns the baseline of a network: the same edges, with the same weights."""
    stages = [StackedStage(stage) for stage in network.stages]
    return nn.Sequential(
        copy.deepcopy(network.stem), *stages, copy.deepcopy(network.head)
    )


def made(name: str, variant: str) -> nn.Module:
    """Returns a network of RandWire's, WS(4, 0.75) and learned, or its baseline."""
    network = create_model(name, wiring="ws:k=4,p=0.75", edges="learned", seed=0)
    return stacked(network) if variant == NAIVE else network


def randwire(
    run: Run, *, name: str = "randwire_small", batch: int = 8, size: int | None = None
) -> list[Measurement]:
    """Returns time and memory of training, and time of inference.

    Args:
        run: How to measure.
        name: A network of RandWire's.
        batch: Images.
        size: Their height and width, pixels; by default what the network is meant for.
    """
    size = size or image_size(name)
    sizes = f"{name}, WS(4, 0.75), batch {batch}, {size} px"
    network = create_model(name, wiring="ws:k=4,p=0.75", edges="learned", seed=0)
    models = {OURS: network.to(run.device), NAIVE: stacked(network).to(run.device)}
    x = images(batch, size, run.device)
    for model in models.values():
        settle(model, partial(model, x))
    check_equal(models[OURS], models[NAIVE], x)
    found = []
    for case, acts in (
        (
            "inference",
            {name: inference(partial(model, x)) for name, model in models.items()},
        ),
        (
            "training step",
            {name: training_step(model, x) for name, model in models.items()},
        ),
    ):
        for model in models.values():
            model.train(case != "inference")
        run.progress(f"{sizes}: {case}")
        times = paired_times(
            acts, rounds=run.rounds, warmup=run.warmup, device=run.device
        )
        found.append(measurement("randwire", f"{sizes}: {case}", times, OURS, to=NAIVE))
    run.progress(f"{sizes}: memory of training")
    memory = {
        v: training_memory(partial(made, name, v), batch, size, run) for v in models
    }
    found.append(
        measurement(
            "randwire",
            f"{sizes}: peak memory of training",
            memory,
            OURS,
            to=NAIVE,
            unit="bytes",
        )
    )
    return found


@torch.no_grad()
def check_equal(model: nn.Module, other: nn.Module, x: Tensor) -> None:
    """Checks that two networks compute the same, in evaluation and in training."""
    for training in (False, True):
        found = [each.train(training)(x) for each in (model, other)]
        scale = found[0].abs().max().item()
        torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3 * scale)
