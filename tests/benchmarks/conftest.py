"""The networks of benchmarks, small enough for a test."""

from functools import partial
from typing import Any

import pytest

from ddw_graph import create_model


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes RandWire's networks of two nodes a stage and four channels."""
    made = partial(create_model, wiring="complete", n=2, channels=4, num_classes=5)

    def small(name: str, **options: Any) -> Any:
        return (made if name == "randwire_tiny" else create_model)(name, **options)

    for module in ("networks", "skipping", "latency"):
        monkeypatch.setattr(f"ddw_graph.benchmarks.{module}.create_model", small)
