"""RandWire beside a module for each node, as it is commonly written."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ddw_graph.benchmarking.compared import compared
from ddw_graph.benchmarking.measurement import Measurement, Run
from ddw_graph.models import create_model, image_size
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import LearnedWeights

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
    """Returns a network of RandWire's, WS(4, 0.75) and learned, or its baseline.

    Both have the same weights at each call.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Without what draws at random: both are to compute the same.
        network = create_model(
            name,
            wiring="ws:k=4,p=0.75",
            edges="learned",
            seed=0,
            drop_path=0.0,
            dropout=0.0,
        )
        for stage in network.stages:
            assert isinstance(stage.weights, LearnedWeights)
            # Apart from each other, so that an edge cannot stand for another.
            nn.init.normal_(stage.weights.logit)
    return stacked(network) if variant == NAIVE else network


def randwire(
    run: Run, *, name: str = "randwire_small", batch: int = 8, size: int | None = None
) -> list[Measurement]:
    """Returns what training and inference take, relative to the baseline.

    Args:
        run: How to measure.
        name: A network of RandWire's.
        batch: Images.
        size: Their height and width, pixels; by default what the network is meant for.
    """
    return compared(
        run,
        "randwire",
        f"{name}, WS(4, 0.75), learned",
        {variant: partial(made, name, variant) for variant in (NAIVE, OURS)},
        to=NAIVE,
        batch=batch,
        size=size or image_size(name),
        check=check_equal,
    )


@torch.no_grad()
def check_equal(models: Mapping[str, nn.Module], x: Tensor) -> None:
    """Checks that networks compute the same, in training and in evaluation."""
    for training in (True, False):
        outputs = [model.train(training)(x) for model in models.values()]
        scale = outputs[0].abs().max().item()
        for output in outputs[1:]:
            torch.testing.assert_close(output, outputs[0], rtol=1e-3, atol=1e-3 * scale)
