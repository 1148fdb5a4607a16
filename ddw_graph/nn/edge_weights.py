"""Edge weights: what multiplies features on their way along each edge."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.features import Features, Weights
from ddw_graph.nn.plan import Ends, StagePlan


class Gated(NamedTuple):
    """Weights of edges of which some are closed."""

    weights: Weights
    is_open: Bool[Tensor, "rows edges ..."] | None


class EdgeWeights(nn.Module):
    """Weighs the edges of a stage. Inherit from it for your own kind.

    A stage asks twice: ``outgoing`` when a node has computed, and ``incoming`` before a
    node sums its inputs. Override one of them, or both. Weights that do not depend on
    features can be returned all at once by ``shared``, in place of ``outgoing``.

    Weights have the shape ``(rows, edges)``, with ``rows`` the batch, or 1 where all
    samples share them. Weights that differ by channel or position have the axes of the
    features after the batch too, each of its size or 1: for images
    ``(rows, edges, channels or 1, height or 1, width or 1)``.

    An edge that carries a stage's input to a node that changes width or stride has one
    weight a sample: the mean over channels and positions of what is returned for it.
    ``incoming`` gets the input there as it came, with the stage's ``in_channels``.

    Args:
        plan: The plan of the stage: ``plan.weighted(node)`` are the targets of a node's
            output edges that carry weights, ``plan.weighted_sources(node)`` the sources
            of its input edges that do, and ``plan.channel_axis`` is the features' axis
            of channels, 1 or -1.
        channels: Width of what each node emits.

    Example:
        >>> class Halves(EdgeWeights):
        ...     def outgoing(self, node, x):
        ...         return x.new_full((1, len(self.plan.weighted(node))), 0.5)
        >>> from ddw_graph import Stage
        >>> from ddw_graph.generators import complete
        >>> stage = Stage(complete(2), 4, 4, edges=Halves)
        >>> stage(torch.zeros(1, 4, 8, 8), return_adjacency=True)[1][0, 3]
        tensor([0.5000, 0.5000, 0.5000, 0.0000])
    """

    can_close: bool = False
    """Whether edges can close: ``outgoing`` then returns ``Gated``. At least one output
    edge of a node stays open, and in training gradients pass as if all were."""
    sees_all_positions: bool = False
    """Whether the weights at a position depend on other positions, as after pooling: a
    language model refuses that, since later tokens would be seen."""
    uses_dag_weights: bool = False
    """Whether it reads ``plan.start``, the attribute ``weight`` of the DAG's edges. If
    not, edges with such an attribute start there as ``neutral`` does."""
    at_start: float | tuple[float, float] | None = None
    """What every edge weighs before training, in training and at inference, if that is
    one number other than 0 for all: what a neutral start needs."""
    lr_scale: float = 1.0
    """Learning rate of its parameters in multiples of the recipe's ``router_lr``."""

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__()
        self.plan, self.channels = plan, tuple(channels)
        self._slices = plan.weighted_places
        self._start: tuple[float, float] | None = None
        self.neutral_scale: nn.Parameter | None
        self.register_parameter("neutral_scale", None)

    def shared(self, x: Features) -> Float[Tensor, " edges"] | None:
        """Returns one weight for each weighted edge, the same for all samples.

        They have the order of ``plan.weighted_edges``. None, as by default where
        ``outgoing`` is overridden, if ``outgoing`` is to be asked.

        Args:
            x: The stage's input, of whose type and device the weights may be.
        """
        if type(self).outgoing is EdgeWeights.outgoing:
            return x.new_ones(len(self.plan.weighted_edges))
        return None

    def outgoing(self, node: int, x: Features) -> Weights | Gated:
        """Returns the weights of a node's weighted output edges; by default 1.

        Args:
            x: What it has computed; for node 0 the stage's input, projected where other
                nodes than the first read it.
        """
        return x.new_ones(1, len(self.plan.weighted(node)))

    def incoming(
        self, node: int, inputs: Sequence[Features], weights: Weights
    ) -> Weights:
        """Returns the weights of a node's weighted input edges.

        Args:
            inputs: What the sources of these edges have computed.
            weights: What ``outgoing`` returned for these edges; by default they stay.
        """
        return weights

    @property
    def weighs_inputs(self) -> bool:
        """Whether ``incoming`` is overridden."""
        return type(self).incoming is not EdgeWeights.incoming

    def macs(self, node: int, elements: int) -> int:
        """Returns the MACs that weighing a node's edges takes for one sample.

        Additions of a pooling count as one each; normalisation does not count.

        Args:
            node: The node; for ``incoming`` the one that sums, the last one included.
            elements: Elements of the features of one sample.

        Raises:
            ModelError: If the kind does not override this: a cost is never guessed.
        """
        raise ModelError(
            f"edge weights must say what they cost, but {type(self).__name__} has no "
            "method macs(node, elements); return 0 if they take no multiply-adds"
        )

    def no_weight_decay(self) -> set[str]:
        """Returns the names of the parameters that take no weight decay.

        By default those with at most one axis: biases, thresholds, weights themselves.
        """
        return {name for name, each in self.named_parameters() if each.ndim < 2}

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Makes weights start at 1 on some edges and at 0 on all others.

        An edge with an attribute ``weight`` in the DAG starts at that in place of 1.

        A sigmoid cannot weigh exactly 1, as the edges of a network do that was trained
        without weights. So an edge weighs ``neutral_scale * weight / at_start`` by
        default, with a parameter that is 1 on the edges that the network had and 0 on
        new ones: the rewired network computes what the network did. Weights may then
        exceed 1, or be negative.

        Args:
            edges: The edges that the network had.

        Raises:
            ModelError: If the kind does not say what edges weigh at the start, or not
                all of the edges are weighted.
        """
        if self.at_start is None or self.weighs_inputs:
            lacks = "method neutral" if self.weighs_inputs else "at_start"
            raise ModelError(
                "a neutral start needs edges that say what they weigh at the start, "
                f"but {type(self).__name__} has no {lacks}; neutral=False takes them "
                "as they start"
            )
        start = self.at_start
        self._start = start if isinstance(start, tuple) else (start, start)
        least = torch.finfo(torch.float32).tiny
        if min(map(abs, self._start)) < least:
            raise ModelError(
                "a neutral start divides by what an edge weighs at the start, which "
                f"must be at least {least:.1e}, got {self._start}; the bias is too low"
            )
        self.neutral_scale = nn.Parameter(torch.tensor(scale_of(self.plan, edges)))

    def row(self, x: Features) -> Float[Tensor, " edges"] | None:
        """Returns what ``shared`` does, scaled where the start is neutral."""
        edges = len(self.plan.weighted_edges)
        weights = self.shared(x) if edges else None
        if weights is None:
            return None
        if weights.shape != (edges,):
            raise ModelError(
                f"shared must return a weight for each of {edges} edges, got "
                f"{tuple(weights.shape)} from {type(self).__name__}"
            )
        return self._scaled(weights, self.neutral_scale)

    def answer(self, node: int, x: Features) -> Gated:
        """Returns what ``outgoing`` does, scaled where the start is neutral."""
        answer = self.outgoing(node, x)
        weights, is_open = answer if isinstance(answer, Gated) else (answer, None)
        scale: Tensor | None = self.neutral_scale
        if scale is not None:
            scale = scale[self._slices[node]]
            if weights.ndim > 2:
                scale = scale.view(1, -1, *[1] * (weights.ndim - 2))
        return Gated(self._scaled(weights, scale), is_open)

    def _scaled(self, weights: Tensor, scale: Tensor | None) -> Tensor:
        """Returns weights scaled where the start is neutral."""
        if scale is None or self._start is None:
            return weights
        return scale * (weights / self._start[0 if self.training else 1])

    def take_over(self, other: Any, edges: set[Ends], nodes: Sequence[int]) -> None:
        """Copies the parameters of another's edges, for a wiring with fewer of them.

        Args:
            edges: The edges that are left, by the other's nodes.
            nodes: For each node of this wiring the other's node.

        Raises:
            ModelError: If the kind does not override this and edges are gone.
        """
        if edges != set(other.plan.edges):
            raise ModelError(
                f"edges of {type(self).__name__} cannot be pruned, as it has no method "
                f"take_over; {len(other.plan.edges) - len(edges)} are to go"
            )
        self.load_state_dict(other.state_dict())


def edge_parameters(model: nn.Module) -> dict[int, tuple[float, bool]]:
    """Returns for each parameter of edge weights its scale, and whether it decays."""
    found: dict[int, tuple[float, bool]] = {}
    for module in model.modules():  # what contains others comes before them
        if isinstance(module, EdgeWeights):
            undecayed = module.no_weight_decay() | {"neutral_scale"}
            for name, parameter in module.named_parameters():
                rule = module.lr_scale, name not in undecayed
                found.setdefault(id(parameter), rule)
    return found


def scale_of(plan: StagePlan, edges: Iterable[Ends]) -> list[float]:
    """Returns ``plan.start`` for some weighted edges and 0 for all others."""
    had = set(edges)
    missing = sorted(had - set(plan.weighted_edges))
    if missing:
        i, j = missing[0]
        raise ModelError(
            "a neutral start needs a wiring that has the network's own edges, each "
            f"with a weight, got none for {i} -> {j}"
        )
    start = plan.start
    return [start[e] if e in had else 0.0 for e in plan.weighted_edges]


Edges = Callable[[StagePlan, Sequence[int]], EdgeWeights]
"""Makes the weights of a stage from its plan and the width of what each node emits."""
