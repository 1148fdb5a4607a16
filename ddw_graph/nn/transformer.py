"""Operations of a Transformer: branches and blocks that compute tokens."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_integers

Tokens = Float[Tensor, "batch tokens channels"]

STD = 0.02
"""Standard deviation of new weights, and of new embeddings."""


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other.

    Args:
        heads: Heads, which divide the width.
        causal: Whether a token sees itself and earlier ones only.

    Example:
        >>> import torch
        >>> SelfAttention(32, 4)(torch.zeros(2, 7, 32)).shape
        torch.Size([2, 7, 32])

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    def __init__(self, channels: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        check_integers(heads=heads)
        if channels % heads:
            raise ModelError(
                f"heads must divide the width, got {heads} heads for {channels} "
                "channels"
            )
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tokens) -> Tokens:
        """Returns what each token gathers from those that it sees."""
        batch, tokens, channels = x.shape
        width = channels // self.heads
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        projected: Tensor = self.proj(y.transpose(1, 2).flatten(2))
        return projected

    def extra_repr(self) -> str:
        """Returns the arguments that are not modules."""
        return f"heads={self.heads}, causal={self.causal}"


class Branches(nn.Module):
    """A block: adds each branch to what comes before it."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tokens) -> Tokens:
        """Returns the sum of the input and every branch."""
        for branch in self.branches:
            x = x + branch(x)
        return x


def attention(
    heads: int, *, causal: bool = False, dropout: float = 0.0, eps: float = 1e-5
) -> Callable[[int, int, int], nn.Module]:
    """Returns the operation of layer normalisation and multi-head attention.

    It is the first branch of a pre-norm block, without the shortcut: the edges of the
    wiring are the shortcuts.

    Args:
        dropout: Probability of dropout at the end.

    Example:
        >>> import torch
        >>> from ddw_graph import Stage
        >>> from ddw_graph.generators import complete
        >>> stage = Stage(
        ...     complete(2), 32, 32, operation=[attention(4), mlp()], channel_axis=-1
        ... )
        >>> stage(torch.zeros(2, 7, 32)).shape
        torch.Size([2, 7, 32])

    Source:
        Xiong et al. 2020, arXiv:2002.04745 (pre-norm).
    """

    def make(in_channels: int, out_channels: int, stride: int) -> nn.Module:
        _check_same_width(in_channels, out_channels, stride)
        layer = SelfAttention(in_channels, heads, causal=causal)
        return _branch(in_channels, [layer], eps, dropout)

    return make


def mlp(
    ratio: float = 4.0, *, dropout: float = 0.0, eps: float = 1e-5
) -> Callable[[int, int, int], nn.Module]:
    """Returns the operation of layer normalisation and two linear layers.

    It is the second branch of a pre-norm block, without the shortcut.

    Args:
        ratio: Width between the layers, in multiples of a token's.
    """

    def make(in_channels: int, out_channels: int, stride: int) -> nn.Module:
        _check_same_width(in_channels, out_channels, stride)
        hidden = round(ratio * in_channels)
        layers = [
            nn.Linear(in_channels, hidden),
            nn.GELU(),
            nn.Linear(hidden, in_channels),
        ]
        return _branch(in_channels, layers, eps, dropout)

    return make


def block(
    heads: int, *, causal: bool = False, dropout: float = 0.0, eps: float = 1e-5
) -> Callable[[int, int, int], nn.Module]:
    """Returns the operation of a whole pre-norm block: attention, then MLP."""
    branches = (
        attention(heads, causal=causal, dropout=dropout, eps=eps),
        mlp(dropout=dropout, eps=eps),
    )

    def make(in_channels: int, out_channels: int, stride: int) -> nn.Module:
        return Branches(
            *(branch(in_channels, out_channels, stride) for branch in branches)
        )

    return make


def _branch(
    channels: int, layers: list[nn.Module], eps: float, dropout: float
) -> nn.Module:
    after = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.LayerNorm(channels, eps=eps), *layers, *after)


def _check_same_width(in_channels: int, out_channels: int, stride: int) -> None:
    if in_channels != out_channels or stride != 1:
        raise ModelError(
            "branches and blocks of a Transformer keep the width and every token, got "
            f"{in_channels} to {out_channels} channels, stride {stride}"
        )
