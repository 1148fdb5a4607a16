"""Cost of a network: parameters, and multiply-adds (MACs) by two conventions."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from ddw_graph.nn.constant import Constant
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.network import Network
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.stage import Stage

FLOAT = torch.float32
"""Exact for counts up to 2**24 and to 1e-7 of larger ones, on any device."""


@dataclass(frozen=True)
class Cost:
    """Cost of a network or of a part of it, for one image.

    Args:
        part: What it is the cost of.
        parameters: Number of parameters.
        layer_macs: MACs of convolutions and fully connected layers, edge weights left
            out: the paper's convention in Tables 1, 4 and 5.
        aggregation: MACs of the weighted sums: one for each element of each input.
        weighing: MACs of what weighs the edges, as ``EdgeWeights.macs`` reports them:
            of dynamic edges the routers, and the additions of their pooling.
    """

    part: str
    parameters: int
    layer_macs: int
    aggregation: int = 0
    weighing: int = 0

    @property
    def total_macs(self) -> int:
        """MACs of everything that this counts."""
        return self.layer_macs + self.aggregation + self.weighing


@dataclass(frozen=True)
class StageWork:
    """What each piece of a stage takes for one image, MACs.

    Args:
        plan: The plan of the stage.
        terminals: What every sample takes: entrance, projection and exit.
        operations: Each node's operation; 0 for input, output and identity nodes.
        weighing: What each node takes to weigh its edges.
        edges: Each edge's share of the weighted sums, in the plan's order.
    """

    plan: StagePlan
    terminals: int
    operations: tuple[int, ...]
    weighing: tuple[int, ...]
    edges: tuple[int, ...]

    @property
    def total_macs(self) -> int:
        """What all of it takes."""
        return self.terminals + sum(self.nodes) + sum(self.edges)

    @property
    def nodes(self) -> tuple[int, ...]:
        """What each node takes for a sample in which it is alive."""
        pairs = zip(self.operations, self.weighing, strict=True)
        return tuple(map(sum, pairs))


@dataclass(frozen=True)
class NetworkCost(Cost):
    """Cost of a network with its parts: the stem, each stage, the head.

    Where the network's own forward runs the stages, a part ``other`` is before them.
    """

    parts: tuple[Cost, ...] = ()
    work: tuple[StageWork, ...] = ()

    def expected_macs(
        self, adjacency: Sequence[Float[Tensor, "batch _ _ ..."]]
    ) -> Float[Tensor, " batch"]:
        """Returns the MACs of everything that each sample's wiring asks for.

        Closed edges and dead nodes are left out. It is what skipping them takes: no
        time, and independent of how a stage skips.

        The gradient goes straight through, as if what an edge multiplies by were how
        far it is open: an edge is answerable for its own MACs, and a node for its own
        through its open inputs in equal parts, or, where it is dead, through all of
        them. Closing one of two open inputs spares no operation: the plain derivative
        would never show that closing both does.

        Args:
            adjacency: What the network returned, ``(batch, N_k, N_k)`` for each stage.
                Where weights differ by position or channel, an edge counts by the share
                of them in which it is open.
        """
        terminals = self.total_macs - sum(work.total_macs for work in self.work)
        total = adjacency[0].new_full((len(adjacency[0]),), terminals, dtype=FLOAT)
        for work, matrix in zip(self.work, adjacency, strict=True):
            source, target = _constant(work.plan.edges).on(matrix.device).T
            weights = matrix[:, target, source]
            is_open = by_sample((weights != 0).to(FLOAT))
            alive = (matrix != 0).flatten(2).any(2)
            alive[:, 0] = True
            nodes = _constant(work.nodes).on(matrix.device, FLOAT)
            edges = _constant(work.edges).on(matrix.device, FLOAT)
            total = total + work.terminals
            # Not as products of matrices, which autocast would round.
            total = total + (is_open * edges).sum(1) + (alive * nodes).sum(1)
            if weights.requires_grad:
                answerable = is_open + ~alive[:, target]
                inputs = torch.zeros_like(alive, dtype=FLOAT)
                inputs.index_add_(1, target, answerable)
                price = edges + nodes[target] * answerable / inputs[:, target].clamp(1)
                shares = by_sample(_without_value(weights).to(FLOAT))
                total = total + (shares * price).sum(1)
        return total


@lru_cache(maxsize=1024)
def _constant(numbers: Any) -> Constant:
    """Returns numbers that are copied to a device once: to copy waits for a GPU."""
    return Constant(numbers)


def _without_value(weights: Tensor) -> Tensor:
    """Returns exact zeros with the gradient of the weights' sizes."""
    # Those of a rewired network may be negative; abs has no gradient at 0.
    sizes = torch.where(weights < 0, -weights, weights)
    return sizes - sizes.detach()


