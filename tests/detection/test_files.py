"""Detectors on disk: round trips, and files of something else."""

import json
from pathlib import Path

import pytest
import torch

from ddw_graph import load, save
from ddw_graph.detection.detector import Detector
from ddw_graph.detection.evaluation import found_in
from ddw_graph.detection.files import load_detector, save_detector
from ddw_graph.detection.train import kept_detector
from ddw_graph.errors import CheckpointError, FileError, ModelError, RunError
from ddw_graph.training.train import kept_model
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
def test_what_was_saved_finds_the_same(path: Path, norm: str) -> None:
    detector = small_detector(norm=norm, score=0.0)
    assert save_detector(detector, path)
    state = torch.get_rng_state()
    again = load_detector(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert not again.training and again.config == detector.config
    assert again.categories == CATEGORIES
    image = torch.rand(3, SIZE, SIZE)
    ours, wanted = (found_in(each, image) for each in (again, detector))
    assert len(ours.boxes["scores"])
    for key in ours.boxes:
        assert torch.equal(ours.boxes[key], wanted.boxes[key])
    for one, other in zip(ours.adjacency, wanted.adjacency, strict=True):
        assert torch.equal(one, other)


def test_only_what_may_be_replaced_is(path: Path) -> None:
    detector = small_detector()
    assert save_detector(detector, path)
    assert not save_detector(detector, path)
    with pytest.raises(FileError, match="--overwrite"):
        save_detector(small_detector(), path)
    assert save_detector(small_detector(), path, overwrite=True)


def test_a_network_of_the_callers_own_cannot_be_saved(path: Path) -> None:
    network = small_network()
    network.config = None
    with pytest.raises(ModelError, match="needs a config to be saved"):
        save_detector(Detector(network, CATEGORIES, small_settings()), path)


def test_a_file_of_the_other_kind_is_refused_in_one_line(path: Path) -> None:
    save_detector(small_detector(), path)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: format must be \"ddw_graph.network\", got 'ddw_graph.detector'"
    )
    save(small_network(), path, overwrite=True)
    with pytest.raises(CheckpointError) as caught:
        load_detector(path)
    assert str(caught.value) == (
        f"{path}: format must be \"ddw_graph.detector\", got 'ddw_graph.network'"
    )


def test_a_run_of_the_other_kind_is_refused_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"config": {"detector": {}}}))
    with pytest.raises(RunError, match="must hold the run of a network"):
        kept_model(tmp_path)
    config.write_text(json.dumps({"config": {"model": {}}}))
    with pytest.raises(RunError, match="must hold the run of a detector"):
        kept_detector(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_a_file_cut_short_is_refused(path: Path, share: float) -> None:
    save_detector(small_detector(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"detector\.safetensors: not a whole"):
        load_detector(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(path: Path, value: float) -> None:
    detector = small_detector()
    name, weight = list(detector.named_parameters())[-1]
    with torch.no_grad():
        weight.view(-1)[-1] = value
    save_detector(detector, path)
    with pytest.raises(CheckpointError, match=f"must be finite, those of {name} are n"):
        load_detector(path)


def test_a_flipped_bit_is_found(path: Path) -> None:
    save_detector(small_detector(), path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_detector(path)
