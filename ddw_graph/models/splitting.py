"""Any network of blocks, split: into a stem, stages and a head, or stages in its place.

One rule serves every family of torchvision, timm and transformers: a *block* is the
outermost module that has siblings of its class which keep the shape of the features; a
*stage* is a run of blocks of one shape. What lies between is found by ``torch.fx``;
where it cannot be, the network's own forward runs the stages.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import Tensor, fx, nn

from ddw_graph.errors import ModelError
from ddw_graph.models.examples import Inputs, float_tensors
from ddw_graph.models.hosting import host_parts, may_start, run_of, runs_of, stage_parts
from ddw_graph.models.nearest import matrices, nearest
from ddw_graph.models.parts import Parts, StageParts, with_nodes
from ddw_graph.models.probing import Call, Probe, probe
from ddw_graph.models.tracing import between, output_of, trace
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage


def split_backbone(
    model: nn.Module, node: str = "block", *, inputs: Inputs | None = None
) -> Parts:
    """Returns the parts of a network that has chains of blocks.

    Args:
        node: What a node is; see ``with_nodes``.

    Example:
        >>> from torchvision.models import resnet18
        >>> [len(stage.operations) for stage in split_backbone(resnet18()).stages]
        [2, 2, 2, 2]
    """
    found = probe(model, inputs)
    logits = next(iter(float_tensors(found.output)), None)
    in_channels = found.example.image_channels
    if logits is None or (in_channels and not _is_logits(found.output)):
        raise ModelError(
            "a network to rewire returns logits (batch, classes), got a "
            f"{type(model).__name__} that does not"
        )
    blocks = _blocks(model, found)
    sizes = in_channels, logits.shape[-1]
    try:
        other = next((c for c in blocks.values() if not c.is_plain), None)
        if other is not None:
            raise ModelError(f"{other.path} takes or returns more than features")
        if not in_channels or not isinstance(found.output, Tensor):
            raise ModelError("it does not map images to logits")
        stem, stages, head = _parts(model, _trace(model, blocks), blocks)
        make = partial(_network, stem, head, in_channels)
        parts = Parts("block", make, stages, *sizes)
    except ModelError as error:
        runs = runs_of(model, found, blocks, error)
        parts = host_parts(model, runs, *sizes)
    return with_nodes(parts, node)


def _network(
    stem: nn.Module, head: nn.Module, in_channels: int, stages: Sequence[Stage]
) -> Network:
    return Network(stem, stages, head, in_channels=in_channels)


def _is_logits(output: object) -> bool:
    if isinstance(output, Mapping):  # of transformers
        output = output.get("logits")
    return isinstance(output, Tensor) and output.ndim == 2


def _blocks(model: nn.Module, probe: Probe) -> dict[str, Call]:
    """Returns the network's blocks by path, in the order of running.

    Only the outermost ones count: blocks within blocks are left whole.
    """
    times = Counter(call.path for call in probe.calls)
    calls = [call for call in probe.calls if times[call.path] == 1]
    for containers in (False, True):  # as blocks only where there are no others
        kinds = _kinds_of_blocks(calls, containers)
        found = {call.path: call for call in calls if _kind(call) in kinds}
        inside = {p for p in found if any(p.startswith(f"{q}.") for q in found)}
        outer = {path: call for path, call in found.items() if path not in inside}
        if outer:
            return {path: call for path, call in outer.items() if may_start(call)}
    cause = nearest(model, probe)
    raise ModelError(
        "a network to rewire must have stages of blocks: modules of one class, each "
        "with two weight matrices or more, that follow each other and keep the shape "
        f"of the features; got a {type(model).__name__} in which {cause}"
    )


def _kind(call: Call) -> tuple[type[nn.Module], str]:
    """Returns what blocks share: a class, and for containers the parent too."""
    is_container = isinstance(call.module, nn.Sequential)
    return type(call.module), call.parent if is_container else ""


def _kinds_of_blocks(
    calls: Sequence[Call], containers: bool
) -> set[tuple[type[nn.Module], str]]:
    """Returns the kinds of siblings of which one continues another."""
    siblings: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if isinstance(call.module, nn.Sequential) == containers:
            siblings[call.parent].append(call)
    kinds: set[tuple[type[nn.Module], str]] = set()
    taken: tuple[str, ...] = ()
    for parent in sorted(siblings, key=lambda path: path.count(".") + bool(path)):
        if f"{parent}.".startswith(taken):
            continue  # within a block
        for one, other in pairwise(siblings[parent]):
            same = type(one.module) is type(other.module)
            follows = one.y.shape == other.x.shape and other.keeps_shape
            if containers:  # not a stem and its body
                follows = follows and one.keeps_shape
            if same and follows and matrices(other.module) > 1:
                kinds.add(_kind(other))
        taken = tuple(f"{call.path}." for call in calls if _kind(call) in kinds)
    return kinds


def _trace(model: nn.Module, blocks: dict[str, Call]) -> fx.Graph:
    """Returns the graph of a network in which the modules around blocks are opened."""
    opened = {""}
    for path in blocks:
        names = path.split(".")
        opened |= {".".join(names[:depth]) for depth in range(1, len(names))}
    return trace(model, opened)


def _parts(
    model: nn.Module, graph: fx.Graph, blocks: dict[str, Call]
) -> tuple[nn.Module, list[StageParts], nn.Module]:
    """Returns stem, stages and head of a traced network."""

    def glue(leaving: fx.Node, to: str) -> fx.GraphModule | None:
        try:
            return between(model, graph, value, leaving)
        except LookupError as error:
            raise ModelError(
                "a network to rewire is a chain of blocks, each of which has one "
                f"input, the block before it, got a {type(model).__name__}, where {to} "
                "has another input too"
            ) from error

    value = next(iter(graph.nodes))
    entrances: list[nn.Module | None] = []
    runs: list[list[Call]] = []
    for node in graph.nodes:
        if node.op != "call_module" or node.target not in blocks:
            continue
        call = blocks[str(node.target)]
        (entering,) = node.all_input_nodes
        entrance = glue(entering, call.path)
        last = runs[-1][-1] if runs else call
        if not runs or entrance or call.parent != last.parent or not call.keeps_shape:
            entrances.append(entrance)
            runs.append([])
        runs[-1].append(call)
        value = node
    head = glue(output_of(graph), "the head")
    if max(map(len, runs)) == 1:
        raise ModelError(f"no two blocks of a {type(model).__name__} are in one stage")
    stem, entrances[0] = entrances[0], None
    stages = [
        replace(stage_parts(model, run_of(run)), entrance=entrance, run=None)
        for entrance, run in zip(entrances, runs, strict=True)
    ]
    return stem or nn.Identity(), stages, head or nn.Identity()
