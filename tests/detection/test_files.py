"""Detectors on disk, as networks are: see tests/models/test_files.py."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ddw_graph import Network, load, save
from ddw_graph.detection.detector import Detector
from ddw_graph.detection.evaluation import found_in
from ddw_graph.errors import CheckpointError, ModelError
from tests.detection.small import (
    CATEGORIES,
    SIZE,
    small_detector,
    small_network,
    small_settings,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detector.safetensors"


@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_a_loaded_detector_finds_the_same(path: Path, norm: str) -> None:
    changes = {"mean": (0.1,) * 3, "std": (0.2,) * 3, "frozen_layers": 2}
    settings = small_settings(norm=norm, score=0.0, **changes)
    detector = Detector(small_network(), CATEGORIES, settings)
    assert save(detector, path) and not save(detector, path)
    state = torch.get_rng_state()
    again = load(path, kind=Detector)
    assert torch.equal(torch.get_rng_state(), state)
    assert not again.training and again.config == detector.config
    assert again.categories == CATEGORIES
    trains = [
        [p.requires_grad for p in each.parameters()] for each in (again, detector)
    ]
    assert trains[0] == trains[1]
    image = torch.rand(3, SIZE, SIZE)
    ours, wanted = (found_in(each, image) for each in (again, detector))
    assert len(ours.boxes["scores"])
    for key in ours.boxes:
        assert torch.equal(ours.boxes[key], wanted.boxes[key])
    for one, other in zip(ours.adjacency, wanted.adjacency, strict=True):
        assert torch.equal(one, other)


def test_a_detector_of_a_network_without_a_config_cannot_be_saved(path: Path) -> None:
    network = small_network()
    network.config = None
    with pytest.raises(ModelError, match="config can be saved, .* got Detector with"):
        save(Detector(network, CATEGORIES, small_settings()), path)


def test_a_file_of_the_other_kind_is_refused_in_one_line(path: Path) -> None:
    for model, kind in ((small_detector(), Network), (small_network(), Detector)):
        save(model, path, overwrite=True)
        assert type(load(path)) is type(model)
        with pytest.raises(CheckpointError) as caught:
            load(path, kind=kind)
        rule = f"must hold a {kind.__name__}, got a {type(model).__name__}"
        assert str(caught.value) == f"{path}: {rule}"


def test_a_network_is_loaded_without_torchvisions_detectors(path: Path) -> None:
    save(small_network(), path)
    code = (
        "import sys, ddw_graph; ddw_graph.load(sys.argv[1]); "
        "assert 'torchvision.models.detection' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, path], check=True)
