"""A small network of tokens, and what it returns for windows without classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddw_graph import Network, Stage
from ddw_graph.generators import complete
from ddw_graph.nn.cost import Cost, NetworkCost, StageWork
from ddw_graph.nn.outputs import Output
from ddw_graph.training.collection import Collection, CollectionWriter, open_collection
from ddw_graph.training.positions import position_writer

TOKENS = torch.randint(5, (10, 6), generator=torch.Generator().manual_seed(0))
WORDS = ("a", "b", "$", "\x1b[2J", "\n")
DYNAMIC = "dynamic:per=position,router_std=1,bias=0"


def mixer(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(in_channels), nn.Linear(in_channels, out_channels)
    )


class TokenNetwork(Network):
    """Returns logits at each of a window's tokens."""

    def __init__(self, edges: str = DYNAMIC, n: int = 2) -> None:
        torch.manual_seed(0)
        stage = Stage(complete(n), 8, 8, operation=mixer, edges=edges, channel_axis=-1)
        super().__init__(nn.Embedding(7, 8), [stage], nn.Linear(8, 7))
        self.eval()

    def forward(
        self,
        x: Tensor,
        *,
        adjacency: Sequence[Tensor] | None = None,
        return_adjacency: bool = False,
    ) -> Any:
        y, matrix = self.stages[0](self.stem(x.long()), return_adjacency=True)
        logits = self.head(y)
        return (logits, [matrix]) if return_adjacency else logits

    def price(self) -> NetworkCost:
        plan = self.stages[0].plan
        none = (0,) * plan.nodes
        work = StageWork(plan, 0, none, none, (3,) * len(plan.edges))
        ends = Cost("stem", 0, 1), Cost("stage 1", 0, 1), Cost("head", 0, 1)
        return NetworkCost("text", 0, 3, parts=ends, work=(work,))


@torch.no_grad()
def token_outputs(
    network: TokenNetwork, tokens: Tensor = TOKENS, batch: int = 4
) -> list[Output]:
    return [
        Output(part, None, *network(part, return_adjacency=True))
        for part in torch.split(tokens, batch)
    ]


def window_loss(output: Output) -> Tensor:
    """Returns the mean cross-entropy of the next token in each window."""
    logits, following = output.logits[:, :-1].mT, output.images[:, 1:]
    return functional.cross_entropy(logits, following, reduction="none").mean(1)


def text_positions(folder: Path, batch: int = 4, edges: str = DYNAMIC) -> Collection:
    """Returns the collection of 10 windows with the positions of all."""
    model = TokenNetwork(edges)
    with CollectionWriter(folder, model, model.price()) as writer:
        for output in token_outputs(model, batch=batch):
            writer.add(output, window_loss(output))
    with position_writer(folder, model, WORDS) as positions:
        for output in token_outputs(model, batch=batch):
            positions.add(output)
    return open_collection(folder)
