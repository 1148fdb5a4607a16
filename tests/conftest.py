"""What every test needs: one thread, and draws that are the same each time."""

import os

# Before torch is imported anywhere, also in the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch
from hypothesis import settings

settings.register_profile("ddw_graph", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("ddw_graph")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fast_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the fast form of aggregation for features of any size."""
    from ddw_graph.nn import aggregation

    monkeypatch.setattr(aggregation, "SMALL", 0)


@pytest.fixture(autouse=True)
def seed_of_torch() -> None:
    """Starts each test with the same draws."""
    torch.manual_seed(0)
