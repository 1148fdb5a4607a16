"""Wirings of Transformers whose connections reach over depth."""

import networkx as nx

from ddw_graph.generators.arguments import check_edges, integer
from ddw_graph.generators.registry import register
from ddw_graph.wiring import IDENTITY, MAX_NODES, WiringError


@register("dilated")
def dilated(n: int, dilation: int, period: int) -> nx.DiGraph:
    """Returns DenseFormer's wiring: some nodes read every ``dilation``-th before them.

    Node j reads node j - 1. Where j - 1 is a multiple of ``period`` it also reads all
    nodes i before it for which j - 1 - i is a multiple of ``dilation``. The input is
    node 0, and the output is node n + 1.

    In DenseFormer's terms ``X_0`` is what the input emits and ``X_i`` what node i does:
    after every ``period``-th block i an average of the ``X_k`` with
    ``k = i modulo dilation`` is what node i + 1 reads. With 1 and 1 it is the complete
    DAG. Its weights are ``learned:form=free`` edges, on whole blocks as nodes, of a
    stage with the output ``sum``.

    Args:
        dilation: Distance between the nodes that a node reads, at least 1.
        period: Distance between the nodes that read more than one, at least 1.

    Example:
        >>> [sorted(dilated(5, 2, 2).pred[j]) for j in (3, 5, 6)]
        [[0, 2], [0, 2, 4], [5]]

    Source:
        Pagliardini et al. 2024, arXiv:2402.02622, section 3; its repository
        epfml/DenseFormer, denseformer/denseformer.py.
    """
    integer("dilation", dilation, least=1)
    integer("period", period, least=1)
    check_edges(n + n * n / (2 * period * dilation), n=n, dilation=dilation)
    dag = nx.DiGraph()
    dag.add_nodes_from(range(n + 2))
    edges = {(j - 1, j) for j in range(1, n + 2)}
    for j in range(1, n + 2, period):
        edges.update((i, j) for i in range((j - 1) % dilation, j, dilation))
    dag.add_edges_from(sorted(edges))
    return dag


@register("streams")
def streams(n: int, width: int) -> nx.DiGraph:
    """Returns Hyper-Connections' wiring: layers that share several residual streams.

    A stream is a chain of identity nodes, one after each layer but the last. A layer, a
    node that computes, reads all streams, and each stream then reads the layer and all
    streams before it. Before the first layer every stream is the input, and the output
    sums the streams after the last. So the nodes are the input, layer 1, its ``width``
    streams, layer 2, and so on to layer n and the output. Edges into layers are H_pre,
    those out of layers H_post, those between streams H_res.

    Each edge has an attribute ``weight``, where every kind of edge weights starts:
    layer k reads stream ``(k - 1) modulo width`` only, every stream keeps itself and
    adds every layer, and the output is the mean of the streams. With these weights it
    is the usual residual network, ``x + layer(x)``.

    Args:
        n: Number of layers, at least 1.
        width: Number of streams, at least 1.

    Example:
        >>> dag = streams(2, 2)
        >>> [node for node, kind in dag.nodes(data="operation") if kind == "identity"]
        [2, 3]
        >>> list(dag.succ[0]), list(dag.pred[4]), list(dag.pred[5])
        ([1, 2, 3], [2, 3], [2, 3, 4])

    Source:
        Zhu et al. 2024, arXiv:2409.19606; Xie et al. 2025, arXiv:2512.24880.
    """
    integer("width", width, least=1)
    size = n + 2 + (n - 1) * width
    if size > MAX_NODES:
        raise WiringError(
            f"n + (n - 1) * width must be at most {MAX_NODES - 2}, "
            f"got n={n}, width={width}"
        )
    check_edges((n - 2) * width**2 + 2 * n * width, n=n, width=width)
    weights: dict[tuple[int, int], float] = {}
    layer, before = 1, [0]
    for k in range(n):
        after = [*range(layer + 1, layer + 1 + width)] if k < n - 1 else [size - 1]
        for place, i in enumerate(before):
            weights[i, layer] = float(place == k % len(before))
            for other, j in enumerate(after):
                is_same = len(before) == 1 or place == other
                weights[i, j] = float(is_same) if k < n - 1 else 1 / len(before)
        weights.update(((layer, j), 1.0) for j in after)
        layer, before = after[-1] + 1, after
    dag = nx.DiGraph()
    dag.add_nodes_from(range(size))
    for node in {*range(1, size - 1)}.difference(range(1, size, width + 1)):
        dag.nodes[node]["operation"] = IDENTITY
    dag.add_edges_from((*edge, {"weight": w}) for edge, w in sorted(weights.items()))
    return dag
