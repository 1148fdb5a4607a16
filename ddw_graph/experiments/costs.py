"""What the trained networks of an experiment cost: inference and training step."""

import operator
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ddw_graph.nn.measurement import inference_times, paired_times, step_memory
from ddw_graph.training.evaluation import default_batch
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run


def costs(
    runs: Mapping[str, Path],
    data: Any,
    *,
    steps: bool = False,
    device: str = "cpu",
    rounds: int = 7,
) -> dict[str, dict[str, Any]]:
    """Returns what the network of each run costs, by the name of the run.

    The networks take turns, on one thread. ``inference_ms`` is milliseconds a sample of
    the test data. With ``steps``, of a forward and a backward pass: ``step_ms`` is the
    median time, milliseconds; ``step_ratio`` the median over rounds of the time over
    that of the first network; ``saved_mb`` what autograd keeps for the backward pass,
    MB, without parameters; on a GPU ``peak_mb`` is the most memory that it adds.

    Args:
        steps: Whether training steps are measured, for batches of the first recipe.
        rounds: Times that each network runs after one that is not counted.

    Raises:
        RunError: If a folder holds no trained run.
    """
    models = {name: Run(run).network(device=device) for name, run in runs.items()}
    first = next(iter(models.values()))
    inputs = data.inputs("test", first)
    size = min(64, default_batch(first), len(inputs))
    samples, _ = next(batches(inputs, size))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = inference_times(models, samples.to(device), rounds=rounds)
        found: dict[str, dict[str, Any]] = {
            name: {"inference_ms": value} for name, value in times.items()
        }
        if steps:
            recipe = Run(next(iter(runs.values()))).config["recipe"]
            size = min(recipe["batch_size"], len(inputs))
            samples, targets = next(batches(inputs, size))
            batch = samples.to(device), targets.to(device)
            acts: dict[str, Callable[[], object]] = {
                name: partial(_step, model.train(), *batch)
                for name, model in models.items()
            }
            seconds = paired_times(acts, rounds=rounds)
            of_first = next(iter(seconds.values()))
            for name, own in seconds.items():
                ratios = map(operator.truediv, own, of_first)
                found[name] |= {
                    "step_ms": 1000 * statistics.median(own),
                    "step_ratio": statistics.median(ratios),
                    **step_memory(acts[name], models[name].parameters()),
                }
    finally:
        torch.set_num_threads(threads)
    return found


def _step(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    loss = cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
    torch.autograd.backward(loss)
    model.zero_grad()
