"""Networks with parts of the user's own are trained, kept and resumed like others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ddw_graph import Network, create_model
from ddw_graph.errors import RunError
from ddw_graph.training.launch import train
from ddw_graph.training.recipe import recipe_named
from tests.nn.test_own_edges import ByChannel
from tests.training.runs import Stop, StopAt, same


class Doubling(nn.Module):
    """An operation without a name."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(2 * x)
        return y


def noise(count: int) -> TensorDataset:
    images = torch.randn(count, 1, 8, 8)
    return TensorDataset(images, (images.mean((1, 2, 3)) > 0).long())


def test_own_parts_and_tensors_train_resume_and_are_read(tmp_path: Path) -> None:
    own: dict[str, Any] = {"operation": Doubling, "edges": ByChannel}
    sizes: dict[str, Any] = {"n": 2, "channels": 4, "num_classes": 2, "in_channels": 1}
    network: Network = create_model("randwire_tiny", wiring="complete", **sizes, **own)
    data, recipe = (noise(24), noise(10)), recipe_named("small", epochs=2, batch_size=8)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    whole = train(network, data, recipe, seed=0, folder=tmp_path / "whole")
    assert same(network.state_dict(), before)
    cut = tmp_path / "cut"
    with pytest.raises(Stop):
        stop = StopAt(2, 1)
        train(network, data, recipe, seed=0, folder=cut, listeners=[stop])
    resumed = train(network, data, recipe, seed=0, folder=cut, resume=True)
    one, other = (run.network(**own).state_dict() for run in (whole, resumed))
    assert same(one, other) and not same(one, before)
    assert whole.analysis.samples == 10 and whole.classes == ("0", "1")
    with pytest.raises(RunError, match="on images in memory"):
        whole.data()
