"""Inference times of finished runs, in turns and on one thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ddw_graph.training.evaluation import default_batch
from ddw_graph.training.loading import batches
from ddw_graph.training.run import Run
from ddw_graph.training.timing import inference_times


def run_times(
    runs: Sequence[Path], data: Any, *, device: str = "cpu", rounds: int = 7
) -> dict[Path, float]:
    """Returns the inference time of each run's network, milliseconds an image.

    All of them are in memory, and take turns on one batch of test images.

    Args:
        runs: Folders of trained runs.
        data: Their images or text.
        device: Where to compute.
        rounds: Times that each network runs after one that is not counted.

    Raises:
        RunError: If a folder holds no trained run.
    """
    models = {str(run): Run(run).network(device=device) for run in runs}
    first = next(iter(models.values()))
    inputs = data.inputs("test", first)
    size = min(64, default_batch(first), len(inputs))
    images, _ = next(batches(inputs, size))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = inference_times(models, images.to(device), rounds=rounds)
    finally:
        torch.set_num_threads(threads)
    return {Path(name): value for name, value in times.items()}
