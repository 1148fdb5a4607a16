"""Edge weights that are the same for all samples: fixed and learned ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_finite, check_one_of
from ddw_graph.nn.constant import Constant
from ddw_graph.nn.edge_weights import EdgeWeights, Ends, Gated, scale_of
from ddw_graph.nn.features import Features, Weights
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.softmax import LearnedSoftmaxWeights


class Fixed(EdgeWeights):
    """Weighs every edge 1 (Eq. 1), or its attribute ``weight`` in the DAG."""

    kind = "fixed"
    uses_dag_weights = True
    at_start = 1.0

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        edges = () if plan.weights is None else plan.weighted_edges
        start = plan.start
        self.constant = Constant([start[edge] for edge in edges])

    def outgoing(self, node: int, x: Features) -> Weights | Gated:
        """Returns one row of constants."""
        if not self.constant.numbers:
            return super().outgoing(node, x)
        numbers = self.constant.on(
            x.device, torch.promote_types(x.dtype, torch.float32)
        )
        return numbers[None, self._slices[node]].to(x.dtype)

    def macs(self, node: int, elements: int) -> int:
        """Returns 0."""
        return 0

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

    def take_over(self, other: Any, edges: set[Ends], nodes: Sequence[int]) -> None:
        """Copies nothing: a DAG's weights come with the wiring."""


FORMS = ("sigmoid", "free", "softmax")


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
        check_one_of("form", self.form, FORMS)
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
            return LearnedSoftmaxWeights(plan, channels)
        return LearnedWeights(plan, channels, self)


class LearnedWeights(EdgeWeights):
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
            self.at_start = torch.tensor(start).double().sigmoid().item()

    def outgoing(self, node: int, x: Features) -> Weights:
        """Returns one row for all samples."""
        logits = self.logit[None, self._slices[node]]
        return logits if self.is_free else logits.sigmoid()

    def macs(self, node: int, elements: int) -> int:
        """Returns 0."""
        return 0

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Sets free parameters; scales sigmoids."""
        if self.is_free:
            self.logit.data.copy_(scale_of(self.plan, edges))
        else:
            super().neutral(edges)

    def take_over(self, other: Any, edges: set[Ends], nodes: Sequence[int]) -> None:
        """Copies the parameters of the edges that are left."""
        self.logit.data.copy_(other.logit.data[other.plan.places_of(edges)])
