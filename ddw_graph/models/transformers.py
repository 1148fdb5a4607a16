"""Transformers as stages of DAGs: language models (GPT) and image classifiers (ViT)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, vgg
from ddw_graph.generators.stages import Wiring
from ddw_graph.models.parts import (
    NODES,
    Parts,
    StageParts,
    after_pruning,
    build_network,
)
from ddw_graph.models.rewiring import wired
from ddw_graph.nn.arguments import check_integers, check_one_of, check_share
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_settings, kind_name
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.transformer import STD, Branches, attention, block, mlp
from ddw_graph.wiring import MAX_NODES, computing_nodes

CAUSAL_EDGES = "dynamic:per=position"
"""The edges of language models where none are named."""


class Shape(NamedTuple):
    """The shape of a Transformer.

    Args:
        context: Most tokens of a text.
        vocabulary: Number of different tokens.
        image_size: Height and width of an image, pixels.
        patch: Height and width of the patch that a token is made of, pixels.
        class_token: Whether a token of its own gathers what the classifier reads;
            otherwise it reads the mean of all tokens.
    """

    depth: int
    width: int
    heads: int
    context: int = 0
    vocabulary: int = 0
    image_size: int = 0
    patch: int = 0
    class_token: bool = False


GPT = {
    "gpt_tiny": Shape(depth=8, width=96, heads=4, context=128, vocabulary=256),
    "gpt_small": Shape(depth=12, width=768, heads=12, context=1024, vocabulary=50257),
}
"""Language models: one of ours that reads bytes, and GPT-2's small one."""

VIT = {
    "vit_tiny": Shape(depth=8, width=64, heads=4, image_size=28, patch=4),
    "vit_small_patch16_224": Shape(
        depth=12, width=384, heads=6, image_size=224, patch=16, class_token=True
    ),
}
"""Image classifiers: one of ours for images of 28 to 64 px, and the small one of DeiT,
Touvron et al. 2021, arXiv:2012.12877."""


