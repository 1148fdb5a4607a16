"""Networks with parts of the user's own are trained, kept and resumed like others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ddw_graph import Network, create_model
from ddw_graph.errors import DataError, RunError
from ddw_graph.training.launch import train
from ddw_graph.training.recipe import recipe_named
from tests.nn.test_own_edges import ByChannel
from tests.training.runs import Stop, StopAt

RECIPE = recipe_named("small", epochs=2, batch_size=8)


class Doubling(nn.Module):
    """An operation without a name."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, stride, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(2 * x)
        return y


OWN: dict[str, Any] = {"operation": Doubling, "edges": ByChannel}


def own_network() -> Network:
    torch.manual_seed(3)
    network: Network = create_model(
        "randwire_tiny",
        wiring="complete",
        n=2,
        channels=4,
        num_classes=2,
        in_channels=1,
        **OWN,
    )
    return network


def noise(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    return TensorDataset(images, (images.mean((1, 2, 3)) > 0).long())


def test_own_parts_and_tensors_train_resume_and_are_read(tmp_path: Path) -> None:
    data = noise(24, 0), noise(10, 1)
    network = own_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    whole = train(network, data, RECIPE, seed=0, folder=tmp_path / "whole")
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    cut = tmp_path / "cut"
    with pytest.raises(Stop):
        stop = StopAt(2, 1)
        train(network, data, RECIPE, seed=0, folder=cut, listeners=[stop])
    resumed = train(network, data, RECIPE, seed=0, folder=cut, resume=True)
    one, other = (run.network(**OWN).state_dict() for run in (whole, resumed))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert not torch.equal(one["stem.0.weight"], before["stem.0.weight"])
    assert whole.analysis.samples == 10 and whole.classes == ("0", "1")
    with pytest.raises(RunError, match="on images in memory"):
        whole.data()


def test_images_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    three = TensorDataset(torch.zeros(4, 3, 8, 8), torch.arange(4) % 2)
    with pytest.raises(DataError, match="takes 1 channels, .* have 3"):
        train(own_network(), (three, three), RECIPE, seed=0, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
