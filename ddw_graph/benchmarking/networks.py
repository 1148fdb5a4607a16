"""A backbone on dynamic wirings, every edge open, beside torchvision's original."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from ddw_graph.benchmarking.acts import (
    Act,
    images,
    inference,
    settle,
    training_memory,
    training_step,
)
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.errors import ModelError
from ddw_graph.models import create_model
from ddw_graph.nn.network import Network
from ddw_graph.training.timing import paired_times

ORIGINAL = "torchvision"


def original(name: str) -> nn.Module:
    """Returns torchvision's network of a name, freshly initialised."""
    return get_model(name)  # type: ignore[no-any-return]


def dynamic(name: str) -> Network:
    """Returns the network on complete DAGs of branches with dynamic edges."""
    return create_model(name, edges="dynamic")


VARIANTS: dict[str, Callable[[str], nn.Module]] = {
    ORIGINAL: original,
    "dynamic": dynamic,
}
"""Makers by name: each is timed and its memory measured, relative to the first."""


def networks(
    run: Run,
    *,
    names: Sequence[str] = ("resnet50", "mobilenet_v2"),
    batch: int = 8,
    size: int = 128,
) -> list[Measurement]:
    """Returns time and memory of training, and time of inference.

    Args:
        run: How to measure.
        names: Networks that torchvision has under the same name.
        batch: Images.
        size: Their height and width, pixels.

    Raises:
        ModelError: If torchvision has no such network, or it cannot be rewired.
    """
    for name in names:
        if name not in list_models():
            raise ModelError(
                f"a benchmark needs a network of torchvision, got {name!r}"
            )
    return [found for name in names for found in _network(run, name, batch, size)]


def _network(run: Run, name: str, batch: int, size: int) -> list[Measurement]:
    sizes = f"{name}, batch {batch}, {size} px"
    x = images(batch, size, run.device)
    makers = {variant: partial(make, name) for variant, make in VARIANTS.items()}
    models = {variant: make().to(run.device) for variant, make in makers.items()}
    found = []

    def put(case: str, figures: dict[str, list[float]], unit: str = "seconds") -> None:
        for variant in VARIANTS:
            if variant != ORIGINAL:
                found.append(
                    measurement(
                        "networks",
                        f"{sizes}: {case}",
                        figures,
                        variant,
                        to=ORIGINAL,
                        unit=unit,
                    )
                )

    def timed(acts: dict[str, Act]) -> dict[str, list[float]]:
        return paired_times(
            acts, rounds=run.rounds, warmup=run.warmup, device=run.device
        )

    run.progress(f"{sizes}: training step")
    put("training step", timed({v: training_step(m, x) for v, m in models.items()}))
    for model in models.values():
        model.zero_grad()
        settle(model, partial(model, x))
        check_dense(model, x)
    run.progress(f"{sizes}: inference")
    put("inference", timed({v: inference(partial(m, x)) for v, m in models.items()}))
    models.clear()
    run.progress(f"{sizes}: memory of training")
    memory = {v: training_memory(make, batch, size, run) for v, make in makers.items()}
    put("peak memory of training", memory, "bytes")
    return found


@torch.no_grad()
def check_dense(model: nn.Module, x: Tensor) -> None:
    """Checks that every edge of a network is open for every sample."""
    if isinstance(model, Network):
        _, matrices = model(x, return_adjacency=True)
        for stage, matrix in zip(model.stages, matrices, strict=True):
            assert (matrix != 0).sum() == len(x) * stage.dag.number_of_edges()
