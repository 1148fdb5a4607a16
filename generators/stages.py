"""One wiring for each stage of a network."""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeAlias

import networkx as nx
import numpy as np

from ddw_graph.generators.arguments import integer
from ddw_graph.generators.texts import from_text
from ddw_graph.wiring import WiringError, check, computing_nodes

StageWiring: TypeAlias = nx.DiGraph | str | Callable[..., nx.DiGraph]
"""The wiring of one stage: a DAG, a text, or a function from n to a DAG."""

Wiring: TypeAlias = StageWiring | Sequence[StageWiring]
"""The wirings of a network: one for all stages or a list of one a stage."""


def stage_wirings(
    wiring: Wiring, nodes: Sequence[int | None], *, seed: int
) -> list[nx.DiGraph]:
    """Returns one checked wiring a stage.

    A random generator draws each stage with a seed of its own, so that no two stages
    share a graph by accident; the seeds are children of ``seed``.

    Args:
        wiring: A DAG, a text such as ``"ws:k=4,p=0.75"``, a function from n to a DAG,
            which gets ``seed=`` where it takes that, or a list with one of these a
            stage.
        nodes: How many nodes compute in each stage; None where any number will do,
            which only a DAG, a file or a text with its own n can settle.
        seed: Fixes every random graph of the network.

    Raises:
        WiringError: If a list has another length, a stage's wiring breaks a rule, or
            its number of computing nodes is not the stage's; the message names the
            stage.

    Example:
        >>> [len(dag) - 2 for dag in stage_wirings("ws:k=4,p=0.75", [16, 32], seed=0)]
        [16, 32]
    """
    if isinstance(wiring, str) or not isinstance(wiring, Sequence):
        wiring = [wiring] * len(nodes)
    if len(wiring) != len(nodes):
        raise WiringError(
            f"a list of wirings must have one for each of the {len(nodes)} stages, "
            f"got {len(wiring)}"
        )
    dags = []
    for one, n, child in zip(wiring, nodes, stage_seeds(seed, len(nodes)), strict=True):
        try:
            dags.append(_stage(one, n, child))
        except WiringError as error:
            raise WiringError(f"stage {len(dags) + 1}: {error}") from error
    return dags


def stage_seeds(seed: int, stages: int) -> list[int]:
    """Returns a seed for each stage, independent of each other.

    Adding a stage at the end leaves the seeds of those before it unchanged.

    Example:
        >>> stage_seeds(0, 3)[:2] == stage_seeds(0, 2)
        True
    """
    root = np.random.SeedSequence(integer("seed", seed, least=0))
    # 53 bits, so that readers of JSON that know only doubles keep a seed exact.
    return [
        int(child.generate_state(1, np.uint64)[0]) >> 11 for child in root.spawn(stages)
    ]


def _stage(wiring: StageWiring, n: int | None, seed: int) -> nx.DiGraph:
    if isinstance(wiring, str):
        return from_text(wiring, n=n, seed=seed)
    if callable(wiring):
        if n is None:
            raise WiringError("a function from n to a DAG needs n, got a stage without")
        takes_seed = "seed" in inspect.signature(wiring).parameters
        wiring = wiring(n, seed=seed) if takes_seed else wiring(n)
    dag = check(wiring)
    found = len(computing_nodes(dag))
    if n is not None and found != n:
        raise WiringError(
            f"the stage has {n} computing nodes (n), got a DAG with n={found}"
        )
    return dag
