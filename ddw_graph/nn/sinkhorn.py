"""Edge weights that mix residual streams by doubly stochastic matrices."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.generators.depth import streams
from ddw_graph.nn.features import Features
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.static import SharedWeights

ITERATIONS = 20
"""How often columns and rows are normalized."""

LEAST = 0.02
"""Where an edge starts that weighs 0 in the DAG: at 0 its parameter had no gradient."""


def doubly_stochastic(
    logits: Float[Tensor, "streams streams"],
) -> Float[Tensor, "streams streams"]:
    """Returns the exponentials of a matrix, its columns and rows normalized in turn.

    Rows sum to 1, and columns nearly.

    Example:
        >>> doubly_stochastic(torch.tensor([[0.0, 1.0], [3.0, 0.0]]))
        tensor([[0.1192, 0.8808],
                [0.8808, 0.1192]])

    Source:
        Sinkhorn and Knopp 1967, in the logarithms.
    """
    for _ in range(ITERATIONS):
        logits = logits.log_softmax(0).log_softmax(1)
    return logits.exp()


class Sinkhorn(SharedWeights):
    """Weighs the edges of ``generators.streams`` so that no stream grows over depth.

    A doubly stochastic matrix for each layer mixes the streams. A layer reads each
    stream by a sigmoid, and is added to each by twice a sigmoid. All samples share the
    weights. What stands for several equal or summed streams keeps the weight of the
    DAG: the edges from the input, and those from streams to the output.

    The start is near the DAG's weights and, where layers normalize their input, the
    residual network: streams that are equal stay so under any such matrix.

    Source:
        Xie et al. 2025, mHC, arXiv:2512.24880, without what depends on features.
    """

    kind = "sinkhorn"
    uses_dag_weights = True

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        n = len(plan.computing)
        self.width = max(1, (plan.nodes - 2 - n) // max(1, n - 1))
        dag = streams(n, self.width)
        weights = {(i, j): weight for i, j, weight in dag.edges(data="weight")}
        if plan.start != weights or any(plan.constant):
            raise ModelError(
                "sinkhorn edges need the wiring streams:width=W and output='sum', got "
                f"a DAG with n={n}, {plan.nodes} nodes and output={plan.output!r}"
            )
        eye = torch.eye(self.width)
        read = eye[[layer % self.width for layer in range(1, n)]]
        pre = read.clamp(LEAST, 1 - LEAST).logit()
        self.pre = nn.Parameter(pre) if n > 1 else None
        self.post = nn.Parameter(torch.zeros((n - 1) * self.width + 1))
        mixed = eye.clamp(LEAST).log()
        self.mix = nn.ParameterList(mixed.clone() for _ in range(n - 2))

    def shared(self, x: Features) -> Float[Tensor, " edges"]:
        """Returns the weights of layers' and streams' output edges, layer by layer."""
        width, layers = self.width, len(self.plan.computing)
        weights = [self.post.new_ones(width + 1)]
        for layer in range(layers):
            weights += [2 * self.post[layer * width :][:width].sigmoid()]
            if layer == layers - 1:
                break
            assert self.pre is not None
            read = self.pre[layer].sigmoid()[:, None]
            written = read.new_full((width, 1), 1 / width)
            if layer < len(self.mix):
                written = doubly_stochastic(self.mix[layer]).T
            weights += [torch.cat((read, written), dim=1).flatten()]
        return torch.cat(weights)

    def no_weight_decay(self) -> set[str]:
        """Returns all parameters."""
        return {name for name, _ in self.named_parameters()}
