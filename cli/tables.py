"""Tables as text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def printed(table: "pd.DataFrame") -> str:
    """Returns a table for the terminal, numbers in four digits."""
    return table.to_string(index=False, float_format=lambda value: f"{value:.4g}")
