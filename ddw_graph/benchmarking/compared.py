"""Networks beside each other: a training step, inference, and memory of training."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from ddw_graph.benchmarking.acts import (
    Act,
    images,
    inference,
    settle,
    training_memory,
    training_step,
)
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.training.timing import paired_times


def compared(
    run: Run,
    benchmark: str,
    label: str,
    makers: Mapping[str, Callable[[], nn.Module]],
    *,
    to: str,
    batch: int,
    size: int,
    check: Callable[[Mapping[str, nn.Module], Tensor], None],
) -> list[Measurement]:
    """Returns what training and inference take in each network, relative to one.

    Args:
        run: How to measure.
        benchmark: Name of the benchmark.
        label: What the networks have in common.
        makers: What makes each network: a function of a module, or a partial one.
        to: Which of them all others are relative to.
        batch: Images.
        size: Their height and width, pixels.
        check: Told of all networks, in evaluation, with the images; raises where the
            comparison would not be fair.
    """
    sizes = f"{label}, batch {batch}, {size} px"
    x = images(batch, size, run.device)
    models = {name: make().to(run.device) for name, make in makers.items()}
    for model in models.values():
        settle(model, partial(model, x))
    check(models, x)

    def timed(acts: Mapping[str, Act]) -> dict[str, list[float]]:
        return paired_times(
            acts, rounds=run.rounds, warmup=run.warmup, device=run.device
        )

    run.progress(f"{sizes}: inference")
    inferring = timed({n: inference(partial(m, x)) for n, m in models.items()})
    run.progress(f"{sizes}: training step")
    training = timed({n: training_step(m, x) for n, m in models.items()})
    models.clear()
    run.progress(f"{sizes}: memory of training")
    memory = {n: training_memory(m, batch, size, run) for n, m in makers.items()}
    return [
        measurement(benchmark, f"{sizes}: {case}", figures, name, to=to, unit=unit)
        for case, figures, unit in (
            ("training step", training, "seconds"),
            ("inference", inferring, "seconds"),
            ("peak memory of training", memory, "bytes"),
        )
        for name in makers
        if name != to
    ]
