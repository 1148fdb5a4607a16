"""What tests of compiled kernels need of the machine."""

import pytest

from ddw_graph.errors import ModelError
from ddw_graph.nn import kernels


def need_kernels() -> None:
    """Skips a test where kernels cannot be built."""
    try:
        kernels.load()
    except ModelError as error:
        pytest.skip(f"kernels cannot be built here: {error}")
