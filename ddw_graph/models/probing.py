"""Watching a forward without data: which modules run, on which features."""

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from ddw_graph.errors import ModelError, first_sentence
from ddw_graph.models.examples import Example, Inputs, examples
from ddw_graph.nn.outputs import evaluating


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a module.

    Args:
        x: What it took first; where all was given by name, all of it.
        y: What it returned; of features with its own arguments behind, the features.
        args: What it took besides.
        returns: The arguments behind ``y`` in the tuple that it returned; see ``Run``.
        maps_features: Whether ``x`` and ``y`` are features: tensors of floats, the
            batch first.
    """

    path: str
    module: nn.Module
    x: Any
    y: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    returns: list[int | str | None] | None
    maps_features: bool

    def __str__(self) -> str:
        return f"{self.path} ({type(self.module).__name__})"

    @property
    def parent(self) -> str:
        """The name of the module that holds this one."""
        return self.path.rpartition(".")[0]

    @property
    def depth(self) -> int:
        """The number of modules that hold this one."""
        return self.path.count(".")

    @property
    def mapping(self) -> str:
        """The shapes of what it takes and returns, in words."""
        x, y = tree_map(
            lambda x: tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__,
            (self.x, self.y),
        )
        return f"{self} maps {x} to {y}"

    @property
    def keeps_shape(self) -> bool:
        """Whether the features keep their shape."""
        return bool(self.x.shape == self.y.shape)

    @property
    def is_plain(self) -> bool:
        """Whether features are all that it takes, and all that it returns."""
        others = (*self.args, *self.kwargs.values())
        return self.returns is None and all(each is None for each in others)

    @property
    def channel_axis(self) -> int:
        """The axis of channels: the one whose size its first weights take.

        Where both axes have it, or none, the first one is for images.
        """
        for parameter in self.module.parameters():
            shape = parameter.shape
            sizes = [n for n in shape[:2] if n > 1] or [n for n in shape if n > 1]
            fits = [axis for axis in (1, -1) if self.x.shape[axis] in sizes[-1:]]
            if len(fits) == 1:
                return fits[0]
            if fits:
                break
        return 1 if self.x.ndim == 4 else -1


@dataclass
class Probe:
    """What a network did in one forward.

    Args:
        calls: The calls of modules, in the order in which they ended.
        readers: For the features that a call returned, by ``id``, where a function of
            torch read them: the names of the modules that were running.
    """

    example: Example
    calls: list[Call] = field(default_factory=list)
    output: Any = None
    readers: dict[int, set[tuple[str, ...]]] = field(
        default_factory=lambda: defaultdict(set)
    )


def probe(model: nn.Module, inputs: Inputs | None = None) -> Probe:
    """Returns what a network does in evaluation with features that it takes.

    It runs without data where it can: on images.
    """
    known = list(examples(model, inputs))
    reason: Exception | None = None
    with evaluating(model), torch.no_grad():
        # What a network does with tokens may depend on their values, such as padding.
        for meta in (True, False) if known[0].image_channels else (False,):
            for example in known:
                try:
                    return _watched(model, example, meta=meta)
                except Exception as error:  # whatever a network raises
                    reason = reason or error
    assert reason is not None
    image = next((e.args[0].shape[2:] for e in known if e.image_channels), None)
    what = f"images of {image[0]}x{image[1]} px" if image else "its inputs"
    raise ModelError(
        f"a network to rewire must take {what}, or inputs= that show what it takes, "
        f"got a {type(model).__name__} that fails: {first_sentence(reason)}"
    ) from reason


def _watched(model: nn.Module, example: Example, *, meta: bool) -> Probe:
    found = Probe(example)
    known: dict[int, Tensor] = {}  # alive, so that no id is given again
    if meta:
        model = copy.deepcopy(model).to("meta")
    paths = {module: path for path, module in model.named_modules()}
    running: list[str] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if getattr(func, "__name__", "") not in ("__get__", "size", "dim"):
                for x in tree_leaves((args, kwargs)):
                    if isinstance(x, Tensor) and id(x) in known:
                        found.readers[id(x)].add(tuple(running))
            return func(*args, **kwargs)

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        running.append(paths[module])

    def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        path, y, returns = running.pop(), output, None
        if isinstance(output, tuple) and output:
            given = [(None, None), *enumerate(args[1:]), *kwargs.items()]
            keys = [[key for key, x in given if same(x, each)] for each in output[1:]]
            if all(keys):
                y, returns = output[0], [key[0] for key in keys]
        # Copied: a list may be longer after the call.
        x: Any = tree_map(lambda each: each, args[0] if args else kwargs)
        features = all(_is_features(each, example.batch) for each in (x, y))
        found.calls.append(
            Call(path, module, x, y, args[1:], kwargs, returns, features)
        )
        if features:
            known[id(y)] = y

    hooks = []
    for module in model.modules():
        hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        hooks.append(module.register_forward_hook(leave, with_kwargs=True))
    args, kwargs = example.like(next(model.parameters()))
    try:
        with Watch():
            found.output = model(*args, **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _is_features(x: Any, batch: int) -> bool:
    # Through attributes: what watches takes a function of torch for a reader.
    is_float = isinstance(x, Tensor) and x.dtype.is_floating_point
    return is_float and x.ndim > 1 and x.shape[0] == batch


def same(one: Any, other: Any) -> bool:
    """Returns whether two arguments are the same object, or hold the same ones."""
    if one is other:
        return True
    if type(one) is not type(other) or isinstance(one, Tensor):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool | int | float | str) and one == other
