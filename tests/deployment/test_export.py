"""An exported network computes what the network does, or nothing is kept."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ddw_graph import create_model, list_models, prune
from ddw_graph.benchmarks.acts import settle
from ddw_graph.deployment import export as export_module
from ddw_graph.deployment import onnx, parity
from ddw_graph.deployment.export import METADATA_FILE, Exported, Outputs, export
from ddw_graph.deployment.trained import Trained
from ddw_graph.errors import ExportError, FileError
from ddw_graph.models.randwire import LAYOUTS
from ddw_graph.nn.measurement import paired_times
from ddw_graph.nn.network import Network
from ddw_graph.training.transform import Transform
from tests.deployment.small import closing_network, clothes, noise, one_stage

CLASSES = ("a", "b", "c", "d", "e")
SMALLEST = {"efficientnet_b0": 64, "randwire_tiny": 28}
"""Sizes of images for networks; 32 px for all others."""
TRANSFORM = Transform(1, 28, 32, (0.25,), (0.5,))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return closing_network(n=1)


@pytest.fixture(scope="module")
def files(
    network: Network, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Exported]:
    folder = tmp_path_factory.mktemp("exported")
    source = Trained(network, CLASSES, TRANSFORM)
    return {
        format: export(source, folder / f"net{ending}", adjacency=True)
        for ending, format in export_module.FORMATS.items()
    }


def run(path: Path, x: Tensor) -> list[Tensor]:
    """Runs a file as somebody else would."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        arrays = session.run(None, {"images": x.numpy()})
        return [torch.from_numpy(array) for array in arrays]
    module: Any = torch.export.load(path).module()
    return list(module(x))


def check(path: Path, network: Network, channels: int, size: int) -> None:
    """Checks a file's logits on other images than those it was kept by."""
    wrapped = Outputs(network, adjacency=False)
    others = [noise(batch, channels, size) for batch in parity.BATCHES]
    found = parity.parity(wrapped, lambda x: run(path, x)[:1], others)
    assert found.logits <= max(1e-4, min(found.rounding, 1e-3))


