"""What is timed of a network: a step of training, and inference."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ddw_graph.benchmarking.measurement import Run
from ddw_graph.benchmarking.memory import in_fresh_process, peak_memory
from ddw_graph.errors import RunError
from ddw_graph.training.memory import keep_memory

Act = Callable[[], object]


def images(batch: int, size: int, device: str) -> Tensor:
    """Returns square images of noise.

    Args:
        batch: How many.
        size: Height and width, pixels.
        device: Where.
    """
    return torch.randn(batch, 3, size, size, device=device)


CLASSES = 1000
"""How many classes the networks have that are measured."""


def training_step(model: nn.Module, x: Tensor) -> Act:
    """Returns a step of training: forward, loss, backward, and SGD with momentum."""
    model.train()
    labels = torch.arange(len(x), device=x.device) % CLASSES
    # Too slow to change what is measured, over any number of rounds.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def inference(act: Act) -> Act:
    """Returns an act without anything that a backward pass would need."""
    return torch.inference_mode()(act)


@contextmanager
def _momentum(model: nn.Module, momentum: float) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = momentum
    try:
        yield
    finally:
        for norm, value in zip(norms, before, strict=True):
            norm.momentum = value


@torch.no_grad()
def settle(model: nn.Module, forward: Act) -> None:
    """Lets a network take a batch's statistics for its own, and evaluates it then.

    With the statistics that a fresh network has, features grow from node to node
    beyond what numbers hold.

    Args:
        model: The network.
        forward: Runs it on the batch.

    Raises:
        RunError: If the batch has one value of a channel somewhere, and no deviation.
    """
    model.train()
    try:
        with _momentum(model, 1.0):
            forward()
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RunError(
            f"normalisation needs more images, or larger ones: {error}"
        ) from error
    model.eval()


def training_memory(
    make: Callable[[], nn.Module], batch: int, size: int, run: Run
) -> list[float]:
    """Returns the bytes that a network and its training take at the peak.

    The network, its gradients, the optimizer's memory and all that two steps hold;
    each figure is that of a fresh process, less what the process held before.

    Args:
        make: Returns the network; a function of a module, or a partial one.
        batch: Images of a step.
        size: Their height and width, pixels.
        run: How to measure.
    """
    settings = run.device, torch.get_num_threads(), run.keeps_memory
    return [
        float(in_fresh_process(_memory, make, batch, size, *settings))
        for _ in range(run.memory_rounds)
    ]


def _memory(
    make: Callable[[], nn.Module],
    batch: int,
    size: int,
    device: str,
    threads: int,
    keeps_memory: bool,
) -> int:
    torch.set_num_threads(threads)
    if keeps_memory:
        keep_memory()
    x = images(batch, size, device)
    # What torch makes at its first convolution and keeps is no part of the network.
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    training_step(small.to(device), x[:2])()
    before = _peak(device)
    step = training_step(make().to(device), x)
    step()
    step()  # the optimizer's memory is there from the second on
    return _peak(device) - before


def _peak(device: str) -> int:
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()
