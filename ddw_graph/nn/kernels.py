"""Aggregation compiled for this machine's processor, where it is asked for.

What ``aggregation`` does in eager PyTorch takes several passes over memory and many
small calls; ``kernels.cpp`` does each in one. It is built by the machine's own compiler
when it is first asked for, and kept in the user's cache of torch extensions.
"""

import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import ModelError

SOURCE = Path(__file__).with_name("kernels.cpp")

_WIDTHS = {
    "AVX2": ["-mavx2", "-mfma"],
    "AVX512": [
        *("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
        "-mprefer-vector-width=512",
    ],
}
"""Flags by what torch found the processor to be capable of."""

_COMPILED = ContextVar("compiled", default=False)


@contextmanager
def kernels() -> Iterator[None]:
    """Aggregates by compiled kernels for a while, where features are on the CPU.

    They compute what eager PyTorch does, in float32 and float64. Features of another
    type, of mixed memory formats or on another device are summed as without them, and
    so is all within ``reference()``, ``torch.compile`` and ``torch.export``.

    The first use on a machine compiles them, which takes half a minute.

    Raises:
        ModelError: If they cannot be built here.
    """
    load()
    with computed_as(True):
        yield


def compiled() -> bool:
    """Returns whether kernels were asked for."""
    return _COMPILED.get()


@contextmanager
def computed_as(asked: bool) -> Iterator[None]:
    """Aggregates for a while as ``compiled()`` told at another time."""
    token = _COMPILED.set(asked)
    try:
        yield
    finally:
        _COMPILED.reset(token)


def takes(features: Sequence[Tensor]) -> bool:
    """Returns whether the kernels take features, which they do in one memory format."""
    first = features[0]
    dtype, shape = first.dtype, first.shape
    if dtype not in (torch.float32, torch.float64) or first.ndim != 4:
        return False
    if not first.numel() or not all(
        x.is_cpu and x.dtype == dtype and x.shape == shape for x in features
    ):
        return False
    return all(x.is_contiguous() for x in features) or all(
        x.is_contiguous(memory_format=torch.channels_last) for x in features
    )


def total_of(
    inputs: Sequence[Tensor],
    row: Tensor,
    scales: Sequence[Tensor | None] = (),
    shifts: Sequence[Tensor | None] = (),
) -> Tensor:
    """Returns the weighted sum of features, each scaled and shifted where given."""
    row = row.to(inputs[0].dtype).contiguous()
    total: Tensor = torch.ops.ddw_graph.weighted_sum(inputs, row, scales, shifts)
    return total


def back(
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    grads: Sequence[Tensor],
    row: Tensor,
    *,
    sums: bool,
) -> tuple[Tensor | None, Tensor]:
    """Returns the weighted sum of gradients, and features' inner products with each.

    Args:
        x: Features, scaled and shifted where that is given.
        scale: Factor of each channel.
        shift: Summand of each channel.
        grads: Gradients of the features' edges.
        row: The weight of each edge; a row a sample, or one row for all.
        sums: Whether the sum is needed.
    """
    row = row.to(x.dtype).contiguous()
    total, dots = torch.ops.ddw_graph.fanned_back(x, scale, shift, grads, row, sums)
    return total if sums else None, dots


def routed(
    x: Tensor, weight: Tensor, bias: Tensor, tau: Tensor | None, *, psi: bool
) -> tuple[Tensor, Tensor | None]:
    """Returns what a router weighs its edges at inference, and which are open.

    Args:
        x: Features that it pools.
        weight: Weights of its layer.
        bias: Biases of its layer.
        tau: Threshold of each edge; None for none.
        psi: Whether an open edge weighs ``psi``, and not the router's value.

    Shapes:
        - weights and open: ``(batch, edges)``; open is None where all edges are.
    """
    tau = None if tau is None else tau.contiguous()
    weights, is_open, all_open = torch.ops.ddw_graph.routed(x, weight, bias, tau, psi)
    return weights, None if all_open else is_open


@cache
def load() -> None:
    """Builds the kernels where they are not built yet, and loads them.

    Raises:
        ModelError: If they cannot be built here.
    """
    # Imported by those alone who ask for kernels: it looks for CUDA on the machine.
    from torch.utils import cpp_extension

    flags = ["-O3", "-fopenmp"]
    flags += _WIDTHS.get(torch.backends.cpu.get_cpu_capability(), [])
    # What was made of another source, by other flags or for another torch is another.
    compiler = os.environ.get("CXX", "c++")
    made_of = [SOURCE.read_text(), *flags, torch.__version__, compiler]
    digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    name = f"ddw_graph_kernels_{digest}"
    root = os.environ.get("TORCH_EXTENSIONS_DIR")
    built = Path(root or cpp_extension.get_default_build_root()) / f"{name}.so"
    try:
        if built.exists():
            torch.ops.load_library(str(built))  # type: ignore[no-untyped-call]
            return
        # In a folder of its own: where torch keeps what it builds, a build that was
        # killed leaves a lock for which all others wait.
        with TemporaryDirectory() as folder, _builders(compiler):
            cpp_extension.load(
                name,
                [str(SOURCE)],
                extra_cflags=flags,
                build_directory=folder,
                is_python_module=False,
            )
            made = (Path(folder) / f"{name}.so").read_bytes()
        built.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(built, [made], overwrite=True)
    except (RuntimeError, OSError) as error:
        lines = [line.strip() for line in str(error).splitlines()] or ["no reason"]
        what = next((line for line in lines if "error:" in line), lines[0])
        raise ModelError(f"kernels cannot be built here: {what}") from error


@contextmanager
def _builders(compiler: str) -> Iterator[None]:
    """Checks that there is what builds, and lets torch find it for a while.

    Args:
        compiler: The command, with words before or behind the program's name maybe.

    Raises:
        ModelError: If something is missing.
    """
    path = os.environ.get("PATH", os.defpath)
    # Where pip puts ninja, also if this environment is not activated.
    wider = os.pathsep.join([path, str(Path(sys.executable).parent)])
    for program, hint in (
        (shlex.split(compiler)[0], "a C++ compiler such as g++ or clang++"),
        ("ninja", "which pip install 'ddw_graph[kernels]' brings"),
    ):
        if shutil.which(program, path=wider) is None:
            raise ModelError(f"kernels are built by {program}, {hint}; it is not here")
    os.environ["PATH"] = wider
    try:
        yield
    finally:
        os.environ["PATH"] = path
