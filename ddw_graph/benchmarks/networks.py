"""Networks with each kind of edges, rewired ones, and torchvision's originals."""

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models import list_models as torchvision_models

from ddw_graph.benchmarks.acts import (
    inference,
    noise,
    settle,
    training_step,
    wiring_figures,
)
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.models import create_model, list_models, rewire
from ddw_graph.nn.measurement import step_memory
from ddw_graph.nn.network import Network


def networks(
    clock: Clock,
    *,
    model: Sequence[str] = ("resnet50", "mobilenet_v2"),
    edges: Sequence[str] = ("fixed", "learned", "dynamic"),
    batch_size: int = 8,
    image_size: int | None = None,
    compile: bool = False,
) -> list[Row]:
    """Returns the time of inference and of a training step, and the memory of training.

    Ratios are to torchvision's original network, or to the first kind of edges where
    torchvision has none.

    Args:
        image_size: Their height and width, pixels; 128 by default.
        compile: Whether to time the networks that ``torch.compile`` makes too.

    Raises:
        ModelError: If a network cannot be made.
    """
    rows = []
    for name in model:
        torch.manual_seed(0)
        models = variants(name, edges)
        ours = {n: m for n, m in models.items() if isinstance(m, Network)}
        x = noise(ours[edges[0]], batch_size, image_size, default=128).to(clock.device)
        for each in models.values():
            settle(each.to(clock.device), x)
        figures = {n: wiring_figures(network, x) for n, network in ours.items()}
        label = f"{name}, batch {batch_size}, {x.shape[-1]} px"
        forms = {"": models}
        if compile:
            compiled = {n: torch.compile(m, fullgraph=True) for n, m in models.items()}
            forms[", compiled"] = compiled  # type: ignore[assignment]
        for form, made in forms.items():
            acts = {n: inference(m, x) for n, m in made.items()}
            rows += clock.rows("networks", f"{label}: inference{form}", acts, figures)
        for form, made in forms.items():
            acts = {n: training_step(m, x) for n, m in made.items()}
            case = f"{label}: training step{form}"
            timed = clock.rows("networks", case, acts)
            for row in () if form else timed:
                parameters = models[row["variant"]].parameters()
                row |= step_memory(acts[row["variant"]], parameters)
            rows += timed
    return rows


def variants(name: str, edges: Sequence[str]) -> dict[str, nn.Module]:
    """Returns a network in all its variants; what ratios are to is the first.

    Args:
        name: One of ``list_models()``, or a network of torchvision or timm.
    """
    theirs = name.removeprefix("torchvision/")
    if theirs not in torchvision_models():
        return {each: create_model(name, edges=each) for each in edges}
    known = name if name in list_models() else f"torchvision/{theirs}"
    return {
        "torchvision's": get_model(theirs),
        **{each: create_model(known, edges=each) for each in edges},
        f"rewired, {edges[-1]}": rewire(get_model(theirs), edges=edges[-1]),
    }