class TokenEmbedding(nn.Module):
    """Maps tokens to features: an embedding of each token and one of its position.

    Shapes:
        - x: ``(batch, tokens)``
        - output: ``(batch, tokens, width)``
    """

    def __init__(
        self, vocabulary: int, context: int, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.positions, std=STD)

    def forward(self, x: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch _ _"]:
        """Returns the features of each token."""
        embedded = self.tokens(x) + self.positions[: x.shape[1]]
        features: Tensor = self.dropout(embedded)
        return features


class PatchEmbedding(nn.Module):
    """Maps images to features: a token for each patch, with its position.

    Shapes:
        - x: ``(batch, in_channels, image_size, image_size)``
        - output: ``(batch, tokens, width)``; the first is the class's, if there is one
    """

    def __init__(self, shape: Shape, in_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.image_size, width = shape.image_size, shape.width
        self.patches = nn.Conv2d(in_channels, width, shape.patch, shape.patch)
        self.class_token: nn.Parameter | None = None
        if shape.class_token:
            self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        tokens = (shape.image_size // shape.patch) ** 2 + shape.class_token
        self.positions = nn.Parameter(torch.empty(1, tokens, width))
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.positions, std=STD)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens _"]:
        """Returns the features of each patch.

        Raises:
            ModelError: If the images have another size.
        """
        size = self.image_size
        if x.shape[-2:] != (size, size):
            raise ModelError(
                f"images must have {size}x{size} px, the image_size of this network, "
                f"got {x.shape[-2]}x{x.shape[-1]}"
            )
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            first = self.class_token.expand(len(tokens), -1, -1)
            tokens = torch.cat((first, tokens), dim=1)
        features: Tensor = self.dropout(tokens + self.positions)
        return features


class TokenHead(nn.Sequential):
    """Normalises tokens and maps them to logits with the weights that embed them."""

    def __init__(self, embedding: nn.Embedding) -> None:
        vocabulary, width = embedding.weight.shape
        last = nn.Linear(width, vocabulary, bias=False)
        last.weight = embedding.weight
        super().__init__(nn.LayerNorm(width), last)


class ClassHead(nn.Module):
    """Normalises tokens and maps the class's, or the mean of all, to logits."""

    def __init__(self, width: int, num_classes: int, *, class_token: bool) -> None:
        super().__init__()
        self.class_token = class_token
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.linear = nn.Linear(width, num_classes)

    def forward(
        self, x: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the logits."""
        x = self.norm(x)
        logits: Tensor = self.linear(x[:, 0] if self.class_token else x.mean(1))
        return logits


def create_transformer(
    name: str,
    *,
    wiring: Wiring | None = None,
    edges: str | Edges | None = None,
    node: str = "branch",
    depth: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    context: int | None = None,
    vocabulary: int | None = None,
    image_size: int | None = None,
    patch: int | None = None,
    num_classes: int = 1000,
    in_channels: int = 3,
    neutral: bool = True,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    seed: int = 0,
) -> Network:
    """Returns a language model or an image classifier; see ``create_model``.

    Its one stage has the branches or blocks as nodes. Fixed edges on the complete DAG
    of branches, or on the chain of blocks, are the usual pre-norm Transformer.

    Args:
        name: One of ``GPT`` or ``VIT``, whose values are the defaults.
        wiring: n is the number of branches, twice the depth, or of blocks. For fixed
            edges the usual Transformer's by default.
        edges: ``dynamic`` by default. Those of a language model must not see later
            tokens: ``dynamic:per=position`` by default.
        node: What a node is: ``branch``, an attention or an MLP, or ``block``, both.
        context: Most tokens that a language model reads at once.
        vocabulary: Number of different tokens; 256 for bytes.
        image_size: Height and width of an image, pixels; the patch divides it.
        patch: Height and width of the patch that a token is made of, pixels.
        neutral: Whether edges start at 1 where the usual Transformer has them and at 0
            elsewhere, so that the network starts as that; on a wiring without all of
            those edges, whether all start at 1. Otherwise they start as their settings
            say.
        dropout: Probability of dropout behind the embedding and in each branch.

    Source:
        Radford et al. 2019 (GPT-2), with tied embeddings; Dosovitskiy et al. 2021,
        arXiv:2010.11929 (ViT).
    """
    given = {
        **{"depth": depth, "width": width, "heads": heads, "context": context},
        **{"vocabulary": vocabulary, "image_size": image_size, "patch": patch},
    }
    shape = _shape(name, given)
    origin: dict[str, Any] = {"name": name}
    origin |= {key: getattr(shape, key) for key in given if getattr(shape, key)}
    if name in VIT:
        origin |= {"num_classes": num_classes, "in_channels": in_channels}
    origin["dropout"] = dropout
    kind = edge_settings(edges or (CAUSAL_EDGES if name in GPT else "dynamic"))
    return wired(
        transformer_parts(origin, node),
        name,
        edges=kind,
        wiring=wiring,
        # Fixed edges weigh 1 from the start, whatever the wiring.
        neutral=neutral and kind_name(kind) != "fixed",
        is_new=True,
        drop_path=drop_path,
        seed=seed,
    )


def restore_transformer(
    config: Mapping[str, Any], dags: Sequence[nx.DiGraph], edges: Edges
) -> Network:
    """Returns the network of a configuration, its wirings and its edge weights."""
    (dag,) = dags
    blocks = _shape(config["name"], config).depth
    nodes = blocks * 2 if config["node"] == "branch" else blocks
    (left,) = config.get("nodes") or [range(nodes)]
    found = len(computing_nodes(dag))
    if found != len(left):  # before so many are made
        raise ModelError(
            f"the wiring must have n={len(left)} for a depth of {blocks}, got n={found}"
        )
    parts = after_pruning(
        transformer_parts(config, config["node"]), config.get("nodes")
    )
    return build_network(parts, dags, config, edges=edges)


def transformer_parts(origin: Mapping[str, Any], node: str) -> Parts:
    """Returns the parts of a Transformer, with new weights."""
    check_one_of("node", node, NODES)
    name, dropout = origin["name"], origin["dropout"]
    shape, causal = _shape(name, origin), name in GPT
    check_share("dropout", dropout)
    width = shape.width
    settings: dict[str, Any] = {"dropout": dropout, "eps": 1e-5 if causal else 1e-6}
    attends = attention(shape.heads, causal=causal, **settings)
    makers = [attends, mlp(**settings)] * shape.depth
    if node == "block":
        makers = [block(shape.heads, causal=causal, **settings)] * shape.depth
    operations = [make(width, width, 1) for make in makers]
    dag = complete(len(operations)) if node == "branch" else vgg(len(operations))
    stage = StageParts(operations, dag, width, width, channel_axis=-1)
    classes, channels = origin.get("num_classes", 0), origin.get("in_channels", 0)
    if causal:
        sizes = {"vocabulary": shape.vocabulary, "context": shape.context}
        embedding = TokenEmbedding(**sizes, width=width, dropout=dropout)
        stem: nn.Module = embedding
        head: nn.Module = TokenHead(embedding.tokens)
    else:
        check_integers(num_classes=classes, in_channels=channels)
        stem = PatchEmbedding(shape, channels, dropout)
        head = ClassHead(width, classes, class_token=shape.class_token)
    _initialize(stem, operations, head)

    def make(stages: Sequence[Stage]) -> Network:
        if causal:
            return LanguageModel(stem, stages, head, **sizes)
        return Network(stem, stages, head, in_channels=channels)

    return Parts(node, make, [stage], channels, classes, origin)


def _shape(name: str, given: Mapping[str, Any]) -> Shape:
    """Returns the shape of a name, some of its values changed."""
    default = (GPT | VIT)[name]
    keys = default._fields[:-1]
    changes = {key: given[key] for key in keys if given.get(key) is not None}
    check_integers(**changes)
    shape = default._replace(**changes)
    if 2 * shape.depth > MAX_NODES - 2:
        raise ModelError(
            f"depth must be at most {(MAX_NODES - 2) // 2}, got {shape.depth}"
        )
    if shape.patch and shape.image_size % shape.patch:
        raise ModelError(
            f"image_size must be a multiple of patch, got {shape.image_size} for "
            f"patches of {shape.patch} px"
        )
    return shape


def _initialize(
    stem: nn.Module, operations: Sequence[nn.Module], head: nn.Module
) -> None:
    """Draws new weights: normal, and smaller at the end of each branch.

    Source:
        Radford et al. 2019, section 2.3.
    """
    for part in (stem, *operations, head):
        for module in part.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=STD)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    branches = [
        branch
        for operation in operations
        for branch in (
            operation.branches if isinstance(operation, Branches) else (operation,)
        )
    ]
    for branch in branches:
        *_, last = (m for m in branch.modules() if isinstance(m, nn.Linear))
        nn.init.normal_(last.weight, std=STD / math.sqrt(len(branches)))
