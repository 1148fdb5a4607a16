"""Networks of blocks, split into a stem, stages and a head, or into stages only.

One rule serves every family of torchvision, timm and transformers: a *block* is the
outermost module that has siblings of its class which keep the shape of the features; a
*stage* is a run of blocks of one shape. What lies between is found by ``torch.fx``;
where it cannot be, the network's own forward runs the stages.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.models.examples import Inputs, float_tensors
from ddw_graph.models.hosting import host_parts, may_start, run_of, runs_of, stage_parts
from ddw_graph.models.parts import Parts, with_nodes
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
    sizes = in_channels, logits.shape[-1]
    runs = runs_of(model, found, _blocks(model, found))
    try:
        if not in_channels or not isinstance(found.output, Tensor):
            raise ModelError("it does not map images to logits")
        parts = _chain(model, runs, *sizes)
    except ModelError:
        hosted = {run[0].path: run_of(run) for run in runs if len(run) > 1}
        # In the order of the network's modules, as those who look for stages find them.
        order = [path for path, _ in model.named_modules() if path in hosted]
        parts = host_parts(model, [hosted[path] for path in order], *sizes)
    return with_nodes(parts, node)


def _is_logits(output: object) -> bool:
    if isinstance(output, Mapping):  # of transformers
        output = output.get("logits")
    return isinstance(output, Tensor) and output.ndim == 2


def _blocks(model: nn.Module, probe: Probe) -> dict[str, Call]:
    """Returns the network's blocks by path, in the order of running.

    Only the outermost ones count: blocks within blocks are left whole.
    """
    times = Counter(call.path for call in probe.calls)
    calls = [c for c in probe.calls if c.maps_features and times[c.path] == 1]
    for containers in (False, True):  # as blocks only where there are no others
        kinds = _kinds_of_blocks(calls, containers)
        found = {call.path: call for call in calls if _kind(call) in kinds}
        inside = {p for p in found if any(p.startswith(f"{q}.") for q in found)}
        outer = {path: call for path, call in found.items() if path not in inside}
        if outer:
            return {path: call for path, call in outer.items() if may_start(call)}
    raise ModelError(
        "a network to rewire must have stages of blocks: modules of one class, each "
        "with two weight matrices or more, that follow each other and keep the shape "
        f"of the features; got a {type(model).__name__} in which {_broken_rule(probe)}"
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
            if same and follows and _matrices(other) > 1:
                kinds.add(_kind(other))
        taken = tuple(f"{call.path}." for call in calls if _kind(call) in kinds)
    return kinds


def _matrices(call: Call) -> int:
    """Returns the number of weight matrices that a module holds."""
    return sum(parameter.ndim > 1 for parameter in call.module.parameters())


def _broken_rule(probe: Probe) -> str:
    """Returns the rule that the siblings which come nearest to blocks break."""
    times = Counter(call.path for call in probe.calls)
    siblings: dict[str, list[Call]] = defaultdict(list)
    for call in {call.path: call for call in probe.calls if call.path}.values():
        if _matrices(call) and not isinstance(call.module, nn.Sequential):
            siblings[call.parent].append(call)
    none = "no two modules of one class with weight matrices follow each other"
    found = [(-1, 0, none)]  # how near, from where, the rule
    for every in siblings.values():
        for call in every:
            if times[call.path] > 1:
                found.append((2, call.depth, f"{call} runs {times[call.path]} times"))
        for one, other in pairwise(every):
            if type(one.module) is type(other.module):
                near, rule = _rule_of_a_pair(one, other)
                found.append((near, other.depth, rule))
    return max(found, key=lambda each: (each[0], -each[1]))[2]


def _rule_of_a_pair(one: Call, other: Call) -> tuple[int, str]:
    """Returns how near two siblings are to blocks, and the rule that they break."""
    if _matrices(other) < 2:
        return 0, f"{other} has 1 weight matrix"
    for call in (other, one):
        if not call.maps_features:
            return 2, f"{call.mapping}, not one tensor to one, batch first"
    if one.y.shape != other.x.shape or other.keeps_shape:
        return 1, f"{other} does not take what {one} returns"
    return 2, f"{other.mapping}, another shape"


def _chain(
    model: nn.Module, runs: Sequence[Sequence[Call]], in_channels: int, num_classes: int
) -> Parts:
    """Returns the parts of a chain: a stem, stages and a head.

    Raises:
        ModelError: If it is none, or cannot be traced.
    """
    around = {""}  # the modules that hold blocks
    for call in (call for run in runs for call in run):
        if not call.is_plain:
            raise ModelError(f"{call.path} takes or returns more than features")
        names = call.path.split(".")
        around |= {".".join(names[:depth]) for depth in range(1, len(names))}
    graph = trace(model, around)
    steps = {node.target: node for node in graph.nodes if node.op == "call_module"}
    value, stages = next(iter(graph.nodes)), []
    try:
        for run in runs:
            (entering,) = steps[run[0].path].all_input_nodes
            parts = replace(stage_parts(model, run_of(run)), run=None)
            entrance = between(model, graph, value, entering)
            stages.append(replace(parts, entrance=entrance))
            value = steps[run[-1].path]
        head = between(model, graph, value, output_of(graph)) or nn.Identity()
    except LookupError as error:
        raise ModelError("something has another input than what is before") from error
    stem = stages[0].entrance or nn.Identity()
    stages[0] = replace(stages[0], entrance=None)

    def make(stages: Sequence[Stage]) -> Network:
        network = Network(stem, stages, head, in_channels=in_channels)
        network.own_cfg = getattr(model, "pretrained_cfg", None)
        return network

    return Parts("block", make, stages, in_channels, num_classes)
