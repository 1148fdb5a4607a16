"""The command writes a page, and overwrites nothing unasked."""

import json
import shutil
from pathlib import Path

import pytest

from ddw_graph.training.data import load_data
from ddw_graph.training.launch import new_network, train
from ddw_graph.training.recipe import recipe_named
from tests.analysis.explorer.pages import data_of
from tests.cli.command import refused, succeeds


def run(folder: Path, edges: str) -> Path:
    """Trains for one epoch on few images."""
    data = load_data(per_class=4)
    recipe = recipe_named("small", epochs=1, batch_size=40, augment=False)
    network = new_network(data, recipe, seed=0, edges=edges, n=5, channels=4)
    return train(network, data, recipe, seed=0, folder=folder).path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "ddw", "dynamic:bias=0")


def test_the_demo_is_a_page_at_once(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = succeeds("explore", "--demo", "--samples", 20, "--out", out)
    assert "open it in a browser" in result.stdout
    page = data_of(out.read_text())
    assert page["about"] == "fashion_mnist_mini, test"
    assert sorted(page["labels"]) == sorted([*range(10)] * 2)
    again = ("explore", "--demo", "--samples", 10, "--out", out)
    refused(*again, message="--overwrite")
    assert data_of(out.read_text()) == page
    succeeds(*again, "--overwrite")
    assert len(data_of(out.read_text())["labels"]) == 10


def test_a_run_and_two_beside_each_other(trained: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "learned", "learned")
    out = tmp_path / "page.html"
    options = ("--split", "train", "--samples", 10, "--out", out)
    succeeds("explore", trained, other, *options)
    page = data_of(out.read_text())
    assert [network["name"] for network in page["networks"]] == ["ddw", "learned"]
    assert page["about"] == "fashion_mnist_mini, train"
    # The run's own data: four images of each class.
    assert max(page["numbers"]) < 40
    few = succeeds("explore", trained, *options, "--samples", 99, "--overwrite")
    assert "train has 40 images, fewer than 99" in few.stderr


def test_runs_that_share_no_page_are_refused(trained: Path, tmp_path: Path) -> None:
    out = ("--samples", 10, "--out", tmp_path / "page.html")
    fixed = run(tmp_path / "fixed", "fixed")
    refused("explore", fixed, *out, message="are constant")
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    content = json.loads((other / "config.json").read_text())
    content["config"]["data"]["transform"]["mean"] = [0.75]
    (other / "config.json").write_text(json.dumps(content))
    refused("explore", trained, other, *out, message="must transform images alike")
    assert not (tmp_path / "page.html").exists()
