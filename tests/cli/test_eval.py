"""How trained networks do on images, as a user asks for it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset

from ddw_graph.training.data import CLOTHES, load_data
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run
from tests.cli.command import SMALL, refused, succeeds


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of runs that were tested on held out images."""
    folder = tmp_path_factory.mktemp("eval")
    for edges in ("dynamic", "fixed"):
        for seed in (0, 1):
            kind = ("--wiring", "complete", "--edges", edges, "--seed", seed)
            out = ("--holdout", 100, "--out", folder / f"{edges}-{seed}")
            succeeds("train", *SMALL, *kind, *out)
    return folder


def of(result: Result) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(result.stdout)
    return found


def seen(inputs: Dataset[Any], run: Path) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Returns logits, labels and adjacency of all images of a data set."""
    ((images, labels),) = batches(inputs, 1000)
    with torch.no_grad():
        logits, adjacency = Run(run).network()(images, return_adjacency=True)
    return logits, labels, adjacency


def test_its_own_images_give_the_result_of_the_run(runs: Path) -> None:
    run = runs / "dynamic-0"
    result = succeeds("eval", run, "--json")
    (row,) = of(result)["runs"]
    known = json.loads((run / "result.json").read_text())
    assert row["accuracy"] == known["test_accuracy"]
    assert row["loss"] == pytest.approx(known["test_loss"])
    share = known["expected_macs"] / known["total_macs"]
    assert row["macs_share"] == pytest.approx(share)
    assert (row["seed"], row["images"], row["bad_images"]) == (0, 100, 0)
    config = json.loads((run / "config.json").read_text())["config"]
    assert (row["digest"], row["split"]) == (config["data"]["digest"], "test")


@pytest.mark.parametrize("split", ["test", "train"])
def test_other_images_of_the_set_on_request(runs: Path, split: str) -> None:
    words = ("--set", "holdout=0", "--split", split, "--json")
    (row,) = of(succeeds("eval", runs / "dynamic-0", *words))["runs"]
    data = load_data()
    images = data.test_inputs() if split == "test" else data.train_inputs()
    logits, labels, _ = seen(images, runs / "dynamic-0")
    assert (row["images"], row["split"]) == (len(labels), split)
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert row["loss"] == pytest.approx(loss, rel=1e-5)
    right = (logits.argmax(1) == labels).float().mean().item()
    assert row["accuracy"] == pytest.approx(right, abs=0.0011)
    among = logits.argsort(1, descending=True)[:, :5] == labels[:, None]
    assert row["top5_accuracy"] == pytest.approx(
        among.any(1).float().mean().item(), abs=0.0011
    )
    assert row["top5_accuracy"] > row["accuracy"]


def test_runs_of_a_kind_are_a_row_and_kinds_are_paired(
    runs: Path, tmp_path: Path
) -> None:
    given = [runs / f"{edges}-{s}" for edges in ("fixed", "dynamic") for s in (0, 1)]
    file = tmp_path / "found.csv"
    result = succeeds("eval", *given, "--out", file)
    lines = result.stdout.splitlines()
    assert len(lines) == 4 and lines[2].startswith("| fixed-0 | 2 | ")
    assert " | – | " in lines[2] and " to " in lines[3]
    table = pd.read_csv(file).set_index(["entry", "seed"])["accuracy"]
    gain = 100 * (table["dynamic-0"] - table["fixed-0"]).mean()
    assert f"| {gain:+.2f} (" in lines[3]
    refused("eval", *given, "--out", file, message="is there already")
    # Where seeds are other ones there is nothing to pair.
    alone = succeeds("eval", runs / "fixed-0", runs / "dynamic-1", "--json")
    assert [row["difference"] for row in of(alone)["summary"]] == [None, None]


def test_images_are_prepared_as_those_of_the_run(runs: Path, tmp_path: Path) -> None:
    data = load_data()
    names = [name.replace("/", "-") for name in CLOTHES]
    for split in ("train", "val"):
        for place in range(60):
            pixels, label = data.test[place]
            path = tmp_path / split / names[label] / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[0].numpy()).save(path)
    # A folder's classes are in the order of names, and one cannot have a slash.
    run = tmp_path / "run"
    shutil.copytree(runs / "dynamic-0", run)
    content = json.loads((run / "config.json").read_text())
    content["config"]["data"]["classes"] = sorted(names)
    (run / "config.json").write_text(json.dumps(content))
    given = ("--data", "folder", "--root", tmp_path, "--json")
    (row,) = of(succeeds("eval", run, *given))["runs"]
    logits, labels, _ = seen(Subset(data.test_inputs(), range(60)), run)
    order = torch.tensor([sorted(names).index(names[label]) for label in labels])
    loss = torch.nn.functional.cross_entropy(logits, order).item()
    assert row["images"] == 60 and row["loss"] == pytest.approx(loss, rel=1e-5)
    larger = Run(run).adapt(load_data("folder", root=tmp_path, image_size=56))
    own = Run(run).transform
    assert own is not None and (own.image_size, own.resize) == (28, 28)
    assert larger.transform == replace(own, image_size=56, resize=64)


def test_runs_of_other_data_are_compared_where_one_set_is_named(
    runs: Path, tmp_path: Path
) -> None:
    run, whole, young = runs / "dynamic-0", tmp_path / "whole", tmp_path / "young"
    succeeds("train", *SMALL, "--out", whole)
    refused("eval", run, whole, message="got holdout None of")
    chosen = succeeds("eval", run, whole, "--set", "holdout=0", "--json")
    assert [row["images"] for row in of(chosen)["runs"]] == [100, 100]
    # One that is not trained is found before the first is evaluated.
    shutil.copytree(runs / "dynamic-1", young)
    (young / "result.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ddw_graph.experiments.evaluations.evaluate",
            lambda *_, **__: pytest.fail("evaluated"),
        )
        refused("eval", run, young, message="must hold result.json with model.safet")
