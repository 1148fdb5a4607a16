"""The command writes a page, overwrites nothing unasked, and says what is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from ddw_graph.training.data import load_data
from ddw_graph.training.launch import new_network, train
from ddw_graph.training.recipe import recipe_named
from tests.analysis.explorer.pages import data_of
from tests.cli.command import call


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
    result = call("explore", "--demo", "--samples", 20, "--out", out)
    assert result.exit_code == 0, result.output
    assert "open it in a browser" in result.stdout
    page = data_of(out.read_text())
    assert page["about"] == "fashion_mnist_mini, test"
    assert sorted(page["labels"]) == sorted([*range(10)] * 2)
    again = call("explore", "--demo", "--samples", 10, "--out", out)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    assert data_of(out.read_text()) == page
    over = call("explore", "--demo", "--samples", 10, "--out", out, "--overwrite")
    assert over.exit_code == 0 and len(data_of(out.read_text())["labels"]) == 10


def test_a_run_and_two_beside_each_other(trained: Path, tmp_path: Path) -> None:
    other = run(tmp_path / "learned", "learned")
    out = tmp_path / "page.html"
    options = ("--split", "train", "--samples", 10, "--out", out)
    result = call("explore", trained, other, *options)
    assert result.exit_code == 0, result.output
    page = data_of(out.read_text())
    assert [network["name"] for network in page["networks"]] == ["ddw", "learned"]
    assert page["about"] == "fashion_mnist_mini, train"
    # The run's own data: four images of each class.
    assert max(page["numbers"]) < 40
    few = call("explore", trained, *options, "--samples", 99, "--overwrite")
    assert few.exit_code == 0 and "train has 40 images, fewer than 99" in few.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one RUN or two, or with --demo none, got 0"),
        (("a", "--demo"), "got 1 and --demo"),
        (("a", "b", "c"), "got 3"),
        (("--demo", "--set", "per_class=3"), "cannot be combined with per_class"),
        (("nowhere",), "must hold config.json, got nowhere"),
    ],
)
def test_says_what_is_wrong_in_a_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = call("explore", *arguments, "--out", tmp_path / "page.html")
    assert result.exit_code == 2 and message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_twice_and_one_of_fixed_edges_are_refused(
    trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    twice = call("explore", trained, trained, "--out", out)
    assert twice.exit_code == 2 and "different ones" in twice.stderr
    fixed = run(tmp_path / "fixed", "fixed")
    result = call("explore", fixed, "--samples", 10, "--out", out)
    assert result.exit_code == 2 and "are constant" in result.stderr
    assert not out.exists()


def test_runs_that_transform_images_differently_are_refused(
    trained: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    content = json.loads((other / "config.json").read_text())
    content["config"]["data"]["transform"]["mean"] = [0.75]
    (other / "config.json").write_text(json.dumps(content))
    out = tmp_path / "page.html"
    result = call("explore", trained, other, "--samples", 10, "--out", out)
    assert result.exit_code == 2 and not out.exists()
    assert "must transform images alike" in result.stderr and "0.75" in result.stderr
    assert len(result.stderr.splitlines()) == 1
