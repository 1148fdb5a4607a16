"""RandWire's two regimes, and a small network of the same kind for small images."""

from dataclasses import dataclass

from torch import nn

from ddw_graph.nn.operations import conv_bn


@dataclass(frozen=True)
class Layout:
    """How a network of RandWire's kind is laid out.

    Widths are multiples of C, rounded to whole channels.

    Args:
        nodes: For each stage the number of nodes that compute, as a share of n.
        widths: For each stage its width, in C.
        strides: For each stage its stride.
        stem: For each convolution of the stem its width in C and its stride.
        head: Width of the 1x1 convolution before the pooling, in channels; 0 for none.
        channels: C, unless it is given.
        n: n, unless it is given.
        drop_path: Probability that a node loses an input in training.
        dropout: Probability of dropout before the classifier.
        image_size: Height and width of the images that it is meant for, pixels.
    """

    nodes: tuple[float, ...]
    widths: tuple[float, ...]
    strides: tuple[int, ...]
    stem: tuple[tuple[float, int], ...]
    head: int
    channels: float
    n: int
    drop_path: float = 0.0
    dropout: float = 0.0
    image_size: int = 224


LAYOUTS = {
    "randwire_small": Layout(
        nodes=(1, 1, 1),
        widths=(1, 2, 4),
        strides=(2, 2, 2),
        stem=((0.5, 2), (1, 2)),
        head=1280,
        channels=78,
        n=32,
    ),
    "randwire_regular": Layout(
        nodes=(0.5, 1, 1, 1),
        widths=(1, 2, 4, 8),
        strides=(2, 2, 2, 2),
        stem=((0.5, 2),),
        head=1280,
        channels=109,
        n=32,
        drop_path=0.1,
        dropout=0.2,
    ),
    "randwire_tiny": Layout(
        nodes=(1, 1, 1),
        widths=(1, 2, 4),
        strides=(2, 2, 2),
        stem=((1, 1),),
        head=0,
        channels=16,
        n=8,
        image_size=28,
    ),
}
"""The small and the regular regime (Xie et al. 2019, arXiv:1904.01569, Table 1), and a
layout of ours for images of 8 to 64 px."""


def width(channels: float, multiple: float) -> int:
    """Returns a multiple of C in whole channels, at least 1."""
    return max(1, round(channels * multiple))


def stem(layout: Layout, channels: float, in_channels: int) -> nn.Sequential:
    """Returns the dense 3x3 convolutions before the first stage.

    The first is convolution and BN; the others begin with a ReLU, as the nodes of the
    stage that follows do.
    """
    layers: list[nn.Module] = []
    entering = in_channels
    for multiple, stride in layout.stem:
        if layers:
            layers.append(nn.ReLU())
        leaving = width(channels, multiple)
        layers += conv_bn(entering, leaving, 3, stride)
        entering = leaving
    return nn.Sequential(*layers)


def classifier(
    in_channels: int, head: int, num_classes: int, dropout: float
) -> nn.Sequential:
    """Returns the 1x1 convolution, the pooling and the linear layer.

    Args:
        in_channels: Channels of the last stage.
        head: Width of the convolution, in channels; 0 for none.
        num_classes: Number of classes.
        dropout: Probability of dropout before the linear layer.
    """
    layers: list[nn.Module] = [nn.ReLU()]
    if head:
        layers += [*conv_bn(in_channels, head, 1), nn.ReLU()]
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(head or in_channels, num_classes),
    )
