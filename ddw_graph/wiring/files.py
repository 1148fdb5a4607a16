"""Wirings on disk: one versioned JSON file each."""

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import networkx as nx

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import WiringError
from ddw_graph.wiring.checks import MAX_EDGES, MAX_NODES
from ddw_graph.wiring.schema import from_dict, header

MAX_BYTES = 2**29
"""Most bytes of a file that :func:`load` reads: about 100 an edge at most."""

# A file of nothing but brackets would take a hundred times its size in memory.
_MAX_LISTS = MAX_EDGES + MAX_NODES + 1_000


def save(
    dag: nx.DiGraph, path: str | os.PathLike[str], *, overwrite: bool = False
) -> bool:
    """Writes a wiring as JSON, edge by edge, and returns whether it had to.

    The file holds what :func:`to_dict` returns and appears as a whole or not at all.
    Equal wirings give equal files. An existing file with the same content is not
    touched.

    Args:
        path: The file; its folder must exist.
        overwrite: Whether to replace a file of other content.

    Raises:
        WiringError: If ``dag`` is no wiring.
        FileError: If the file exists with other content and may not be replaced.
        OSError: If the folder or the disk refuses.
    """
    parts = (part.encode() for part in json_parts(dag))
    return write_bytes(path, parts, overwrite=overwrite)


def json_parts(dag: nx.DiGraph) -> Iterator[str]:
    """Yields the JSON text of a wiring, the edges of each source node on a line.

    Raises:
        WiringError: If ``dag`` is no wiring.

    Example:
        >>> text = "".join(json_parts(nx.DiGraph([(0, 1), (0, 2), (1, 2)])))
        >>> print(text[-42:].strip())
        "edge_list": [
          [0,1],[0,2],
          [1,2]
        ]
        }
    """
    for key, value in header(dag).items():
        yield f'{"{" if key == "format" else ","}\n"{key}": {json.dumps(value)}'
    yield ',\n"edge_list": ['
    for i in range(len(dag) - 1):
        targets = sorted(dag.succ[i])
        yield f"{',' if i else ''}\n  {','.join(f'[{i},{j}]' for j in targets)}"
    yield "\n]\n}\n"


def load(path: str | os.PathLike[str]) -> nx.DiGraph:
    """Returns the wiring in a file, our own or node-link JSON of NetworkX.

    A file is not trusted: its size, form and counts are checked before a graph is
    built, every edge before it enters one, and no file makes this take more time or
    memory than in proportion to its size.

    Raises:
        WiringError: If it cannot be read or holds no wiring; the message, of one line,
            names the file and the rule.
    """
    try:
        return from_dict(_json(Path(path)))
    except WiringError as error:
        raise WiringError(f"{os.fspath(path)}: {error}") from error


def _json(path: Path) -> Any:
    try:
        data = _read(path)
    except OSError as error:
        raise WiringError(f"cannot be read, {error.strerror}") from error
    if data.count(b"[") + data.count(b"{") > _MAX_LISTS:
        raise WiringError(f"must have at most {_MAX_LISTS} lists and objects, got more")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WiringError(f"must be UTF-8 text, byte {error.start} is not") from error
    del data
    if not text.strip():
        raise WiringError("must be a wiring, got an empty file")
    try:
        # Each number is made once, however many edges name it.
        number = lru_cache(maxsize=4 * MAX_NODES)(int)
        return json.loads(text, parse_int=number, parse_constant=_no_constant)
    except RecursionError as error:
        raise WiringError("must be a wiring, got lists nested too deeply") from error
    except json.JSONDecodeError as error:
        raise WiringError(
            f"must be JSON, line {error.lineno} column {error.colno}: {error.msg}"
        ) from error
    except WiringError:
        raise
    except ValueError as error:
        raise WiringError("must be JSON, got a number with too many digits") from error


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise WiringError("not a regular file" if path.exists() else "no such file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise WiringError(f"must have at most {MAX_BYTES} bytes, got {size}")
    return path.read_bytes()


def _no_constant(name: str) -> NoReturn:
    raise WiringError(f"numbers must be finite, got {name}")
