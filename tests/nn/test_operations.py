"""What operations are made of computes what it is said to."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from ddw_graph.nn.operations import NARROW, Subsampled, projection_1x1


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_narrow_strided_projection_is_the_convolution(
    size: int, layout: torch.memory_format
) -> None:
    made = projection_1x1(4, 6, 2)
    assert isinstance(made, nn.Sequential) and isinstance(made[0], Subsampled)
    conv = made[0].double()
    x = torch.randn(8, 4, size, size).double().to(memory_format=layout)
    x.requires_grad_()
    weight = conv.weight
    for found, wanted in zip(
        (y := conv(x), *torch.autograd.grad(y.square().sum(), (x, weight))),
        (
            z := conv2d(x, weight, stride=2),
            *torch.autograd.grad(z.square().sum(), (x, weight)),
        ),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)


def test_others_are_plain_convolutions() -> None:
    for channels, stride in ((NARROW, 2), (4, 1)):
        made = projection_1x1(channels, 6, stride)
        assert isinstance(made, nn.Sequential) and type(made[0]) is nn.Conv2d


def test_many_steps_of_a_narrow_one_end_well() -> None:
    # A heap that was written over ends the process, here or later.
    made = projection_1x1(4, 4, 2)
    for _ in range(300):
        x = torch.randn(8, 4, 8, 8).to(memory_format=torch.channels_last)
        torch.autograd.backward(made(x.requires_grad_()).sum())
