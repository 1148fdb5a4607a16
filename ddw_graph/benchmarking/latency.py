"""Latency of networks for one image and for batches, in the form of Table 3."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddw_graph.benchmarking.acts import inference, settle
from ddw_graph.benchmarking.measurement import Run
from ddw_graph.benchmarking.spread import Spread, ratio, spread
from ddw_graph.deployment.export import Outputs, plain, program_of
from ddw_graph.deployment.onnx import (
    PACKAGES,
    check_installed,
    missing,
    onnx_bytes,
    running,
    session,
)
from ddw_graph.deployment.parity import parity
from ddw_graph.deployment.trained import Trained, trained
from ddw_graph.errors import DataError, RunError
from ddw_graph.models import create_model
from ddw_graph.nn.cost import cost
from ddw_graph.nn.dynamic import DynamicWeights
from ddw_graph.nn.edges import edge_text
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.network import Network
from ddw_graph.training.pictures import ImageFiles, picture_files
from ddw_graph.training.run import Run as TrainedRun
from ddw_graph.training.timing import paired_times
from ddw_graph.training.transform import Inputs

CLOSING = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=2"
"""Edges of which about half are closed before any training."""

PYTORCH, ONNXRUNTIME = "pytorch", "onnxruntime"
ENGINES = (PYTORCH, ONNXRUNTIME)

Act = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """How long a network takes for an image.

    Args:
        model: Name or file of the network.
        edges: Its edges.
        thresholds: ``on`` or ``off``; None where it has none.
        engine: ``pytorch``, which skips on the CPU what is closed, or ``onnxruntime``,
            which computes every node.
        batch: Images at a time.
        size: Their height and width, pixels.
        seconds: What an image took: the time of a batch over its images.
        ratio: The ratios to what the first network took in the same rounds, with the
            same engine and batch.
        open_edges: Share of the edges that were open.
        macs: Mean of the MACs that an image's wiring asks for.
        top1: Test accuracy, percent, of a run that has finished; None of all others.
    """

    model: str
    edges: str
    thresholds: str | None
    engine: str
    batch: int
    size: int
    seconds: Spread
    ratio: Spread
    open_edges: float
    macs: float
    top1: float | None


@dataclass(frozen=True)
class Variant:
    """A network to time."""

    model: str
    thresholds: str | None
    network: Network
    top1: float | None


@dataclass(frozen=True)
class Timed:
    """A network with the images that it is timed on."""

    variant: Variant
    x: Tensor


def latency(
    run: Run,
    *,
    names: Sequence[str] = ("mobilenet_v2",),
    edges: Sequence[str] | None = None,
    wiring: str | None = None,
    engines: Sequence[str] = (),
    batch: int = 8,
    size: int | None = None,
    images: Sequence[str] = (),
) -> list[Latency]:
    """Returns how long networks take for an image, alone and in a batch.

    Networks with thresholds are timed with them and without. Everything that is timed
    takes turns.

    Args:
        run: How to measure.
        names: Networks: names of new ones, saved files, or folders of runs.
        edges: Edges of the new ones; by default fixed, and dynamic that close.
        wiring: Their wiring; by default each network's own.
        engines: ``pytorch`` and ``onnxruntime``; by default both, where the second is
            installed and the device is the CPU.
        batch: Images at a time, beside one alone.
        size: Height and width of images, pixels; by default each network's own.
        images: Files and folders of images; noise by default.

    Raises:
        RunError: If an engine is not known, or computes on the CPU alone; or if edges
            or a wiring are given, and no new network.
        ExportError: If an engine is not installed.
        ModelError: If a network cannot be made.
        DataError: If images are given to a network whose run is not known, or there are
            too few.

    Source:
        DDW, Table 3.
    """
    chosen = _engines(run, engines)
    if (edges or wiring) and all(Path(name).exists() for name in names):
        raise RunError(
            f"--edges and --wiring are for new networks, got {', '.join(names)}"
        )
    timed: list[Timed] = []
    for name in names:
        source, variants = _variants(name, edges, wiring)
        own = source.network.image_size
        if isinstance(source.network, LanguageModel):
            raise RunError(f"latency is that of images, got the language model {name}")
        if size and own not in (None, size):
            raise RunError(f"--size must be {own}, the size of {name}, got {size}")
        pixels = own or size or source.image_size
        if pixels is None:
            raise RunError(f"--size is needed for {name}, which does not say its own")
        x = _images(source, batch, pixels, images).to(run.device)
        for variant in variants:
            variant.network.to(run.device).eval()
            if not Path(name).exists():
                settle(variant.network, partial(variant.network, x))
            timed.append(Timed(variant, x))
    return _latencies(run, timed, chosen, sorted({1, batch}))


def _engines(run: Run, asked: Sequence[str]) -> tuple[str, ...]:
    unknown = [engine for engine in asked if engine not in ENGINES]
    if unknown:
        raise RunError(f"engine must be one of {', '.join(ENGINES)}, got {unknown[0]}")
    on_cpu = torch.device(run.device).type == "cpu"
    if ONNXRUNTIME in asked and not on_cpu:
        raise RunError(f"onnxruntime is timed on the CPU alone, got {run.device}")
    if asked:
        if ONNXRUNTIME in asked:
            check_installed()
        return tuple(asked)
    if on_cpu and not missing():
        return ENGINES
    run.progress(f"onnxruntime is left out: it needs {', '.join(PACKAGES)} and the CPU")
    return (PYTORCH,)


def _variants(
    name: str, edges: Sequence[str] | None, wiring: str | None
) -> tuple[Trained, list[Variant]]:
    """Returns a network in each of its variants, and what its images are."""
    path = Path(name)
    if path.exists():
        source = trained(path)
        sources = [source]
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            sources = [
                Trained(create_model(name, edges=each, wiring=wiring))
                for each in edges or ("fixed", CLOSING)
            ]
        source = sources[0]
    top1 = None
    if path.is_dir():
        result = TrainedRun(path).result
        top1 = None if result is None else 100 * result["test_accuracy"]
    variants = []
    for each in sources:
        network = each.network
        if _has_thresholds(network):
            # Without thresholds the accuracy is another, which nobody measured.
            variants.append(Variant(name, "off", without_thresholds(network), None))
            variants.append(Variant(name, "on", network, top1))
        else:
            variants.append(Variant(name, None, network, top1))
    return source, variants


def _has_thresholds(network: Network) -> bool:
    return any(
        isinstance(module, DynamicWeights) and module.threshold is not None
        for module in network.modules()
    )


def without_thresholds(network: Network) -> Network:
    """Returns a copy in which no edge can close, and nothing is compared."""
    free = copy.deepcopy(network)
    for module in free.modules():
        if isinstance(module, DynamicWeights):
            module.settings = replace(module.settings, gate="none")
            module.can_close, module.threshold = False, None
    return free


def _images(source: Trained, batch: int, size: int, paths: Sequence[str]) -> Tensor:
    """Returns the images of a batch: from files, or noise."""
    if not paths:
        generator = torch.Generator().manual_seed(0)
        shape = batch, source.network.in_channels, size, size
        return torch.randn(shape, generator=generator)
    if source.transform is None:
        raise DataError("--images need a run, which has the transform of its images")
    if size != source.transform.image_size:
        raise DataError(
            f"--images are transformed to {source.transform.image_size} px, got {size}"
        )
    files = picture_files([Path(path) for path in paths])
    if len(files) < batch:
        raise DataError(f"--images must be {batch} at least, got {len(files)}")
    inputs = Inputs(ImageFiles(files), source.transform)
    return torch.stack([inputs[place][0] for place in range(batch)])


@torch.no_grad()
def _latencies(
    run: Run, timed: Sequence[Timed], engines: Sequence[str], batches: Sequence[int]
) -> list[Latency]:
    """Returns the latencies of all networks, which take turns."""
    acts: dict[tuple[int, int, str], Act] = {}
    for place, (variant, x) in enumerate((each.variant, each.x) for each in timed):
        opened: Any = None
        if ONNXRUNTIME in engines:
            run.progress(f"{_label(variant)}: export to ONNX")
            opened = _exported(variant.network, x)
        for batch in batches:
            part = x[:batch].contiguous()
            for engine in engines:
                acts[place, batch, engine] = (
                    inference(partial(variant.network, part))
                    if engine == PYTORCH
                    else partial(opened.run, None, {"images": part.numpy()})
                )
    run.progress(f"{len(acts)} latencies in turn")
    times = paired_times(
        {repr(key): act for key, act in acts.items()},
        rounds=run.rounds,
        warmup=run.warmup,
        device=run.device,
    )
    found = []
    for place, batch, engine in acts:
        seconds = times[repr((place, batch, engine))]
        base = times[repr((0, batch, engine))]
        variant, x = timed[place].variant, timed[place].x
        found.append(
            Latency(
                variant.model,
                edge_text(variant.network.stages[0].edges),
                variant.thresholds,
                engine,
                batch,
                x.shape[-1],
                spread([value / batch for value in seconds]),
                ratio(seconds, base),
                *_asked_for(variant, x[:batch]),
                variant.top1,
            )
        )
    return found


def _asked_for(variant: Variant, x: Tensor) -> tuple[float, float]:
    """Returns the share of edges that are open, and the MACs that an image asks for."""
    price = cost(variant.network, x.shape[-1])
    if variant.thresholds != "on":
        return 1.0, float(price.total_macs)  # a weight of 0 closes nothing there
    _, adjacency = variant.network(x, return_adjacency=True)
    edges = sum(len(stage.plan.edges) for stage in variant.network.stages)
    count = sum(int((matrix != 0).sum()) for matrix in adjacency)
    return count / (edges * len(x)), price.expected_macs(adjacency).mean().item()


def _exported(network: Network, x: Tensor) -> Any:
    """Returns a session of the exported network, which computes what it does."""
    wrapped = Outputs(plain(network), adjacency=False).eval()
    content = onnx_bytes(program_of(wrapped, x.expand(2, *x.shape[1:])), ["logits"], {})
    opened = session(content, threads=torch.get_num_threads())
    parity(wrapped, running(opened), [x])  # both engines compute the same
    return opened


def _label(variant: Variant) -> str:
    suffix = f", thresholds {variant.thresholds}" if variant.thresholds else ""
    edges = edge_text(variant.network.stages[0].edges)
    return f"{variant.model}, {edges}{suffix}"
