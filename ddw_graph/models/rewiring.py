"""Backbones as stages of DAGs: your own rewired, or one of a library by its name."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ddw_graph.errors import ModelError, ShareWarning, WiringError
from ddw_graph.generators.stages import Wiring, stage_wirings
from ddw_graph.models.backbones import library_model, name_of
from ddw_graph.models.examples import Inputs, examples, float_tensors
from ddw_graph.models.hosting import host_parts
from ddw_graph.models.parts import (
    Parts,
    after_pruning,
    build_network,
    parts_of_network,
    with_nodes,
)
from ddw_graph.models.share import HALF, share_in_stages
from ddw_graph.models.splitting import split_backbone
from ddw_graph.nn.arguments import check_integers
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.edges import edge_settings, edge_text, kind_name, saved_text
from ddw_graph.nn.host_network import Run
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import evaluating
from ddw_graph.wiring import edge_attributes, edge_list, to_dict

WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
}
"""Classes of torch that hold a network, and the attribute in which they do."""


def create_backbone(
    name: str,
    *,
    wiring: Wiring | None = None,
    edges: str | Edges = "dynamic",
    node: str | None = None,
    num_classes: int = 1000,
    in_channels: int = 3,
    drop_path: float = 0.0,
    seed: int = 0,
) -> Network:
    """Returns a backbone of torchvision or timm as stages; see ``create_model``.

    Args:
        wiring: n is a stage's number of blocks. For fixed edges the backbone's own by
            default: the original network.
        node: What a node is: ``branch``, what a block adds to its shortcut (the
            paper's), or ``block``, the whole block, which is the default only for the
            original network.

    Source:
        DDW, sections 4.1 and 4.3.
    """
    settings = edge_settings(edges)
    if node is None:
        original = kind_name(settings) == "fixed" and wiring is None
        node = "block" if original else "branch"
    check_integers(num_classes=num_classes, in_channels=in_channels)
    model = library_model(name, num_classes=num_classes, in_channels=in_channels)
    return wired(
        split_backbone(model, node),
        name,
        edges=settings,
        wiring=wiring,
        neutral=False,
        drop_path=drop_path,
        seed=seed,
    )


def restore_backbone(
    config: Mapping[str, Any],
    dags: Sequence[nx.DiGraph],
    edges: Edges,
    *,
    backbone: nn.Module | None = None,
) -> Network:
    """Returns the network of a configuration, its wirings and its edge weights."""
    name, node = config["name"], config["node"]
    classes, channels = config["num_classes"], config["in_channels"]
    if name is not None:
        backbone = library_model(name, num_classes=classes, in_channels=channels)
    elif backbone is None:
        raise ModelError(
            "this network was rewired from your own backbone: backbone must be given, "
            "got None"
        )
    if "runs" in config:
        runs = [Run(**run) for run in config["runs"]]
        parts = with_nodes(host_parts(backbone, runs, channels, classes), node)
    else:
        parts = split_backbone(backbone, node)
    if (parts.num_classes, parts.in_channels) != (classes, channels):
        raise ModelError(
            f"the backbone must have {classes} classes and {channels} channels, "
            f"got {parts.num_classes} and {parts.in_channels}"
        )
    parts = after_pruning(parts, config.get("nodes"))
    return build_network(parts, dags, config, edges=edges)


def rewire(
    model: nn.Module,
    *,
    edges: str | Edges = "dynamic",
    wiring: Wiring | None = None,
    node: str | None = None,
    neutral: bool = True,
    drop_path: float = 0.0,
    seed: int = 0,
    inputs: Inputs | None = None,
) -> Network:
    """Returns a copy of your network, with its weights, as stages of DAGs.

    It takes any network with chains of blocks: ResNets, ConvNeXt, ViT, Swin and most
    others of torchvision and timm, GPT-2, Llama, BERT and more of transformers, or your
    own. Where the network is not a stem, stages and a head, its own forward runs the
    stages, and a ``HostNetwork`` is returned: it takes what the network takes, and
    whatever a block takes besides its features reaches every node.

    With a neutral start the new network computes what the old one does: the edges that
    it had weigh 1 and new ones 0. They learn from there. That is checked on an example,
    except on the device ``meta``.

    Args:
        model: The network, or one that ``create_model`` or ``rewire`` made of a
            backbone.
        edges: A kind of edge weights; see ``Stage``.
        wiring: As for ``create_model``; n is the number of a stage's blocks. By default
            the complete DAG, and for fixed edges that of the network.
        node: What a node is. ``block``, the default: the whole block. ``branch``: what
            a block adds to its shortcut, as in the paper, or each of two branches of a
            Transformer's block; neutral where nothing follows the addition
            (MobileNetV2, EfficientNet, ViT, Llama).
        neutral: Whether to start neutral, for which the wiring must have the edges that
            the network had. Otherwise edges start as their settings say.
        drop_path: As for ``create_model``, like ``seed``.
        inputs: What the network is called with: a tensor, a list of arguments, or a
            dictionary of them by name. By default images, or the tokens of a language
            model of transformers.

    Raises:
        ModelError: If the network has no chain of blocks, or a neutral start is not
            possible.
        WiringError: If a wiring is none, or does not fit the stages.

    Warns:
        ShareWarning: If the stages hold less than half of the parameters; see
            ``share_in_stages``.

    Example:
        >>> import torch
        >>> from torchvision.models import resnet18
        >>> old = resnet18().eval()
        >>> new = rewire(old, edges="dynamic")
        >>> images = torch.randn(2, 3, 64, 64)
        >>> torch.allclose(old(images), new(images), atol=1e-4)
        True

    Source:
        DDW, section 3.2; the neutral start is ours.
    """
    settings = edge_settings(edges)
    kind = type(model).__name__
    if kind in WRAPPERS:
        raise ModelError(
            f"rewire takes the network itself, got it in a {kind}; pass its attribute "
            f"{WRAPPERS[kind]}"
        )
    copied = copy.deepcopy(model)
    modes = {module: module.training for module in copied.modules()}
    if isinstance(copied, Network):
        parts = parts_of_network(copied)
        parts = with_nodes(parts, node or parts.node)
        config = copied.config or {}
        name, nodes = config["name"], config.get("nodes")
        had = {edge_text(stage.edges) for stage in copied.stages}
    else:
        parts = split_backbone(copied, node or "block", inputs=inputs)
        name = name_of(
            copied, num_classes=parts.num_classes, in_channels=parts.in_channels
        )
        nodes, had = None, {"fixed"}
    if neutral and had != {"fixed"}:
        raise ModelError(
            "a neutral start is made from edges that weigh 1, got a network with "
            f"{', '.join(sorted(had))} edges; neutral=False starts anew"
        )
    if neutral and not parts.is_network:
        raise ModelError(
            "branches start neutral where nothing follows the addition in a block, got "
            "blocks in which something does; take node='block', or neutral=False"
        )
    network = wired(
        parts,
        name,
        edges=settings,
        wiring=wiring,
        neutral=neutral,
        drop_path=drop_path,
        seed=seed,
        nodes=nodes,
    )
    has_data = not any(parameter.is_meta for parameter in model.parameters())
    if has_data:
        _check_causal(model, network, inputs)
    if not model.training:
        network.eval()
    # A copied shortcut keeps the modes that it was copied with.
    for module in network.modules():
        module.training = modes.get(module, module.training)
    if neutral and has_data:
        _check_same(model, network, inputs)
    share = share_in_stages(network)
    if share.share < HALF:
        warnings.warn(str(share), ShareWarning, stacklevel=2)
    return network


def wired(
    parts: Parts,
    name: str | None,
    *,
    edges: Edges,
    wiring: Wiring | None,
    neutral: bool,
    drop_path: float,
    seed: int,
    nodes: Sequence[Sequence[int]] | None = None,
    is_new: bool = False,
) -> Network:
    """Returns the network of some parts and a wiring, with its configuration.

    Args:
        nodes: The nodes that pruning has left.
        is_new: Whether the parts are untrained: a wiring without all of their edges
            then starts neutral with a weight of 1 on every edge.
    """
    if wiring is None and kind_name(edges) == "fixed":
        dags = [stage.wiring for stage in parts.stages]
    else:
        blocks = [len(stage.operations) for stage in parts.stages]
        try:
            dags = stage_wirings(
                "complete" if wiring is None else wiring, blocks, seed=seed
            )
        except WiringError as error:
            if "n=" not in str(error):
                raise
            stages = ", ".join(map(str, blocks))
            raise WiringError(
                f"{error}; the network's blocks give stages of n={stages}"
            ) from error
    had: list[Any] = []
    for stage, dag in zip(parts.stages, dags, strict=False):
        own = edge_list(stage.wiring)
        lacks = not set(own) <= set(dag.edges)
        kept = [[i, j] for i, j in (edge_list(dag) if is_new and lacks else own)]
        # Edges with weights of the DAG start there.
        had.append(None if edge_attributes(dag) else kept)
    if parts.is_network and getattr(edges, "starts_neutral", False):
        neutral = True
    origin = {
        "name": name,
        "num_classes": parts.num_classes,
        "in_channels": parts.in_channels,
    }
    config: dict[str, Any] = {
        **(parts.origin or origin),
        "node": parts.node,
        "edges": saved_text(edges),
        "drop_path": drop_path,
        "neutral": had if neutral else None,
        "wirings": [to_dict(dag) for dag in dags],
    }
    if parts.runs:
        config["runs"] = [asdict(run) for run in parts.runs]
    if nodes is not None:  # of a pruned network
        config["nodes"] = nodes
    return build_network(parts, dags, config, edges=edges)


@torch.no_grad()
def _check_causal(model: nn.Module, network: Network, inputs: Inputs | None) -> None:
    """Checks that edges do not see later tokens where the model does not."""
    seeing = [each for each in network.stages if each.weights.sees_all_positions]
    if seeing and _is_causal(model, inputs):
        raise ModelError(
            "edges of a model that does not see later tokens must not see them, got a "
            f"{type(model).__name__} with {edge_text(seeing[0].edges)} edges, which "
            "average over all tokens; take edges='dynamic:per=position'"
        )


def _is_causal(model: nn.Module, inputs: Inputs | None) -> bool:
    """Returns whether another last token changes nothing before it."""
    example = next(examples(model, inputs)).like(next(model.parameters()))
    texts = []

    def with_other_last(x: Tensor) -> Tensor:
        if x.dtype != torch.long or x.ndim != 2:
            return x
        texts.append(x)
        x = x.clone()
        # In the last sample, which has no padding.
        x[-1, -1] = (x[-1, -1] + 1) % (x.max() + 1)
        return x

    changed = tree_map_only(Tensor, with_other_last, tuple(example))
    if not texts:
        return False
    with evaluating(model):
        before, after = (
            float_tensors(model(*args, **kwargs))[0][-1]
            for args, kwargs in (example, changed)
        )
    return before.ndim > 1 and torch.allclose(before[:-1], after[:-1], atol=1e-6)


@torch.no_grad()
def _check_same(model: nn.Module, network: Network, inputs: Inputs | None) -> None:
    """Checks that two networks return the same for an example of their inputs."""
    parameter = next(model.parameters())
    # Small images first, which are cheap.
    for example in examples(model, inputs, first=(64,)):
        args, kwargs = example.like(parameter)
        try:
            with evaluating(model):
                wanted = float_tensors(model(*args, **kwargs))
        except Exception:  # images of another size than it takes
            continue
        if all(x.isfinite().all() for x in wanted):
            break
    else:
        raise ModelError(
            "a neutral start is checked on what the network takes, got a "
            f"{type(model).__name__} that fails, or returns NaN, on every example: "
            "give inputs="
        )
    with evaluating(network):
        found = float_tensors(network(*args, **kwargs))
    limit = torch.finfo(parameter.dtype).eps ** 0.5
    for one, other in zip(found, wanted, strict=True):
        difference = (one - other).abs().max().item()
        if not difference <= limit * max(1, other.abs().max().item()):
            raise ModelError(
                f"the rewired network must compute what the {type(model).__name__} "
                f"does, got outputs that differ by {difference:.2g}: it is not of the "
                "form that rewire knows, or a wiring's attribute weights compute "
                "something else"
            )