def cost(
    model: Network,
    image_size: int | tuple[int, int] = 224,
    *,
    inputs: Mapping[str, Any] | None = None,
) -> NetworkCost:
    """Returns what a network costs for one image with every edge open.

    Counted on a copy without data, so that nothing is computed and the model stays
    unchanged. Normalisation and activations are not counted.

    Args:
        image_size: Height and width of the image, pixels; one number for both, or two.
            Of a language model the text is as long as its context, whatever this is.
        inputs: What a network that takes other inputs is called with, by name: one
            sample.

    Raises:
        ModelError: If the network takes other inputs, and ``inputs`` is not given.

    Example:
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", wiring="complete", n=4, channels=8)
        >>> cost(model, image_size=28).parts[1].part
        'stage 1'
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    for stage in shadow.stages:
        # Apart, or what nodes share would count for the first of them.
        apart = [copy.deepcopy(operation) for operation in stage.operations]
        stage.operations = nn.ModuleList(apart)
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def note(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        sizes[module] = args[0][0].numel(), output[0].numel()

    for stage in shadow.stages:
        stage.register_forward_hook(note)
        if stage.entrance is not None:
            stage.entrance.register_forward_hook(note)
    args = () if inputs else (model.example(image_size, device="meta"),)
    kwargs = tree_map_only(Tensor, lambda x: x.to("meta"), dict(inputs or {}))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(*args, **kwargs)
    flops = {
        name: sum(by_operator.values())
        for name, by_operator in counter.get_flop_counts().items()
    }

    def macs(name: str) -> int:
        kind = type(shadow).__name__
        return int(flops.get(f"{kind}.{name}" if name else kind, 0)) // 2

    counted: set[int] = set()

    def parameters(module: nn.Module) -> int:
        own = {id(p): p.numel() for p in module.parameters() if id(p) not in counted}
        counted.update(own)  # a head may share those of the stem
        return sum(own.values())

    names = {module: name for name, module in shadow.named_modules()}
    hosted = isinstance(model, HostNetwork)
    parts = [] if hosted else [Cost("stem", parameters(model.stem), macs("stem"))]
    works = []
    for place, stage in enumerate(shadow.stages):
        entering, leaving = sizes[stage]
        if stage.entrance is not None:
            entering = sizes[stage.entrance][1]
        work = _work(stage, names[stage], macs, entering, leaving)
        works.append(work)
        parts.append(
            Cost(
                f"stage {place + 1}",
                parameters(model.stages[place]),
                work.terminals + sum(work.operations),
                sum(work.edges),
                sum(work.weighing),
            )
        )
    if hosted:  # its own forward runs the stages
        others = macs("") - sum(macs(names[stage]) for stage in shadow.stages)
        parts.insert(0, Cost("other", parameters(model), others))
    else:
        parts.append(Cost("head", parameters(model.head), macs("head")))
    figures = ("parameters", "layer_macs", "aggregation", "weighing")
    total = {name: sum(getattr(part, name) for part in parts) for name in figures}
    return NetworkCost(part="network", parts=tuple(parts), work=tuple(works), **total)


def _work(
    stage: Stage, name: str, macs: Callable[[str], int], entering: int, leaving: int
) -> StageWork:
    """Returns the work of a stage whose input and output have so many elements."""
    plan = stage.plan
    at_input = entering if stage.projection is None else leaving
    terminals = ("entrance", "projection", "exit")
    of_node = {
        node: macs(f"{name}.operations.{place}")
        for place, node in enumerate(plan.computing)
    }
    return StageWork(
        plan,
        sum(macs(f"{name}.{terminal}") for terminal in terminals),
        tuple(of_node.get(node, 0) for node in range(plan.nodes)),
        tuple(
            stage.weights.macs(node, leaving if node else at_input)
            for node in range(plan.nodes)
        ),
        tuple(
            entering if i == 0 and plan.takes_transition(j) else leaving
            for i, j in plan.edges
        ),
    )