@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_file_computes_logits_and_wirings_of_each_sample(
    network: Network, files: dict[str, Exported], format: str, batch: int
) -> None:
    x = noise(batch)
    with torch.no_grad():
        logits, matrices = network(x, return_adjacency=True)
    found = run(files[format].path, x)
    assert files[format].outputs[0] == "logits"
    for ours, theirs in zip([logits, *matrices], found, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
        assert torch.equal(theirs != 0, ours != 0)
    # Samples close edges of their own: a constant wiring would not pass.
    assert batch == 1 or any(bool((m != m[:1]).any()) for m in matrices)
    assert any((m == 0).sum() > batch * m[0].tril(-1).numel() // 2 for m in matrices)


def test_a_file_holds_all_that_running_it_needs(files: dict[str, Exported]) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(files["onnx"].path)
    held = session.get_modelmeta().custom_metadata_map
    assert session.get_modelmeta().producer_name == "ddw_graph"
    extra = {METADATA_FILE: ""}
    torch.export.load(files["torch"].path, extra_files=extra)
    about = {key: json.loads(value) for key, value in held.items()}
    assert about == json.loads(extra[METADATA_FILE]) == files["onnx"].metadata
    assert tuple(about["classes"]) == CLASSES
    assert Transform.from_dict(about) == TRANSFORM
    assert len(about["wirings"]) == 3 and about["wirings"][0]["nodes"] == 3
    (images,) = session.get_inputs()
    assert images.name == "images" and images.shape[1:] == [1, 28, 28]
    assert isinstance(images.shape[0], str)  # any number of them
    names = [output.name for output in session.get_outputs()]
    assert tuple(names) == files["onnx"].outputs


def test_a_file_names_no_place_of_this_machine(files: dict[str, Exported]) -> None:
    for made in files.values():
        content = made.path.read_bytes()
        assert made.size == len(content)
        assert os.fsencode(Path(__file__).parents[2]) not in content
        assert b"stage.py" not in content


@pytest.mark.full
def test_the_network_stays_unchanged(tmp_path: Path) -> None:
    network = one_stage().double().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    made = export(network, tmp_path / "a.pt2", image_size=8)
    assert network.training and made.parity.logits <= 1e-4
    after = network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    # The file is in float32, whatever the network is in.
    check(made.path, network.float().eval(), 1, 8)


@pytest.mark.full
@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize("name", list_models())
def test_every_network_with_dynamic_edges_is_exported(
    name: str, tmp_path: Path
) -> None:
    size = SMALLEST.get(name, 32)
    # RandWire's with 32 nodes take minutes, and no other code runs.
    n = 8 if name in LAYOUTS else None
    network = create_model(name, edges="dynamic", num_classes=10, n=n)
    # With statistics of no images features fade, and all images look alike.
    settle(network, clothes(64, 3, size))
    made = export(network, tmp_path / "net.onnx", image_size=size, adjacency=True)
    assert made.parity.batches == (1, 5) and made.parity.rounding > 0
    assert made.parity.logits <= max(1e-4, min(2 * made.parity.rounding, 1e-3))
    assert made.parity.adjacency is not None and made.parity.adjacency <= 1e-4
    check(made.path, network, 3, size)


@pytest.mark.full
@pytest.mark.parametrize("ending", [".pt2", ".onnx"])
@pytest.mark.parametrize("edges", ["dynamic:gate=eq5", "fixed", "learned"])
def test_other_edges_are_exported_too(edges: str, ending: str, tmp_path: Path) -> None:
    network = one_stage(edges)
    made = export(network, tmp_path / f"net{ending}", image_size=8)
    check(made.path, network, 1, 8)


def pruned_pair(n: int) -> tuple[Network, Network]:
    network = closing_network(n=n)
    for stage in network.stages:
        with torch.no_grad():
            threshold: Any = stage.weights.threshold
            threshold[1 : 1 + n // 2] = 2.0  # what these nodes hear never opens
    return network, prune(network, [noise(8)])


@pytest.mark.full
def test_a_pruned_network_is_a_smaller_and_faster_file(tmp_path: Path) -> None:
    made, acts, x = {}, {}, noise(8)
    for name, network in zip(("whole", "small"), pruned_pair(8), strict=True):
        made[name] = export(network, tmp_path / f"{name}.onnx")
        opened = onnx.session(made[name].path.read_bytes(), threads=1)
        acts[name] = partial(opened.run, None, {"images": x.numpy()})
    assert made["small"].size < 0.7 * made["whole"].size
    logits = [run(each.path, x)[0] for each in made.values()]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
    times = paired_times(acts, rounds=101, warmup=5)
    ratios = np.array(times["small"]) / np.array(times["whole"])
    assert np.median(ratios) < 0.8


class Wavering(nn.Module):
    """Decides by the data what it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_data_decide_cannot_be_exported(tmp_path: Path) -> None:
    network = closing_network(n=1)
    network.stages[1].skips = True
    with pytest.raises(ExportError, match="its data decide .*got skips=True in st"):
        export(network, tmp_path / "a.onnx")
    network.stages[1].skips = None
    network.head = nn.Sequential(Wavering(), network.head)
    with pytest.raises(ExportError, match="cannot be exported to torch: ."):
        export(network, tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def off(runs: Any) -> Any:
    return lambda x: [y + 1e-3 * y.abs().max() for y in runs(x)]


def interrupted(_: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (off, ExportError, "to 0.0001 of the largest value, got 1.0e-03"),
        (interrupted, KeyboardInterrupt, None),
    ],
)
def test_a_file_that_computes_something_else_or_is_not_done_is_not_kept(
    spoil: Any,
    error: type[BaseException],
    message: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = export_module._running
    monkeypatch.setattr(export_module, "_running", lambda data: spoil(runs(data)))
    with pytest.raises(error, match=message):
        export(one_stage(), tmp_path / "a.pt2", image_size=8)
    assert not list(tmp_path.iterdir())


def test_names_what_it_rejects_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = closing_network(n=2)
    monkeypatch.setattr(export_module, "program_of", lambda *_: pytest.fail("made"))
    there = tmp_path / "there.onnx"
    there.write_text("mine")
    for path, options, words in (
        (tmp_path / "a.tflite", {}, "neither .onnx nor .pt2, got a.tflite"),
        (tmp_path / "a", {"format": "tflite"}, "onnx or torch, got 'tflite'"),
        (tmp_path / "a.onnx", {"image_size": 0}, "at least 1 pixel, got 0"),
    ):
        with pytest.raises(ExportError, match=words):
            export(network, path, **options)
    with pytest.raises(FileError, match="--overwrite"):
        export(network, there)
    with pytest.raises(FileError, match="needs its folder"):
        export(network, tmp_path / "no" / "a.onnx")
    network.config = None
    with pytest.raises(ExportError, match="image-size must be given"):
        export(network, tmp_path / "a.onnx")
    monkeypatch.setattr(onnx, "missing", lambda: ["onnxruntime"])
    with pytest.raises(ExportError, match=r"pip install 'ddw_graph\[onnx\]'"):
        export(network, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == [there]


@pytest.mark.parametrize("name", ["text.pt2", "text.onnx"])
def test_a_language_model_takes_texts_of_any_length(tmp_path: Path, name: str) -> None:
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    shape: Any = {"depth": 1, "width": 8, "heads": 2, "context": 12}
    network: Any = create_model("gpt_tiny", edges="attention", **shape)
    found = export(network, tmp_path / name, adjacency=True)
    assert found.outputs == ("logits", "adjacency_1")
    assert found.metadata["context"] == 12 and found.parity.logits < 1e-5
    with pytest.raises(ExportError, match="image_size is for images"):
        export(network, tmp_path / f"b{name}", image_size=8)
