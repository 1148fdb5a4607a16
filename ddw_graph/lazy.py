"""Names of a package that are imported when they are first used."""

import ast
import inspect
import sys
from importlib import import_module
from typing import Any


def import_lazily(package: str) -> None:
    """Gives a package its ``__getattr__``, ``__dir__`` and ``__all__``.

    The names are those that its source imports under ``if TYPE_CHECKING``, so that one
    list serves type checkers and running code: ``from a.b import c as c``.

    Args:
        package: The package's ``__name__``.

    Example:
        >>> import ddw_graph.training  # whose last line is import_lazily(__name__)
        >>> ddw_graph.training.Recipe
        <class 'ddw_graph.training.recipe.Recipe'>
    """
    module = sys.modules[package]
    homes = {
        name.asname: (node.module, name.name)
        for block in ast.parse(inspect.getsource(module)).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
        if name.asname
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home, attribute = homes[name]
        if home == package:
            return import_module(f"{package}.{attribute}")
        return getattr(import_module(home), attribute)

    names = sorted(homes)
    vars(module).update(__getattr__=get, __dir__=lambda: names, __all__=names)
