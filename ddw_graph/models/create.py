"""Networks by name, and again from the configuration that one carries."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any, Literal, NamedTuple, overload

from torch import nn

from ddw_graph.errors import ModelError, UserError
from ddw_graph.models.backbones import (
    BACKBONES,
    is_backbone,
    names_in_libraries,
)
from ddw_graph.models.features import FeatureNetwork
from ddw_graph.models.randwire import LAYOUTS, create_randwire, restore_randwire
from ddw_graph.models.rewiring import create_backbone, restore_backbone
from ddw_graph.models.transformers import (
    GPT,
    VIT,
    create_transformer,
    restore_transformer,
)
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import from_saved
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import OperationLike
from ddw_graph.wiring import from_dict


class Family(NamedTuple):
    """Networks that are made in the same way.

    Args:
        title: What they are called.
        names: Their names in ``list_models``.
        create: Returns one by its name; its keywords are the settings.
        restore: Returns one of a configuration, its wirings and its edge weights; its
            keywords are what a configuration cannot hold.
        without: Keywords of ``create`` that are no settings of this family.
    """

    title: str
    names: Collection[str]
    create: Callable[..., Network]
    restore: Callable[..., Network]
    without: tuple[str, ...] = ()

    @property
    def settings(self) -> list[str]:
        """The names of the settings."""
        _, *names = signature(self.create).parameters
        return [name for name in names if name not in self.without]


BACKBONE = Family("backbones", BACKBONES, create_backbone, restore_backbone)
TRANSFORMER = create_transformer, restore_transformer
OF_IMAGES = ("image_size", "patch", "num_classes", "in_channels")
FAMILIES = (
    Family("RandWire's networks", LAYOUTS, create_randwire, restore_randwire),
    BACKBONE,
    Family("language models", GPT, *TRANSFORMER, without=OF_IMAGES),
    Family("vision Transformers", VIT, *TRANSFORMER, ("context", "vocabulary")),
)


TIMM_NAMES = {
    "in_chans": "in_channels",
    "img_size": "image_size",
    "drop_rate": "dropout",
    "drop_path_rate": "drop_path",
}
"""Arguments of timm's ``create_model`` that have other names here."""

PRETRAINED = (
    "pretrained is not taken: load the weights with their library and rewire that "
    "network, such as rewire(torchvision.models.resnet50(weights='DEFAULT'))"
)


def list_models() -> list[str]:
    """Returns the names that ``create_model`` knows.

    Example:
        >>> len(list_models())
        16
    """
    return sorted(name for family in FAMILIES for name in family.names)


@overload
def create_model(
    name: str,
    *,
    features_only: Literal[True],
    out_indices: Sequence[int] | None = ...,
    **settings: Any,
) -> FeatureNetwork: ...


@overload
def create_model(
    name: str, *, features_only: Literal[False] = ..., **settings: Any
) -> Network: ...


