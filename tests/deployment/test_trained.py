"""A trained network is found with its classes and with what its images go through."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph import create_model, save
from ddw_graph.deployment import trained as trained_module
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import CheckpointError, DataError, RunError
from ddw_graph.training.data import load_data
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.images import Batch
from ddw_graph.training.preparation import Preparation, of_files
from ddw_graph.training.subsets import Subset
from tests.deployment.small import closing_network, small_run
from tests.training.photographs import image_folder
from tests.training.small import small_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("trained") / "run")


def changed(run: Path, folder: Path, **data: Any) -> Path:
    """Returns a run as an earlier version would have left it."""
    folder.mkdir()
    content = json.loads((run / "config.json").read_text())
    del content["images"]
    content["config"]["data"] |= data
    (folder / "config.json").write_text(json.dumps(content))
    for name in ("checkpoint.pt", "result.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    return folder


def test_a_run_keeps_what_its_images_go_through(run: Path) -> None:
    found = trained(run)
    assert found.classes == ("a", "b", "c") and not found.network.training
    wanted = Preparation.of(small_data())
    assert found.preparation == wanted and wanted is not None
    assert wanted.mean == pytest.approx((0.3,)) and found.image_size == 8


def test_a_saved_network_goes_with_the_run_that_it_lies_in(
    run: Path, tmp_path: Path
) -> None:
    whole = trained(run)
    inside = trained(run / "model.safetensors")
    assert (inside.classes, inside.preparation) == (whole.classes, whole.preparation)
    elsewhere = tmp_path / "model.safetensors"
    save(whole.network, elsewhere)
    alone = trained(elsewhere)
    assert (alone.classes, alone.preparation) == (None, None)
    assert alone.image_size == 28  # what a network of its name is meant for
    named = trained(elsewhere, run=run)
    assert (named.classes, named.preparation) == (whole.classes, whole.preparation)
    other = run / "other.safetensors"
    save(closing_network(n=2), other)
    assert trained(other).classes is None  # of five classes
    with pytest.raises(RunError, match="no network of the classes and images of"):
        trained(other, run=run)
    with pytest.raises(RunError, match="got .*run, a run itself"):
        trained(run, run=run)
    (tmp_path / "config.json").write_text("nothing of ours")
    assert trained(elsewhere).classes is None


def test_runs_of_earlier_versions_are_understood_where_they_can_be(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = changed(run, tmp_path / "files", name="folder", image_size=64)
    assert trained(files).preparation == of_files(64)
    embedded = changed(run, tmp_path / "embedded", name="fashion_mnist_mini")
    assert trained(embedded).preparation == Preparation.of(load_data())
    apart = changed(run, tmp_path / "apart", name="cifar10")
    with pytest.raises(RunError, match="does not say mean and std of cifar10.*--root"):
        trained(apart)
    asked: list[Any] = []

    def loaded(name: str, *, root: Path) -> ImageData:
        asked.append((name, root))
        return small_data()

    monkeypatch.setattr(trained_module, "load_data", loaded)
    found = trained(apart, root=tmp_path)
    assert found.preparation == Preparation.of(small_data())
    assert asked == [("cifar10", tmp_path)]
    odd = changed(run, tmp_path / "odd", image_size=None)
    with pytest.raises(RunError, match="must say what its images are"):
        trained(odd)


def test_a_damaged_preparation_is_named(run: Path, tmp_path: Path) -> None:
    folder = changed(run, tmp_path / "run")
    content = json.loads((folder / "config.json").read_text())
    for images, error in (({"channels": 1}, DataError), ("none", RunError)):
        content["images"] = images
        (folder / "config.json").write_text(json.dumps(content))
        with pytest.raises(error):
            trained(folder)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "detector.safetensors"
    manifest = json.dumps({"format": "ddw_graph.detector", "version": 1})
    save_file({"x": torch.zeros(1)}, path, metadata={"ddw_graph": manifest})
    with pytest.raises(CheckpointError, match='must be "ddw_graph.network", got'):
        trained(path)
    path.write_bytes(b"GIF89a")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        trained(path)


def test_the_size_is_that_of_the_name() -> None:
    for name, size in (("resnet18", 224), ("randwire_tiny", 28)):
        assert Trained(create_model(name, edges="fixed")).image_size == size
    network = closing_network(n=2)
    network.config = None
    assert Trained(network).image_size is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((2, 8, 8, (0.1,) * 2, (0.1,) * 2), "1 or 3 channels .*, got 2"),
        ((1, 8, 7, (0.1,), (0.1,)), "at most resize, got image_size=8, resize=7"),
        ((1, 0, 7, (0.1,), (0.1,)), "image_size=0"),
        ((3, 8, 8, (0.1,), (0.1,)), "for each of 3 channels"),
        ((1, 8, 8, (0.1,), (0.0,)), "a positive std"),
    ],
)
def test_a_preparation_names_what_it_rejects(values: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Preparation(*values)


class Odd:
    """Images of the user's own kind."""

    labels = torch.zeros(1, dtype=torch.long)

    def __len__(self) -> int:
        return 1

    def batch(self, *_: Any) -> Batch:
        return torch.zeros(1, 1, 8, 8), self.labels


def test_a_preparation_is_that_of_the_set_and_survives_json(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data")
    for data in (
        load_data(),
        load_data(holdout=100),
        load_data("folder", root=root, image_size=56),
    ):
        found = Preparation.of(data)
        assert found is not None and found.image_size == data.image_size
        assert Preparation.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert found == of_files(56) and found.resize == 64

    unknown = ImageData("odd", Odd(), Odd(), ("a", "b"), 1, 8, "0")
    assert Preparation.of(unknown) is None
    two = small_data().train
    assert Preparation.of(ImageData("two", two, two, ("a", "b"), 2, 8, "0")) is None


def test_a_preparation_is_applied_to_other_images(tmp_path: Path) -> None:
    grey = Preparation(1, 8, 9, (0.1,), (0.5,))
    data = small_data()
    before = Preparation.of(data)
    part = replace(data, test=Subset(data.test, torch.tensor([3, 1])))
    found, _ = grey.applied(part).test.batch([0, 1], None)
    own, _ = data.test.batch([3, 1], None)
    assert torch.allclose(found * 0.5 + 0.1, own * 0.2 + 0.3)
    assert Preparation.of(data) == before

    folder = load_data("folder", root=image_folder(tmp_path / "data"), image_size=8)
    applied = grey.applied(folder)
    assert applied.channels == 1 and Preparation.of(applied) == grey
    assert Preparation.of(folder) == of_files(8)
    wide, _ = folder.test.batch([0], None)
    narrow, _ = applied.test.batch([0], None)
    assert (wide.shape[1], narrow.shape[1]) == (3, 1)
    larger = Preparation(3, 16, 16, (0.1,) * 3, (0.5,) * 3)
    kept = Preparation.of(larger.applied(folder))
    assert kept == Preparation(3, 8, of_files(8).resize, (0.1,) * 3, (0.5,) * 3)

    unknown = ImageData("odd", Odd(), Odd(), ("a", "b"), 1, 8, "0")
    assert grey.applied(unknown) == unknown


def test_a_run_on_images_in_memory_has_classes_and_a_size(
    run: Path, tmp_path: Path
) -> None:
    found = trained(changed(run, tmp_path / "own", name="mine"))
    assert found.classes == ("a", "b", "c") and found.preparation is None
    assert found.image_size == 8
