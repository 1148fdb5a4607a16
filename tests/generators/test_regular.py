"""Wirings without chance, count by count."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ddw_graph.generators import (
    complete,
    densenet,
    from_adjacency,
    residual,
    resnet,
    vgg,
)
from ddw_graph.wiring import WiringError, edge_list


@given(n=st.integers(1, 60))
def test_counts(n: int) -> None:
    size = n + 2
    assert complete(n).number_of_edges() == size * (size - 1) // 2
    assert densenet(n).edges == complete(n).edges
    assert edge_list(vgg(n)) == [(i, i + 1) for i in range(n + 1)]
    assert resnet(n).number_of_edges() == (n + 1) + n
    dag = residual(n)
    assert list(dag.succ[0]) == [1] and list(dag.pred[1]) == [0]
    for j in range(2, n + 2):
        assert list(dag.pred[j]) == list(range(1, j))


CHAIN = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    "matrix",
    [
        CHAIN * -0.5,
        (CHAIN != 0).tolist(),
        torch.tensor(CHAIN),
        torch.tensor(CHAIN, dtype=torch.float32, requires_grad=True),
        torch.tensor(CHAIN).to_sparse(),
        sparse.csr_matrix(CHAIN),
        sparse.coo_array(CHAIN),
    ],
    ids=["array", "lists", "tensor", "learning", "sparse tensor", "csr", "coo"],
)
def test_a_matrix_of_another_library_is_taken(matrix: object) -> None:
    assert edge_list(from_adjacency(matrix)) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (CHAIN.T, "rows receive.*upper triangular one: pass its transpose"),
        (CHAIN + CHAIN.T, r"strictly lower triangular .* entry at \[0, 1\]"),
        (CHAIN + np.eye(3), r"strictly lower triangular .* entry at \[0, 0\]"),
        (CHAIN * np.nan, r"finite numbers, got nan at \[0, 0\]"),
        (np.where(CHAIN, np.inf, 0), r"finite numbers, got inf at \[1, 0\]"),
        (CHAIN[:2], r"square, got the shape \(2, 3\)"),
        (CHAIN[0], r"got the shape \(3,\)"),
        (CHAIN[None], r"got the shape \(1, 3, 3\)"),
        (3, r"got the shape \(\)"),
        ([[0, 0], [1]], "rows of one length"),
        (CHAIN.astype(str), "real numbers or bools, got <U"),
        (CHAIN.astype(complex), "real numbers or bools, got complex128"),
        (CHAIN.astype(object), "real numbers or bools, got object"),
        (np.zeros((3, 3)), "input edge, got none of nodes 1, 2"),
        (CHAIN[:2, :2], "at least 3 nodes"),
        (np.broadcast_to(np.int8(0), (10_001, 10_001)), "at most 10000 nodes"),
        (sparse.csr_matrix((10**6, 10**6)), "at most 10000 nodes, got 1000000"),
        (
            torch.ones(3, 3, device="meta"),
            "numbers in rows of one length",
        ),
    ],
)
def test_names_what_is_wrong_with_a_matrix(matrix: object, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        from_adjacency(matrix)
