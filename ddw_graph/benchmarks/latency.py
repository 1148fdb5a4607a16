"""Latency of networks for one image and for a batch, in the form of Table 3."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddw_graph.benchmarks.acts import inference, noise, settle, wiring_figures
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.deployment.export import Outputs, plain, program_of
from ddw_graph.deployment.onnx import check_installed, onnx_bytes, running, session
from ddw_graph.deployment.parity import parity
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import DataError, RunError
from ddw_graph.models import create_model
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.dynamic import DynamicWeights
from ddw_graph.nn.edges import edge_text
from ddw_graph.nn.measurement import Act
from ddw_graph.nn.network import Network
from ddw_graph.training.run import Run

CLOSING = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=2"
"""Edges of which about half are closed before any training."""


class Variant(NamedTuple):
    """A network to time, its images, and its test accuracy in percent if known."""

    network: Network
    x: Tensor
    top1: float | None


def latency(
    clock: Clock,
    *,
    model: Sequence[str] = ("mobilenet_v2",),
    edges: Sequence[str] | None = None,
    batch_size: int = 8,
    image_size: int | None = None,
    onnx: bool = False,
) -> list[Row]:
    """Returns the time of an image, alone and in a batch, with the paper's figures.

    Networks with thresholds are timed with them and without. Ratios are to the first
    network in the same engine.

    Args:
        model: Names of new networks, saved files, or folders of runs.
        edges: Edges of new networks; by default fixed, and dynamic that close.
        batch_size: Images; one image is timed too.
        image_size: Their height and width, pixels; by default each network's own. Then
            networks of runs are timed on their test images, all others on noise.
        onnx: Whether to time each network in onnxruntime too, which computes all nodes.

    Raises:
        RunError: If edges are given, and no new network; if onnxruntime should compute
            on another device than the CPU.
        ExportError: If onnxruntime is not installed.
        ModelError: If a network cannot be made.
        DataError: If a run's test images cannot be read, or are too few.

    Source:
        DDW, Table 3.
    """
    if edges and all(Path(name).exists() for name in model):
        raise RunError(f"--edges is for new networks, got {', '.join(model)}")
    if onnx:
        check_installed()
        if torch.device(clock.device).type != "cpu":
            raise RunError(f"onnxruntime is timed on the CPU only, got {clock.device}")
    found: dict[str, Variant] = {}
    for name in model:
        for source, top1 in _sources(name, edges or ("fixed", CLOSING)):
            x = _images(name, source, batch_size, image_size).to(clock.device)
            network = source.network.to(clock.device).eval()
            label = f"{name}, {edge_text(network.stages[0].edges)}"
            if not Path(name).exists():
                settle(network, x)
            dynamic = [m for m in network.modules() if isinstance(m, DynamicWeights)]
            if all(weights.threshold is None for weights in dynamic):
                found[label] = Variant(network, x, top1)
                continue
            # Without thresholds the accuracy is another, which nobody measured.
            free = without_thresholds(network)
            found[f"{label}, thresholds off"] = Variant(free, x, None)
            found[f"{label}, thresholds on"] = Variant(network, x, top1)
    sessions = {}
    for label, variant in found.items() if onnx else ():
        clock.progress(f"latency: export of {label}")
        sessions[label] = _session(variant.network, variant.x)
    rows = []
    for batch in sorted({1, batch_size}):
        engines: dict[str, dict[str, Act]] = {"pytorch": {}, "onnxruntime": {}}
        figures: dict[str, dict[str, Any]] = {}
        for label, (network, x, top1) in found.items():
            part = x[:batch].contiguous()
            figures[label] = {"px": x.shape[-1], "top1": top1}
            figures[label] |= wiring_figures(network, part)
            engines["pytorch"][label] = inference(network, part)
            if label in sessions:
                run = partial(sessions[label].run, None, {"images": part.numpy()})
                engines["onnxruntime"][label] = run
        for engine, acts in engines.items():
            if not acts:
                continue
            case = f"{engine}, batch {batch}"
            for row in clock.rows("latency", case, acts, figures):
                rows.append(row | {"ms_per_image": row["ms"] / batch})
    return rows + paper_rows()


def paper_rows() -> list[Row]:
    """Returns the rows of Table 3, measured on hardware that the paper does not name.

    Example:
        >>> paper_rows()[-1]["variant"], paper_rows()[-1]["ms_per_image"]
        ('DDW-MBv2-1.0', 0.257)
    """
    paper = paper_figures("table3")
    head = {"subject": "latency", "case": "paper, other hardware", "px": 224}
    return [
        head
        | {"variant": name, "ms_per_image": ms}
        | {"top1": paper[name, "top1"], "ratio": None}
        for (name, column), ms in paper.items()
        if column == "latency"
    ]


def _sources(name: str, edges: Sequence[str]) -> list[tuple[Trained, float | None]]:
    """Returns the networks of a name or path, with their test accuracy if known."""
    path = Path(name)
    if not path.exists():
        torch.manual_seed(0)
        return [(Trained(create_model(name, edges=each)), None) for each in edges]
    source = trained(path)
    result = Run(path).result if path.is_dir() else None
    return [(source, None if result is None else 100 * result["test_accuracy"])]


def without_thresholds(network: Network) -> Network:
    """Returns a copy in which no edge can close, and nothing is compared."""
    free = copy.deepcopy(network)
    for module in free.modules():
        if isinstance(module, DynamicWeights):
            module.settings = replace(module.settings, gate="none")
            module.can_close, module.threshold = False, None
    return free


def _images(name: str, source: Trained, batch: int, size: int | None) -> Tensor:
    """Returns the test images of a run, at its size; of other networks noise."""
    path = Path(name)
    # A saved network with a transform lies in the folder of its run.
    folder = path if path.is_dir() else path.parent
    run = None if source.transform is None else Run(folder)
    if run is None or run.source is None or size:
        return noise(source.network, batch, size, default=source.image_size)
    inputs: Any = run.data().test_inputs()
    if len(inputs) < batch:
        raise DataError(
            f"{run.path} must have {batch} test images at least, got {len(inputs)}; "
            "lower --batch-size"
        )
    return torch.stack([inputs[place][0] for place in range(batch)])


@torch.no_grad()
def _session(network: Network, x: Tensor) -> Any:
    """Returns a session of the exported network, which computes what it does."""
    wrapped = Outputs(plain(network), adjacency=False).eval()
    content = onnx_bytes(program_of(wrapped, x.expand(2, *x.shape[1:])), ["logits"], {})
    opened = session(content, threads=torch.get_num_threads())
    parity(wrapped, running(opened), [x])
    return opened
