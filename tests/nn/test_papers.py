"""A wiring and a kind of edge weights are a paper: each equals its formulas."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import gelu

from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, dilated, streams
from ddw_graph.models import create_model
from ddw_graph.nn.cost import cost
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import computing_nodes
from tests.nn.test_stage import images

WIDTH = 6
EPS = torch.finfo(torch.float64).eps


def branch() -> nn.Module:
    """Returns a pre-norm MLP without its shortcut."""
    layers = nn.Linear(WIDTH, 8), nn.GELU(), nn.Linear(8, WIDTH)
    return nn.Sequential(nn.LayerNorm(WIDTH), *layers)


class Block(nn.Module):
    """A pre-norm MLP with its shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = branch()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y


def stage_of(dag: Any, edges: Any, make: Callable[[], nn.Module] = branch) -> Stage:
    parts = [make() for _ in computing_nodes(dag)]
    return Stage(
        dag, WIDTH, WIDTH, channel_axis=-1, operation=parts, edges=edges, output="sum"
    ).double()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return images(*shape, seed=seed).requires_grad_()


def rms(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt()


def assert_equals(
    stage: Stage,
    state: dict[str, Tensor],
    direct: Callable[[Tensor, Any], Tensor],
    own: Sequence[Tensor],
) -> None:
    """Compares a stage with a formula: outputs and all gradients.

    Args:
        stage: The stage.
        state: Its edge weights' parameters, made of the formula's own.
        direct: The formula, of the input and the modules.
        own: The formula's parameters.
    """
    x = images(2, 3, WIDTH).requires_grad_()
    leaves = [x, *own, *stage.operations.parameters()]
    state = {f"weights.{name}": value for name, value in state.items()}
    found = []
    for y in (functional_call(stage, state, (x,)), direct(x, stage.operations)):
        grads = torch.autograd.grad(y.square().sum(), leaves)
        found.append((y, *grads))
    for one, other in zip(*found, strict=True):
        scale = max(1, other.detach().abs().max().item())
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12 * scale)


