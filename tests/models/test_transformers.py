"""Transformers as stages: the usual ones, and what they take and refuse."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear

from ddw_graph import create_model, load, rewire, save
from ddw_graph.errors import ModelError
from ddw_graph.models import from_config, transformers
from ddw_graph.models.backbones import NoData
from ddw_graph.nn.cost import cost
from ddw_graph.nn.language_model import LanguageModel

ROUTED = "dynamic:bias=0,gate=none,norm=rms"
CAUSAL = (
    *("fixed", "learned", "learned:form=free", "learned:form=softmax"),
    *("dynamic:per=position", f"{ROUTED},per=position", "attention", "receiver"),
)


def gpt(edges: Any = "fixed", **changes: Any) -> Any:
    settings = {"depth": 2, "width": 16, "heads": 4, "context": 12, "vocabulary": 32}
    return create_model("gpt_tiny", edges=edges, **{**settings, **changes})


def vit(edges: Any = "fixed", **changes: Any) -> Any:
    settings = {
        **{"depth": 2, "width": 16, "heads": 4, "image_size": 8, "patch": 4},
        **{"num_classes": 5, "in_channels": 1},
    }
    return create_model("vit_tiny", edges=edges, **{**settings, **changes})


def tokens(batch: int = 2, length: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(32, (batch, length), generator=generator)


def plain_block(x: Tensor, attends: Any, computes: Any, *, causal: bool) -> Tensor:
    """Returns what a pre-norm block makes of tokens, written from its formulas."""
    norm, attention = attends
    batch, length, width = x.shape
    heads, size = attention.heads, width // attention.heads
    y = layer_norm(x, (width,), norm.weight, norm.bias, norm.eps)
    qkv = linear(y, attention.qkv.weight, attention.qkv.bias)
    gathered = torch.zeros_like(x)
    for head in range(heads):
        here = slice(head * size, (head + 1) * size)
        q, k, v = (part[..., here] for part in qkv.chunk(3, -1))
        scores = q @ k.transpose(1, 2) / size**0.5
        if causal:
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        gathered[..., here] = scores.softmax(-1) @ v
    x = x + linear(gathered, attention.proj.weight, attention.proj.bias)
    norm, first, _, second = computes
    y = layer_norm(x, (width,), norm.weight, norm.bias, norm.eps)
    y = gelu(linear(y, first.weight, first.bias))
    return x + linear(y, second.weight, second.bias)


@pytest.mark.parametrize("causal", [True, False])
def test_fixed_edges_are_the_usual_transformer(causal: bool) -> None:
    network = (gpt() if causal else vit()).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    inputs = tokens() if causal else torch.randn(2, 1, 8, 8).double()
    x = network.stem(inputs)
    operations = network.stages[0].operations
    for place in range(0, len(operations), 2):
        x = plain_block(x, *operations[place : place + 2], causal=causal)
    wanted = network.head(x)
    found = network(inputs)
    assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-12)
    grads = [
        torch.autograd.grad(logits.sin().sum(), [*network.parameters()])
        for logits in (found, wanted)
    ]
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


def test_blocks_on_a_chain_are_the_same_network() -> None:
    branches, blocks = gpt(), gpt(node="block")
    # The same weights, in the same order, under other names.
    pairs = zip(blocks.parameters(), branches.parameters(), strict=True)
    for one, other in pairs:
        one.data.copy_(other.data)
    assert torch.allclose(blocks(tokens()), branches(tokens()), atol=1e-5)
    assert [stage.plan.nodes for stage in blocks.stages] == [4]


def test_the_small_ones_have_the_parameters_of_their_models() -> None:
    with NoData():
        gpt_small = create_model("gpt_small", edges="fixed")
        vit_small = create_model("vit_small_patch16_224", edges="fixed")
    assert sum(p.numel() for p in gpt_small.parameters()) == 124_439_808
    assert sum(p.numel() for p in vit_small.parameters()) == 22_050_664


def test_vit_small_is_timms() -> None:
    timm = pytest.importorskip("timm")
    shape = {"img_size": 32, "depth": 2, "num_classes": 5}
    theirs = timm.create_model("vit_small_patch16_224", **shape).double().eval()
    changes: Any = {"image_size": 32, "depth": 2, "num_classes": 5}
    ours = create_model("vit_small_patch16_224", edges="fixed", **changes).double()
    ours.stem.class_token.data.copy_(theirs.cls_token.data)
    ours.stem.positions.data.copy_(theirs.pos_embed.data)
    ours.stem.patches.load_state_dict(theirs.patch_embed.proj.state_dict())
    pairs = [(ours.head.norm, theirs.norm), (ours.head.linear, theirs.head)]
    for place, block in enumerate(theirs.blocks):
        attends, computes = ours.stages[0].operations[2 * place : 2 * place + 2]
        pairs += [(attends[0], block.norm1), (computes[0], block.norm2)]
        pairs += [(attends[1].qkv, block.attn.qkv), (attends[1].proj, block.attn.proj)]
        pairs += [(computes[1], block.mlp.fc1), (computes[3], block.mlp.fc2)]
    for own, other in pairs:
        own.load_state_dict(other.state_dict())
    images = torch.randn(2, 3, 32, 32).double()
    assert torch.allclose(ours.eval()(images), theirs(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("edges", CAUSAL)
@pytest.mark.parametrize("node", ["branch", "block"])
def test_a_new_network_starts_as_the_usual_one(edges: str, node: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        usual = gpt(node=node)
        torch.manual_seed(0)
        network = gpt(edges, node=node)
    assert torch.allclose(network(tokens()), usual(tokens()), atol=1e-5)


@pytest.mark.parametrize("edges", CAUSAL)
def test_no_kind_sees_later_tokens(edges: str) -> None:
    network = gpt(edges, neutral=False).eval()
    for parameter in network.stages[0].weights.parameters():
        nn.init.normal_(parameter)
    whole, start = tokens(), tokens()[:, :7]
    assert torch.allclose(network(whole)[:, :7], network(start), atol=1e-5)


@pytest.mark.parametrize("edges", ["fixed", "attention", f"{ROUTED},per=position"])
def test_saved_loaded_and_rewired(edges: str, tmp_path: Any) -> None:
    for network, inputs in (
        (gpt(edges), tokens()),
        (vit(edges), torch.randn(2, 1, 8, 8)),
    ):
        network.eval()
        save(network, tmp_path / "network.safetensors", overwrite=True)
        again = load(tmp_path / "network.safetensors")
        assert type(again) is type(network)
        assert torch.equal(again(inputs), network(inputs))
    usual = gpt().eval()
    new = rewire(usual, edges="learned")
    assert isinstance(new, LanguageModel)
    assert torch.allclose(new(tokens()), usual(tokens()), atol=1e-5)
    save(usual, tmp_path / "a.safetensors")
    for each in (usual, new, load(tmp_path / "a.safetensors")):
        head, stem = cast(Any, each.head), cast(Any, each.stem)
        assert head[1].weight is stem.tokens.weight


def test_generation() -> None:
    network = gpt()
    prompt = tokens(2, 5)
    greedy = network.generate(prompt, 10, temperature=0)
    assert greedy.shape == (2, 15)
    assert torch.equal(greedy[:, :5], prompt)
    for place in range(5, 15):  # beyond the context too
        logits = network.eval()(greedy[:, max(0, place - 12) : place])[:, -1]
        assert torch.equal(logits.argmax(-1), greedy[:, place])
    draws = [
        network.generate(prompt, 6, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(network.generate(prompt, 4, top_k=1), greedy[:, :9])


def test_cost_counts_every_product() -> None:
    network = gpt()
    price = cost(network)
    length, width, vocabulary = 12, 16, 32
    of_block = length * 12 * width**2 + 2 * length**2 * width
    assert price.layer_macs == 2 * of_block + length * width * vocabulary
    assert price.parameters == sum(p.numel() for p in network.parameters())
    edges = len(network.stages[0].plan.edges)
    assert price.aggregation == edges * length * width


def test_the_depth_of_a_file_is_compared_before_blocks_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = gpt().config | {"depth": 4999}
    monkeypatch.setattr(transformers, "transformer_parts", pytest.fail)
    with pytest.raises(ModelError, match="n=9998 for a depth of 4999, got n=4"):
        from_config(config)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gpt("dynamic"), "per=position"),
        (lambda: gpt(heads=3), "heads must divide the width, got 3"),
        (lambda: gpt(depth=10**9), "depth must be at most 4999"),
        (lambda: vit(patch=3), "image_size must be a multiple of patch, got 8"),
        (lambda: gpt(node="layer"), "node must be one of block, branch"),
        (lambda: gpt(dropout=2.0), r"dropout must be in \[0, 1\]"),
        (lambda: gpt()(torch.zeros(2, 3)), "tokens must be integers"),
        (lambda: gpt()(tokens(2, 13).repeat(1, 2)), "1 to 12"),
        (lambda: vit()(torch.zeros(1, 1, 12, 12)), "images must have 8x8 px"),
        (lambda: vit()(torch.zeros(1, 3, 8, 8)), "images must have 1 channels"),
        (lambda: gpt().generate(tokens(), 0), "tokens must be at least 1"),
        (lambda: gpt().generate(tokens(), 1, temperature=-1.0), "temperature must"),
    ],
)
def test_what_is_out_of_range_is_named(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()