def create_model(
    name: str,
    *,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **settings: Any,
) -> Network | FeatureNetwork:
    """Returns a network with new weights.

    Args:
        features_only: Whether to return a ``FeatureNetwork``, which has no head.
        out_indices: The levels that it returns; see there.
        settings: See below, and those of ``create_randwire`` for RandWire's networks,
            of ``create_transformer`` for Transformers, and of ``create_backbone`` for
            all others. None stands for the default.

    Keyword Args:
        wiring: A DAG for every stage, a list of one DAG a stage, a function from n to
            a DAG, or a text such as ``"ws:k=4,p=0.75"``. By default the complete DAG;
            for static edges see the family.
        edges: A kind of edge weights, ``dynamic`` by default, and of language models
            ``dynamic:per=position``; see ``Stage``.
        num_classes: Number of classes, 1000 by default; 0 for a network that returns
            pooled features; not of language models.
        in_channels: Channels of an image, 3 by default; not of language models.
        drop_path: Probability that, in training, a sample loses one input of a node.
        seed: Fixes the random graphs; each stage draws its own. Weights come from
            torch's generator.

    Raises:
        ModelError: If the name is unknown, a setting is out of range or not one of this
            network, or a DAG does not allow it.
        WiringError: If a wiring is none, or does not fit the stages, or n is out of
            range.

    Example:
        >>> model = create_model("randwire_tiny", wiring="ws:k=4,p=0.75")
        >>> [stage.plan.nodes for stage in model.stages]
        [10, 10, 10]
        >>> model = create_model("resnet18", edges="dynamic", num_classes=10)
        >>> [stage.plan.nodes for stage in model.stages]
        [4, 4, 4, 4]
    """
    if out_indices is not None and not features_only:
        raise ModelError(f"out_indices needs features_only=True, got {out_indices}")
    given = {key: value for key, value in settings.items() if value is not None}
    family = _family(name)
    for key in (key for key in given if key not in family.settings):
        if key == "pretrained":
            raise ModelError(PRETRAINED)
        if key in TIMM_NAMES:
            raise ModelError(f"{key} of {name} is called {TIMM_NAMES[key]}")
        others = [each.title for each in FAMILIES if key in each.settings]
        hint = f", a setting of {' and '.join(others)}" if others else ""
        known = ", ".join(family.settings)
        raise ModelError(f"{name} takes {known}; got {key}{hint}")
    network = _with_classes(given, partial(family.create, name))
    return FeatureNetwork(network, out_indices) if features_only else network


def _with_classes(given: Mapping[str, Any], make: Callable[..., Network]) -> Network:
    """Returns a network that is made from settings, which may ask for no classes."""
    if given.get("num_classes") != 0:
        return make(**given)
    network = make(**{**given, "num_classes": 1})
    network.reset_classifier(0)
    return network


def _family(name: str | None) -> Family:
    """Returns the family of a network's name; your own backbone has none."""
    if name is None or is_backbone(name):
        return BACKBONE
    for family in FAMILIES:
        if name in family.names:
            return family
    known = ", ".join((*list_models(), "torchvision/NAME or timm/NAME"))
    near = [*names_in_libraries(name), *get_close_matches(name, list_models(), n=1)]
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ModelError(f"the network must be one of {known}, got {name!r}{hint}")


def has_setting(name: str, key: str) -> bool:
    """Returns whether ``create_model`` takes a setting for a network.

    Example:
        >>> has_setting("vit_tiny", "image_size"), has_setting("resnet18", "image_size")
        (True, False)
    """
    return key in _family(name).settings


def image_size(name: str) -> int:
    """Returns height and width of the images that a network is meant for, pixels.

    That is 224 for every backbone, whatever its library trains it at, and 0 for a
    language model, which takes none.

    Example:
        >>> image_size("randwire_small")
        224
    """
    shapes: Any = {**LAYOUTS, **GPT, **VIT}
    size: int = 224 if _family(name) is BACKBONE else shapes[name].image_size
    return size


def from_config(
    config: Mapping[str, Any],
    *,
    operation: OperationLike | None = None,
    edges: str | Edges | None = None,
    backbone: nn.Module | None = None,
) -> Network:
    """Returns the network that a configuration describes, with new weights.

    Its wirings are those of the configuration, edge by edge: nothing is drawn again.

    Args:
        operation: What a node computes, where the network was made with a callable,
            which a configuration cannot hold.
        edges: The kind of edges, where it has no name or holds a callable.
        backbone: The backbone, with any weights, where ``rewire`` was given one that
            has no name here; it becomes part of the network.

    Raises:
        ModelError: If something is missing, unknown, or out of range.
        WiringError: If a wiring is none.
    """
    try:
        dags = [from_dict(wiring) for wiring in config["wirings"]]
        kind = from_saved(config["edges"], edges)
        restore = _family(config["name"]).restore
        own = {"operation": operation, "backbone": backbone}
        given = {key: value for key, value in own.items() if value is not None}
        for key in given.keys() - signature(restore).parameters.keys():
            raise ModelError(f"{key} must not be given for {config['name']}")

        def make(**config: Any) -> Network:
            return restore(config, dags, kind, **given)

        return _with_classes(config, make)
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"a network's configuration must hold what create_model takes, got {error}"
        ) from error
