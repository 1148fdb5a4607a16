"""What tests of models share."""

import inspect
from collections.abc import Iterator

import pytest

from ddw_graph.models import rewiring
from ddw_graph.models.backbones import NoData


@pytest.fixture(scope="package", autouse=True)
def unchecked_calls() -> Iterator[None]:
    """Spares the check of types at every call of torch within ``NoData``."""
    with pytest.MonkeyPatch.context() as patch:
        plain = inspect.unwrap(NoData.__torch_function__)
        patch.setattr(NoData, "__torch_function__", plain)
        yield


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the search for a name, which makes every network of a library."""
    monkeypatch.setattr(rewiring, "name_of", lambda model, **sizes: None)
