"""The siblings that come nearest to blocks, and the rule that they break."""

from collections import Counter, defaultdict
from itertools import pairwise

from torch import nn

from ddw_graph.models.probing import Probe, Shapes


def nearest(model: nn.Module, probe: Probe) -> str:
    """Returns why a network has no blocks: the rule that its nearest siblings break."""
    times = Counter(each.path for each in probe.shapes)
    features = {call.path for call in probe.calls}
    siblings: dict[str, list[Shapes]] = defaultdict(list)
    for each in {each.path: each for each in probe.shapes if each.path}.values():
        siblings[each.path.rpartition(".")[0]].append(each)

    def broken(one: Shapes, other: Shapes, between: Shapes) -> tuple[int, str]:
        """Returns how near a pair comes, and the first rule that it breaks."""
        if (held := matrices(other.module)) < 2:
            return 1, f"{other} has {held} weight matrix"
        is_container = isinstance(other.module, nn.Sequential)
        near = 3 if is_container else 5
        for each in (other, one):
            if times[each.path] > 1:
                return near, f"{each} runs {times[each.path]} times"
            if each.path not in features:
                what = f"maps {each.x} to {each.y}, not one tensor to one, batch first"
                return near, f"{each} {what}"
        each = one if is_container and other.x == other.y else other
        if one.y == other.x and each.x != each.y:
            return near, f"{each} maps {each.x} to {each.y}, another shape"
        near = 0 if is_container else 4  # such as a body and a classifier
        if between is not other:
            return near, f"{between} runs between {one} and {other}"
        return near, f"{other} takes {other.x}, not the {one.y} that {one} returns"

    found = []
    for every in siblings.values():
        places = [k for k, each in enumerate(every) if matrices(each.module)]
        classes = Counter(type(every[k].module) for k in places)
        for each in (every[k] for k in places if classes[type(every[k].module)] == 1):
            is_container = isinstance(each.module, nn.Sequential)
            if matrices(each.module) > 1 and each.x == each.y and not is_container:
                n, depth = times[each.path], -each.path.count(".")  # the outermost
                lone = 2, f"{each} has no sibling of its class", depth
                found.append((5, f"{each} runs {n} times", depth) if n > 1 else lone)
        for k, m in pairwise(places):
            if type(every[k].module) is type(every[m].module):
                depth = every[m].path.count(".")
                found.append((*broken(every[k], every[m], every[k + 1]), depth))
    none = "no two modules of one class with weight matrices follow each other"
    return max(found, key=lambda each: (each[0], each[2]), default=(0, none))[1]


def matrices(module: nn.Module) -> int:
    """Returns the number of weight matrices that a module holds."""
    return sum(parameter.ndim > 1 for parameter in module.parameters())
