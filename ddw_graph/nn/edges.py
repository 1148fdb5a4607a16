"""The settings of edge weights: fixed, learned, dynamic."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from ddw_graph.errors import ModelError
from ddw_graph.nn.gates import GATES


@dataclass(frozen=True)
class Fixed:
    """Every edge weighs 1 (Eq. 1)."""

    kind: ClassVar[str] = "fixed"


@dataclass(frozen=True)
class Learned:
    """Every edge has one weight ``sigmoid(logit)``, the same for all samples.

    RandWire's static wiring, and alpha of the paper's Table 6.

    Args:
        bias: Logit at the start.

    Raises:
        ModelError: If ``bias`` is not finite.
    """

    kind: ClassVar[str] = "learned"
    bias: float = 0.0

    def __post_init__(self) -> None:
        """Checks the setting."""
        _check_finite("bias", self.bias)


@dataclass(frozen=True)
class Dynamic:
    """A router at each node weighs its output edges for each sample (Eq. 4).

    Args:
        bias: Bias of the routers at the start; 3 opens every edge.
        gate: How thresholds act: ``psi``, ``hard``, ``eq5`` or ``none``; see
            ``ddw_graph.nn.gates.gated``.
        threshold: tau of every receiving node at the start.
        router_std: Standard deviation of the routers' weights at the start; more than
            0 so that the wiring can begin to depend on the sample.

    Raises:
        ModelError: If ``gate`` is unknown, a number is not finite, or ``router_std`` is
            negative.
    """

    kind: ClassVar[str] = "dynamic"
    bias: float = 3.0
    gate: str = "psi"
    threshold: float = 0.0
    router_std: float = 0.01

    def __post_init__(self) -> None:
        """Checks the settings."""
        if self.gate not in GATES:
            known = ", ".join(GATES)
            raise ModelError(f"gate must be one of {known}, got {self.gate!r}")
        for name in ("bias", "threshold", "router_std"):
            _check_finite(name, getattr(self, name))
        if self.router_std < 0:
            raise ModelError(f"router_std must be at least 0, got {self.router_std}")


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ModelError(f"{name} must be finite, got {value}")


Edges = Fixed | Learned | Dynamic
KINDS: dict[str, type[Edges]] = {kind.kind: kind for kind in (Fixed, Learned, Dynamic)}


def edge_settings(edges: str | Edges) -> Edges:
    """Returns the settings that a text names, or the settings themselves.

    Args:
        edges: ``fixed``, ``learned`` or ``dynamic``, with settings after a colon where
            wanted.

    Raises:
        ModelError: If the kind or a setting is unknown, or a value does not parse.

    Example:
        >>> edge_settings("dynamic:bias=0,gate=hard")
        Dynamic(bias=0.0, gate='hard', threshold=0.0, router_std=0.01)
    """
    if isinstance(edges, Edges):
        return edges
    if not isinstance(edges, str):
        raise ModelError(f"edges must be a name or settings, got {edges!r}")
    name, _, rest = edges.partition(":")
    if name not in KINDS:
        raise ModelError(f"edges must be one of {', '.join(KINDS)}, got {name!r}")
    kind = KINDS[name]
    types = {field.name: field.type for field in fields(kind)}
    values: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if key not in types or not equals:
            known = ", ".join(types) or "none"
            raise ModelError(
                f"settings of {name} edges are key=value with the keys {known}, "
                f"got {item!r}"
            )
        if key in values:
            raise ModelError(f"{key} is given twice in {edges!r}")
        try:
            values[key] = float(value) if types[key] is float else value
        except ValueError as error:
            raise ModelError(f"{key} must be a number, got {value!r}") from error
    return kind(**values)


def edge_text(edges: Edges, *, plain: bool = False) -> str:
    """Returns the text that ``edge_settings`` reads, defaults left out.

    Args:
        edges: The settings.
        plain: Whether whole numbers are written without a point.

    Example:
        >>> edge_text(Dynamic(gate="none"))
        'dynamic:gate=none'
        >>> edge_text(Dynamic(bias=0)), edge_text(Dynamic(bias=0.0), plain=True)
        ('dynamic:bias=0', 'dynamic:bias=0')
    """

    def written(value: float | str) -> str:
        whole = plain and isinstance(value, float) and value == int(value)
        return str(int(value) if whole else value)

    default = asdict(type(edges)())
    told = [f"{k}={written(v)}" for k, v in asdict(edges).items() if v != default[k]]
    return ":".join(filter(None, (edges.kind, ",".join(told))))
