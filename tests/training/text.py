"""A small language model, and the collection of what it returns for tokens."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ddw_graph import Stage
from ddw_graph.generators import complete
from ddw_graph.nn.cost import cost
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.outputs import Output, outputs
from ddw_graph.training.collecting import from_rows, positions_of, sample_rows
from ddw_graph.training.collection import Collection, open_collection

TOKENS = torch.randint(5, (10, 6), generator=torch.Generator().manual_seed(0))
WORDS = ("a", "b", "$", "\x1b[2J", "\n")
DYNAMIC = "dynamic:per=position,router_std=1,bias=0"


def mixer(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    norm = nn.LayerNorm(in_channels)
    return nn.Sequential(norm, nn.Linear(in_channels, out_channels))


def token_network(edges: str = DYNAMIC) -> LanguageModel:
    torch.manual_seed(0)
    stage = Stage(complete(2), 8, 8, operation=mixer, edges=edges, channel_axis=-1)
    stem, head = nn.Embedding(7, 8), nn.Linear(8, 7)
    return LanguageModel(stem, [stage], head, vocabulary=7, context=6)


def token_outputs(
    network: LanguageModel, tokens: Tensor = TOKENS, batch: int = 4
) -> list[Output]:
    """Returns the outputs for windows, of which each token follows the one before."""
    parts = torch.split(tokens, batch)
    return list(outputs(network, [(part, part.roll(-1, 1)) for part in parts]))


def text_collection(folder: Path, batch: int = 4, edges: str = DYNAMIC) -> Collection:
    """Returns the collection of 10 windows, which have a loss and no class."""
    model = token_network(edges)
    price = cost(model)
    rows = [
        sample_rows(each, model, price) for each in token_outputs(model, batch=batch)
    ]
    from_rows(rows, model, price).write(folder, overwrite=True)
    return open_collection(folder)


def text_positions(folder: Path, batch: int = 4, edges: str = DYNAMIC) -> Collection:
    """Returns the collection of 10 windows with the positions of all."""
    text_collection(folder, batch, edges)
    model = token_network(edges)
    found = token_outputs(model, batch=batch)
    pairs = [(output.images, output.adjacency) for output in found]
    positions_of(pairs, [stage.plan for stage in model.stages], WORDS).write(folder)
    return open_collection(folder)
