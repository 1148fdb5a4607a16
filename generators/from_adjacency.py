"""A wiring from a matrix of your own."""

from typing import Any

import networkx as nx
import numpy as np

from ddw_graph.wiring import MAX_NODES, WiringError, check


def from_adjacency(matrix: Any) -> nx.DiGraph:
    """Returns the wiring whose edges are the entries of a matrix that are not zero.

    Rows receive: ``matrix[j, i] != 0`` is the edge ``i -> j``, so the matrix is
    strictly lower triangular. It covers all N nodes, the input (first) and the output
    (last) too.

    Args:
        matrix: N x N finite numbers or bools, as lists or as an array or a sparse
            matrix of NumPy, SciPy or PyTorch; only whether an entry is 0 counts.

    Raises:
        WiringError: If it is not such a matrix, or its graph is no wiring.

    Example:
        >>> list(from_adjacency([[0, 0, 0], [1, 0, 0], [1, 1, 0]]).edges)
        [(0, 1), (0, 2), (1, 2)]
    """
    array = _array(matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise WiringError(
            f"an adjacency matrix must be square, got the shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise WiringError(
            f"an adjacency matrix must hold real numbers or bools, got {array.dtype}"
        )
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise WiringError(
            "an adjacency matrix must hold finite numbers, got "
            f"{array[row, column]} at [{row}, {column}]"
        )
    present = array != 0
    if np.triu(present).any():
        row, column = np.argwhere(np.triu(present))[0]
        found = f"an entry at [{row}, {column}]"
        if not np.tril(present).any():
            found = "an upper triangular one: pass its transpose"
        raise WiringError(
            "an adjacency matrix must be strictly lower triangular (rows receive), "
            f"got {found}"
        )
    dag = nx.DiGraph()
    dag.add_nodes_from(range(len(array)))
    # Sources outermost, as every generator orders its edges.
    sources, targets = np.nonzero(present.T)
    dag.add_edges_from(zip(sources.tolist(), targets.tolist(), strict=True))
    return check(dag)


def _array(matrix: Any) -> np.ndarray:
    """Returns a matrix as an array of NumPy's."""
    size = max(getattr(matrix, "shape", None) or (0,))
    if size > MAX_NODES:  # before a sparse one is made dense
        raise WiringError(f"a wiring must have at most {MAX_NODES} nodes, got {size}")
    try:
        # PyTorch's, which may learn, be sparse, or lie on another device; SciPy's.
        for method in ("detach", "to_dense", "cpu", "toarray"):
            if hasattr(matrix, method):
                matrix = getattr(matrix, method)()
        return np.asarray(matrix)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise WiringError(
            "an adjacency matrix must be numbers in rows of one length, which NumPy "
            f"reads, got {str(error).splitlines()[0]}"
        ) from error
