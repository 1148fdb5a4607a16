"""A trained network is found with its classes and with what its images go through."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ddw_graph import create_model, save
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import DataError, RunError
from ddw_graph.training.data import dataset_data
from tests.deployment.small import closing_network, small_run
from tests.training.small import small_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("trained") / "run")


def test_a_run_keeps_what_its_images_go_through(run: Path) -> None:
    found = trained(run)
    assert found.classes == ("a", "b", "c") and not found.network.training
    assert found.transform == small_data().transform and found.image_size == 8


def test_a_saved_network_goes_with_the_run_that_it_lies_in(
    run: Path, tmp_path: Path
) -> None:
    whole = trained(run)
    inside = trained(run / "model.safetensors")
    assert (inside.classes, inside.transform) == (whole.classes, whole.transform)
    elsewhere = tmp_path / "model.safetensors"
    save(whole.network, elsewhere)
    alone = trained(elsewhere)
    assert (alone.classes, alone.transform) == (None, None)
    assert alone.image_size == 28  # what a network of its name is meant for
    named = trained(elsewhere, run=run)
    assert (named.classes, named.transform) == (whole.classes, whole.transform)
    other = run / "other.safetensors"
    save(closing_network(n=2), other)
    assert trained(other).classes is None  # of five classes
    with pytest.raises(RunError, match="must have the classes and channels of"):
        trained(other, run=run)
    with pytest.raises(RunError, match="got .*run, a run itself"):
        trained(run, run=run)
    (tmp_path / "config.json").write_text("nothing of ours")
    assert trained(elsewhere).classes is None


@pytest.mark.parametrize("value", [{"channels": 1}, "none"])
def test_a_damaged_transform_is_named(value: Any, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    content = json.loads((run / "config.json").read_text())
    content["config"]["data"]["transform"] = value
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="transform must"):
        trained(folder)


def test_a_run_on_tensors_has_classes_and_a_size(tmp_path: Path) -> None:
    inputs = small_data().train_inputs(), small_data().test_inputs()
    run = small_run(tmp_path / "run", dataset_data(*inputs, classes="abc"))
    found = trained(run)
    assert (found.classes, found.transform) == (("a", "b", "c"), None)
    assert found.image_size == 8


def test_the_size_is_that_of_the_name() -> None:
    for name, size in (("resnet18", 224), ("randwire_tiny", 28)):
        assert Trained(create_model(name, edges="fixed")).image_size == size
    network = closing_network(n=2)
    network.config = None
    assert Trained(network).image_size is None
