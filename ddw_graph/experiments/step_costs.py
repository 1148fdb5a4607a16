"""What a training step takes: time, in turns, and memory."""

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ddw_graph.experiments.compare import Comparison, run_folder
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run
from ddw_graph.training.timing import paired_times


def step_costs(
    models: Mapping[str, nn.Module], batch: tuple[Tensor, Tensor], *, rounds: int = 7
) -> dict[str, dict[str, Any]]:
    """Returns time and memory of a forward and a backward pass of each network.

    The networks take turns. ``step_ms`` is the median, milliseconds; ``step_ratio`` the
    median over rounds of the time over that of the first network; ``saved_mb`` what
    autograd keeps for the backward pass, MB, parameters left out; on a GPU ``peak_mb``
    is the peak of allocated memory too.

    Args:
        models: Networks by name, on one device; put into training mode.
        batch: Inputs and targets.
        rounds: Times that each network runs after one that is not counted.
    """
    acts: dict[str, Callable[[], object]] = {
        name: partial(_step, model.train(), batch) for name, model in models.items()
    }
    device = batch[0].device
    times = paired_times(acts, rounds=rounds, device=device)
    first = next(iter(times.values()))
    costs: dict[str, dict[str, Any]] = {}
    for name, seconds in times.items():
        costs[name] = {
            "step_ms": 1000 * statistics.median(seconds),
            "step_ratio": statistics.median(
                own / other for own, other in zip(seconds, first, strict=True)
            ),
            "saved_mb": _saved(models[name], batch) / 1e6,
        }
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            acts[name]()
            costs[name]["peak_mb"] = torch.cuda.max_memory_allocated(device) / 1e6
    return costs


def entry_costs(comparison: Comparison, folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the cost of a step of each entry's trained network, by its label.

    Of the first seed, for a batch of the recipe, on one thread; see ``step_costs``.

    Args:
        comparison: A comparison that has run.
        folder: Its folder.

    Raises:
        RunError: If a run is not trained.
    """
    seed, device = comparison.seeds[0], comparison.device
    models = {
        entry.label: Run(run_folder(folder, entry, seed)).network(device=device)
        for entry in comparison.entries
    }
    inputs = comparison.source.load().inputs("test", next(iter(models.values())))
    size = min(comparison.recipe.batch_size, len(inputs))
    samples, targets = next(batches(inputs, size))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return step_costs(models, (samples.to(device), targets.to(device)))
    finally:
        torch.set_num_threads(threads)


def _step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    inputs, targets = batch
    logits = model(inputs)
    loss = cross_entropy(logits.flatten(0, -2), targets.flatten())
    torch.autograd.backward(loss)
    model.zero_grad()


def _saved(model: nn.Module, batch: tuple[Tensor, Tensor]) -> int:
    """Returns the bytes that autograd saves, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The tensors live until the backward pass, so no storage is counted as another.
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _step(model, batch)
    return sum(found.values())
