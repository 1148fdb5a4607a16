"""A collection of samples that several processes evaluate together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ddw_graph.nn.cost import NetworkCost
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.training.collecting import CollectionWriter, sample_rows
from ddw_graph.training.collection import columns_of
from ddw_graph.training.loading import batch_sizes
from ddw_graph.training.world import World


@contextmanager
def shared_collection(
    folder: Path,
    network: Network,
    price: NetworkCost,
    classes: Sequence[str] = (),
    *,
    count: int,
    batch_size: int,
    world: World = World(),  # noqa: B008 (frozen)
) -> Iterator[Callable[[Output], None]]:
    """Yields a function that adds a process's share of a batch to one collection.

    The folder, which may exist, appears at the end of the context in the process that
    leads. One process writes as it evaluates; several hold their rows until the end. An
    exception in all of them leaves nothing.

    Args:
        folder: Where the collection goes.
        network: The network.
        price: Its cost for the samples.
        classes: The name of each class; none where samples have no classes.
        count: The number of samples, of all processes.
        batch_size: Samples in a batch of ``batches``, of all processes.
        world: The processes.
    """
    with ExitStack() as stack:
        writer = None
        if world.leads:
            writer = CollectionWriter(
                folder, network, price, classes, count, overwrite=True
            )
            stack.enter_context(writer)
        if writer is not None and world.size == 1:
            yield writer.add
            return
        rows: list[Tensor] = []

        def add(output: Output) -> None:
            rows.append(sample_rows(output, network, price))

        yield add
        edges = sum(len(stage.plan.edges) for stage in network.stages)
        width = edges + len(columns_of(classes))
        device = next(network.parameters()).device
        table = _gathered(rows, width, count, batch_size, world, device)
        if writer is not None:
            writer.add_rows(table)


def _gathered(
    rows: Sequence[Tensor],
    width: int,
    count: int,
    batch_size: int,
    world: World,
    device: torch.device,
) -> Float[Tensor, "samples columns"]:
    """Returns the rows of all processes, in the order of the samples."""
    own = torch.cat(
        [
            batch.tensor_split(world.size)[world.rank]
            for batch in torch.split(
                torch.arange(count), batch_sizes(count, batch_size)
            )
        ]
    )
    # Each process fills its own rows, if it has some, and the sum is the whole.
    table = torch.zeros(count, width, dtype=torch.float64, device=device)
    if rows:
        table[own.to(device)] = torch.cat(list(rows))
    return world.total(table)