@given(n=st.integers(1, 6), dilation=st.integers(1, 4), period=st.integers(1, 4))
def test_denseformer(n: int, dilation: int, period: int) -> None:
    stage = stage_of(dilated(n, dilation, period), "learned:form=free", Block)
    alphas = {
        i: drawn(len(range(i % dilation, i + 1, dilation)), seed=i)
        for i in range(period, n + 1, period)
    }

    def direct(x: Tensor, blocks: Sequence[nn.Module]) -> Tensor:
        past, y = [x], x
        for i, block in enumerate(blocks, start=1):
            y = block(y)
            past.append(y)
            if i % period == 0:
                group = past[i % dilation :: dilation]
                y = torch.einsum("k,kbtd->btd", alphas[i], torch.stack(group))
        return y

    one = torch.ones((), dtype=torch.float64)
    logit = torch.stack(
        [
            alphas[j - 1][i // dilation] if j - 1 in alphas else one
            for i, j in stage.plan.weighted_edges
        ]
    )
    assert_equals(stage, {"logit": logit}, direct, [*alphas.values()])


@given(n=st.integers(1, 5))
def test_attention_residuals(n: int) -> None:
    stage = stage_of(complete(n), "attention")
    queries = [drawn(WIDTH, seed=j) for j in range(2, n + 2)]

    def direct(x: Tensor, branches: Sequence[nn.Module]) -> Tensor:
        values: list[Tensor] = [x, branches[0](x)]
        for query, layer in zip(queries, [*branches[1:], None], strict=True):
            past = torch.stack(values)
            scores = (rms(past) * query).sum(-1, keepdim=True).exp()
            total = (scores / scores.sum(0) * past).sum(0)
            values.append(total if layer is None else layer(total))
        return values[-1]

    state = {f"queries.{j}": query for j, query in enumerate(queries, start=2)}
    assert_equals(stage, state, direct, queries)


@given(n=st.integers(1, 4))
def test_muddformer_with_one_stream(n: int) -> None:
    stage = stage_of(complete(n), "receiver", Block)
    nodes = range(2, n + 2)
    static = {j: drawn(j, seed=j) for j in nodes}
    first = {j: drawn(j, WIDTH, seed=10 + j) for j in nodes}
    second = {j: drawn(j, j, seed=20 + j) for j in nodes}

    def direct(x: Tensor, blocks: Sequence[nn.Module]) -> Tensor:
        past = [x]
        total = x
        for j, block in enumerate([*blocks, None], start=1):
            if j > 1:
                hidden = gelu(torch.einsum("kd,btd->btk", first[j], rms(past[-1])))
                dynamic = torch.einsum("ik,btk->ibt", second[j], hidden)
                weights = static[j][:, None, None] + dynamic
                total = (weights[..., None] * torch.stack(past)).sum(0)
            past += [] if block is None else [block(total)]
        return total

    state = {f"static.{j}": static[j] for j in nodes}
    state |= {f"first.{j}.weight": first[j] for j in nodes}
    state |= {f"second.{j}.weight": second[j] for j in nodes}
    own = [*static.values(), *first.values(), *second.values()]
    assert_equals(stage, state, direct, own)


Streams = tuple[list[Tensor], list[Tensor], list[Tensor]]
"""H_pre, H_post and H_res of each layer."""


def hyper_connections(h: Streams, x: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """Returns the sum of the streams: H' = H_res H + H_post f(H_pre H)."""
    streams = x.expand(len(h[0][0]), *x.shape)
    for pre, post, res, layer in zip(*h, layers, strict=True):
        y = layer(torch.einsum("k,kbtd->btd", pre, streams))
        streams = torch.einsum("kl,lbtd->kbtd", res, streams)
        streams = streams + torch.einsum("k,btd->kbtd", post, y)
    return streams.sum(0)


def along_edges(h: Streams, stage: Stage) -> Tensor:
    """Returns what each edge weighs: streams that are equal, or summed, are one."""
    weights: dict[tuple[int, int], Tensor] = {}
    layer, last, every = 1, stage.plan.nodes - 1, slice(None)
    before: dict[int, Any] = {0: every}
    for pre, post, res in zip(*h, strict=True):
        after: dict[int, Any] = {layer + 1 + k: k for k in range(len(pre))}
        if layer == stage.plan.computing[-1]:
            after = {last: every}
        for i, column in before.items():
            weights[i, layer] = pre[column].sum()
            weights |= {(i, j): res[row, column].sum() for j, row in after.items()}
        weights |= {(layer, j): post[row].sum() for j, row in after.items()}
        layer, before = max(after) + 1, after
    return torch.stack([weights[edge] for edge in stage.plan.weighted_edges])


@given(n=st.integers(1, 4), width=st.integers(1, 3))
def test_hyper_connections(n: int, width: int) -> None:
    stage = stage_of(streams(n, width), "learned:form=free")
    pre = [drawn(width, seed=k) for k in range(n)]
    post = [drawn(width, seed=10 + k) for k in range(n)]
    res = [drawn(width, width, seed=20 + k) for k in range(n)]
    h = pre, post, res
    assert_equals(
        stage,
        {"logit": along_edges(h, stage)},
        lambda x, layers: hyper_connections(h, x, layers),
        [*pre, *post, *res],
    )


@given(n=st.integers(1, 4), width=st.integers(1, 3))
def test_manifold_constrained_hyper_connections(n: int, width: int) -> None:
    stage = stage_of(streams(n, width), "sinkhorn")
    read = [drawn(width, seed=k) for k in range(1, n)]
    post = drawn((n - 1) * width + 1, seed=20)
    mix = [drawn(width, width, seed=30 + k) for k in range(n)]
    # So near each other that 20 iterations are exact, where the sums are to be 1.
    mix[0] = mix[-1] = images(width, width) / 4

    def direct(x: Tensor, layers: Sequence[nn.Module]) -> Tensor:
        res = torch.stack(mix).exp()
        for _ in range(20):
            res = res / res.sum(1, keepdim=True)
            res = res / res.sum(2, keepdim=True)
        # The streams before layer 1 are equal, and those after layer n are averaged.
        pre = [torch.eye(width)[0].double(), *(each.sigmoid() for each in read)]
        written = 2 * torch.cat([post, post[-1].expand(width - 1)]).sigmoid()
        h = pre, [*written.view(n, width)], [*res]
        return hyper_connections(h, x, layers) / width

    state = {"post": post, **({"pre": torch.stack(read)} if read else {})}
    state |= {f"mix.{k}": mix[k + 1] for k in range(n - 2)}
    assert_equals(stage, state, direct, [*read, post, *mix[1:-1]])


@given(n=st.integers(1, 5), width=st.integers(1, 4))
def test_streams_mixed_doubly_stochastically_start_as_the_residual_network(
    n: int, width: int
) -> None:
    stage, x = stage_of(streams(n, width), "sinkhorn"), images(2, 3, WIDTH)
    y = x
    for layer in stage.operations:
        y = y + layer(y)
    found, adjacency = stage(x, return_adjacency=True)
    torch.testing.assert_close(found, y, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(adjacency[0, -1, :-1].sum(), torch.tensor(2.0).double())
    inner = adjacency[0, width + 3 : 2 * width + 3, 2 : width + 2]
    if n > 2:
        for axis in (0, 1):
            one = torch.ones(width).double()
            torch.testing.assert_close(inner.sum(axis), one, rtol=1e-6, atol=1e-6)


def test_sinkhorn_edges_need_streams() -> None:
    changed, computing = streams(3, 2), streams(3, 2)
    changed.edges[0, 1]["weight"] = 2.0
    del computing.nodes[2]["operation"]
    for dag in (complete(3), changed, computing):
        with pytest.raises(ModelError, match="need the wiring streams"):
            stage_of(dag, "sinkhorn")
    with pytest.raises(ModelError, match="output='mean'"):
        Stage(streams(3, 2), 4, 4, edges="sinkhorn", output="mean")


@pytest.mark.parametrize("edges", ["learned:form=free", "dynamic:per=position"])
def test_a_language_model_on_streams_starts_as_the_transformer(edges: str) -> None:
    sizes: Any = {"depth": 2, "width": 16, "context": 8}
    usual = create_model("gpt_tiny", edges="fixed", **sizes).double()
    model = create_model("gpt_tiny", wiring="streams:width=4", edges=edges, **sizes)
    model.double().load_state_dict(usual.state_dict(), strict=False)
    tokens = torch.arange(8)[None]
    torch.testing.assert_close(model(tokens), usual(tokens), rtol=1e-5, atol=1e-5)
    assert cost(model).layer_macs == cost(usual).layer_macs
