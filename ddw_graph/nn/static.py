"""Edge weights that are the same for all samples: fixed and learned ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_finite, check_one_of
from ddw_graph.nn.constant import Constant
from ddw_graph.nn.edge_weights import EdgeWeights, scale_of
from ddw_graph.nn.features import Features
from ddw_graph.nn.plan import Ends, StagePlan


class SharedWeights(EdgeWeights):
    """Weights of a kind that overrides ``shared``: they take no multiply-adds."""

    def macs(self, node: int, elements: int) -> int:
        """Returns 0."""
        return 0


class Fixed(SharedWeights):
    """Weighs every edge 1 (Eq. 1), or its attribute ``weight`` in the DAG."""

    kind = "fixed"
    uses_dag_weights = True
    at_start = 1.0

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        start = plan.start
        self.constant = Constant([start[edge] for edge in plan.weighted_edges])

    def shared(self, x: Features) -> Float[Tensor, " edges"]:
        """Returns constants of the features' type."""
        numbers = self.constant.on(
            x.device, torch.promote_types(x.dtype, torch.float32)
        )
        return numbers.to(x.dtype)

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Checks that it weighs exactly the network's own edges 1.

        Raises:
            ModelError: If it does not.
        """
        if any(number != 1 for number in self.constant.numbers):
            raise ModelError(
                "fixed edges start neutral where they weigh 1, got edges with other "
                "numbers as attribute weight"
            )
        other = sorted(set(edges) ^ set(self.plan.edges))
        if other:
            i, j = other[0]
            raise ModelError(
                "fixed edges weigh 1, so they start neutral on the network's own edges "
                f"only, got another wiring, which differs in {i} -> {j}; "
                "learned and dynamic edges can be added at 0"
            )


@dataclass(frozen=True)
class Learned:
    """Every edge has a parameter, the same for all samples.

    Args:
        bias: The parameters at the start; of ``sigmoid`` only.
        form: ``sigmoid``: the weight is the sigmoid of the parameter, RandWire's static
            wiring and alpha of the paper's Table 6. ``free``: the parameter itself,
            which starts at 1, and at 0 on the edges that a rewired network did not
            have. ``softmax``: a softmax over a node's inputs.

    Source:
        ``sigmoid``: Xie et al. 2019, arXiv:1904.01569. ``free``: Pagliardini et al.
        2024, arXiv:2402.02622 (on the complete DAG of whole blocks). ``softmax``: Liu
        et al. 2018, arXiv:1806.09055, on the edges of a node.
    """

    kind: ClassVar[str] = "learned"
    bias: float = 0.0
    form: str = "sigmoid"

    def __post_init__(self) -> None:
        """Checks the settings."""
        check_finite(bias=self.bias)
        check_one_of("form", self.form, ("sigmoid", "free", "softmax"))
        if self.bias and self.form != "sigmoid":
            raise ModelError(
                f"bias is for form=sigmoid, got bias={self.bias} with form={self.form}"
            )

    @property
    def starts_neutral(self) -> bool:
        """Whether new networks start with weights 1 on their own edges only."""
        return self.form == "free"

    def __call__(self, plan: StagePlan, channels: Sequence[int]) -> EdgeWeights:
        """Returns the weights of a stage."""
        if self.form == "softmax":
            return SoftmaxWeights(plan, channels)
        return LearnedWeights(plan, channels, self)


class LearnedWeights(SharedWeights):
    """Weighs each edge by a parameter, or by its sigmoid."""

    def __init__(
        self, plan: StagePlan, channels: Sequence[int], settings: Learned
    ) -> None:
        super().__init__(plan, channels)
        self.is_free = settings.form == "free"
        start = 1.0 if self.is_free else float(settings.bias)
        self.logit = nn.Parameter(torch.full((len(plan.weighted_edges),), start))
        self.at_start = 1.0
        if not self.is_free:
            begun = torch.tensor(start, device="cpu")  # also for modules on meta
            self.at_start = begun.double().sigmoid().item()

    def shared(self, x: Features) -> Float[Tensor, " edges"]:
        """Returns the parameters, or their sigmoids."""
        if self.is_free:
            return self.logit
        # Node by node: the last digit of a sigmoid depends on a vector's length.
        fan_outs = [s.stop - s.start for s in self._slices if s.stop > s.start]
        return torch.cat([part.sigmoid() for part in torch.split(self.logit, fan_outs)])

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Sets free parameters; scales sigmoids."""
        if self.is_free:
            self.logit.data.copy_(torch.tensor(scale_of(self.plan, edges)))
        else:
            super().neutral(edges)


class SoftmaxWeights(SharedWeights):
    """Weighs the inputs of each node by the softmax of parameters, 0 at the start.

    A neutral start multiplies by the number of inputs and ``neutral_scale``.
    """

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.logit = nn.Parameter(torch.zeros(len(plan.weighted_edges)))
        inputs = [
            plan.places_of((i, j) for i in plan.weighted_sources(j))
            for j in range(plan.nodes)
        ]
        self.inputs = [Constant(places) for places in inputs if places]
        in_turn = [k for places in inputs for k in places]
        self.order = Constant(sorted(range(len(in_turn)), key=in_turn.__getitem__))
        self.fan_in = Constant([len(inputs[j]) for _, j in plan.weighted_edges])

    def shared(self, x: Features) -> Float[Tensor, " edges"]:
        """Returns the softmax over the inputs of each node."""
        device = self.logit.device
        shares = [self.logit[places.on(device)].softmax(0) for places in self.inputs]
        weights = torch.cat(shares)[self.order.on(device)]
        if self.neutral_scale is None:
            return weights
        return weights * (self.fan_in.on(device) * self.neutral_scale)

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Scales the shares."""
        self.neutral_scale = nn.Parameter(torch.tensor(scale_of(self.plan, edges)))
