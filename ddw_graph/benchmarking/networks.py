"""A backbone on dynamic wirings, every edge open, beside torchvision's original."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import get_model, list_models

from ddw_graph.benchmarking.compared import compared
from ddw_graph.benchmarking.measurement import Measurement, Run
from ddw_graph.errors import ModelError, RunError
from ddw_graph.models import create_model
from ddw_graph.models.backbones import BACKBONES
from ddw_graph.nn.network import Network

ORIGINAL = "torchvision"


def original(name: str) -> nn.Module:
    """Returns torchvision's network of a name, freshly initialised."""
    return get_model(name)  # type: ignore[no-any-return]


def dynamic(name: str) -> Network:
    """Returns the network on complete DAGs of branches with dynamic edges."""
    known = name if name in BACKBONES else f"torchvision/{name}"
    return create_model(known, edges="dynamic")


def recomputed(name: str) -> Network:
    """Returns it with each stage computed again for the backward pass."""
    network = dynamic(name)
    for stage in network.stages:
        stage.recompute = True
    return network


VARIANTS: dict[str, Callable[[str], nn.Module]] = {
    ORIGINAL: original,
    "dynamic": dynamic,
    "dynamic, recomputed": recomputed,
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
    return [
        found
        for name in names
        for found in compared(
            run,
            "networks",
            name,
            {variant: partial(make, name) for variant, make in VARIANTS.items()},
            to=ORIGINAL,
            batch=batch,
            size=size,
            check=check_dense,
        )
    ]


@torch.no_grad()
def check_dense(models: Mapping[str, nn.Module], x: Tensor) -> None:
    """Checks that every edge of networks with edges is open for every sample.

    Raises:
        RunError: If one is not.
    """
    for model in models.values():
        if not isinstance(model, Network):
            continue
        _, matrices = model(x, return_adjacency=True)
        for stage, matrix in zip(model.stages, matrices, strict=True):
            found = int((matrix != 0).sum())
            wanted = len(x) * stage.dag.number_of_edges()
            if found != wanted:
                raise RunError(
                    f"every edge must be open for every image, {found} of {wanted} "
                    f"are: normalisation needs more than {len(x)} images of "
                    f"{x.shape[-1]} px"
                )
