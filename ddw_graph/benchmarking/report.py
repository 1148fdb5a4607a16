"""All benchmarks by name, and the report of those that were chosen."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any

import torch

from ddw_graph.benchmarking.aggregation import aggregation
from ddw_graph.benchmarking.growth import growth
from ddw_graph.benchmarking.latency import CLOSING, Latency, latency
from ddw_graph.benchmarking.measurement import Curve, Measurement, Run
from ddw_graph.benchmarking.networks import networks
from ddw_graph.benchmarking.randwire import randwire
from ddw_graph.benchmarking.skipping import skipping
from ddw_graph.deployment.onnx import missing
from ddw_graph.errors import RunError
from ddw_graph.training.memory import keep_memory

BENCHMARKS: dict[str, Callable[..., Sequence[Measurement | Curve | Latency]]] = {
    "networks": networks,
    "aggregation": aggregation,
    "skipping": skipping,
    "randwire": randwire,
    "growth": growth,
    "latency": latency,
}

QUICK: dict[str, dict[str, Any]] = {
    "networks": {"names": ("resnet18",), "batch": 4, "size": 64},
    "aggregation": {"inputs": 3, "shape": (2, 4, 8, 8)},
    "skipping": {
        "stages": (("resnet18", 2, 32), ("randwire_tiny", 1, 16)),
        "batch": 2,
        "random_batch": 4,
    },
    "randwire": {"name": "randwire_tiny", "batch": 2, "size": 16},
    "growth": {"nodes": (4, 6, 8), "batches": (1, 2), "at_nodes": 4, "size": 8},
    "latency": {
        "names": ("randwire_tiny",),
        "edges": ("fixed", CLOSING),
        "wiring": "complete:n=2",
        "batch": 2,
        "size": 8,
    },
}
"""Sizes at which every benchmark takes seconds and means nothing."""

Chosen = dict[str, dict[str, Any]]


def chosen(
    names: Sequence[str],
    *,
    networks: Sequence[str] = (),
    batch: int | None = None,
    size: int | None = None,
    quick: bool = False,
    **of_latency: Any,
) -> Chosen:
    """Returns the arguments of each benchmark that is to run.

    Args:
        names: Benchmarks; all of them without any.
        networks: Networks of ``networks`` and ``latency``, in place of their own.
        batch: Images of ``networks``, ``randwire`` and ``latency``, likewise.
        size: Their height and width, pixels, likewise.
        quick: Whether sizes are such that nothing takes long.
        of_latency: What else ``latency`` takes.

    Raises:
        RunError: If something is given that no benchmark takes that is to run.

    Example:
        >>> chosen(["randwire", "growth"], batch=4)
        {'randwire': {'batch': 4}, 'growth': {}}
    """
    images = {"batch": batch, "size": size}
    named = {"names": tuple(networks) or None, **images}
    changes: Chosen = {
        "networks": named,
        "randwire": images,
        "latency": {**named, **{k: v or None for k, v in of_latency.items()}},
    }
    order = [name for name in BENCHMARKS if name in names or not names]
    options = {"network": "names"} | {key: key for key in (*images, *of_latency)}
    for option, key in options.items():
        takers = [name for name, given in changes.items() if given.get(key)]
        if takers and not set(takers) & set(order):
            *some, last = takers
            words = f"{', '.join(some)} and {last}" if some else last
            flag = {"engines": "engine"}.get(option, option)
            raise RunError(f"--{flag} is for {words}, got {', '.join(order)}")
    return {
        name: (_quick(name, networks) if quick else {})
        | {key: v for key, v in changes.get(name, {}).items() if v is not None}
        for name in order
    }


def _quick(name: str, networks: Sequence[str]) -> dict[str, Any]:
    """Returns a benchmark's quick arguments; networks of the user's keep their DAGs."""
    own = {"edges", "wiring"} if networks else set()
    return {key: value for key, value in QUICK[name].items() if key not in own}


def report(benchmarks: Mapping[str, Mapping[str, Any]], run: Run) -> dict[str, Any]:
    """Runs benchmarks and returns what they found, ready for JSON.

    Args:
        benchmarks: Arguments of each benchmark by name, from ``chosen``.
        run: How to measure.

    Raises:
        ModelError: If a network cannot be made.
    """
    if run.keeps_memory and not keep_memory():
        run = replace(run, keeps_memory=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(run.threads or threads)
    try:
        torch.manual_seed(0)
        found = [
            each
            for name, arguments in benchmarks.items()
            for each in BENCHMARKS[name](run, **arguments)
        ]
        return {
            "environment": environment(run),
            "arguments": {name: dict(given) for name, given in benchmarks.items()},
            "measurements": [asdict(f) for f in found if isinstance(f, Measurement)],
            "curves": [asdict(f) for f in found if isinstance(f, Curve)],
            "latencies": [asdict(f) for f in found if isinstance(f, Latency)],
        }
    finally:
        torch.set_num_threads(threads)


def environment(run: Run) -> dict[str, Any]:
    """Returns what figures depend on and do not say themselves."""
    is_cuda = torch.device(run.device).type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        **({} if missing() else {"onnxruntime": version("onnxruntime")}),
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(run.device) if is_cuda else run.device,
        "keeps memory": run.keeps_memory,
        "rounds": run.rounds,
        "warmup": run.warmup,
        "memory_rounds": run.memory_rounds,
    }
