"""Networks as ONNX files."""

import importlib.util
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import ddw_graph
from ddw_graph.deployment.parity import Runs
from ddw_graph.errors import ExportError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""The packages of the extra ``onnx``."""


def missing() -> list[str]:
    """Returns the packages that ONNX files need and that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_installed() -> None:
    """Checks that the packages that make and run ONNX files are installed."""
    if missing():
        raise ExportError(
            f"ONNX needs {', '.join(PACKAGES)}, got no {' and no '.join(missing())}; "
            "install with pip install 'ddw_graph[onnx]'"
        )


def onnx_bytes(
    program: torch.export.ExportedProgram,
    outputs: Sequence[str],
    metadata: Mapping[str, Any],
    *,
    name: str = "images",
) -> bytes:
    """Returns the content of an ONNX file.

    Args:
        metadata: Values by name; the file holds each as JSON.
        name: Name of the input.
    """
    from onnxscript import optimizer

    with warnings.catch_warnings(action="ignore"):
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            # Its search for patterns takes minutes for a large wiring, and onnxruntime
            # repeats it when it loads a file.
            optimize=False,
            input_names=[name],
            output_names=list(outputs),
        )
        assert made is not None
        optimizer.fold_constants(made.model)
        optimizer.remove_unused_nodes(made.model)
        proto = made.model_proto
    proto.producer_name = "ddw_graph"
    proto.producer_version = ddw_graph.__version__
    for node in proto.graph.node:
        # The module of each operation: three quarters of a small file.
        del node.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=json.dumps(value, allow_nan=False))
    content: bytes = proto.SerializeToString()
    return content


def session(content: bytes, *, threads: int) -> Any:
    """Returns a session of onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin would keep their cores from other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )


def running(opened: Any) -> Runs:
    """Returns a function that runs an ONNX file on tensors."""

    (entering,) = opened.get_inputs()

    def run(batch: Tensor) -> list[Tensor]:
        arrays = opened.run(None, {entering.name: batch.numpy()})
        return [torch.from_numpy(array) for array in arrays]

    return run
