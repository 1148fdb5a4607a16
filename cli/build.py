"""The command that builds a wiring."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.options import (
    DEFAULT_N,
    JSON_OPTION,
    N_OPTION,
    OVERWRITE_OPTION,
    SEED_OPTION,
    WIRING,
    wiring,
    with_arguments,
)

if TYPE_CHECKING:
    import networkx as nx

    from ddw_graph.wiring import Description

# Distances take n times as long as counts: seconds at 500 nodes, all joined.
_MOST_NODES_FOR_DISTANCES = 500

_FILE = click.Path(path_type=Path)


# An argument of the generator is an option of its name: each generator has its own.
@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)
@click.option(
    "--generator",
    required=True,
    type=WIRING,
    metavar="NAME",
    help="complete, vgg, resnet, densenet or residual; er with --p, ba with --m, ws "
    "with --k and --p, dilated with --dilation and --period, streams with --width; a "
    "text such as ws:k=4,p=0.75; your own MODULE.FUNCTION; or file:PATH.",
)
@N_OPTION
@SEED_OPTION
@click.option(
    "--out",
    type=_FILE,
    help="File for the wiring; by default named after it, and none with --json or a "
    "wiring from a file.",
)
@OVERWRITE_OPTION
@JSON_OPTION
@click.option("--plot", type=_FILE, help="Draw it too: .png, .svg or .pdf.")
@click.option("--graphml", type=_FILE, help="Write it as GraphML too.")
@click.option("--dot", type=_FILE, help="Write it in Graphviz's DOT language too.")
@click.option("--model", metavar="NAME", help="Say what this network costs with it.")
@click.option(
    "--edges",
    help="Edge weights of the network: fixed, learned, dynamic, attention, receiver or "
    "sinkhorn, with settings where wanted; needs --model.  [default: dynamic]",
)
@click.pass_context
def build(
    context: click.Context,
    generator: str,
    n: int | None,
    seed: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    plot: Path | None,
    graphml: Path | None,
    dot: Path | None,
    model: str | None,
    edges: str | None,
) -> None:
    """Build a wiring, say what it is, and write it.

    \b
    ddw-graph build --generator ws --k 4 --p 0.75
    ddw-graph build --generator complete --n 6 --plot complete.svg
    ddw-graph build --generator ba --m 5 --model randwire_small --json
    """
    # Imports wait until here so that --help does not: see cli/main.py.
    from ddw_graph.atomic import write_bytes
    from ddw_graph.wiring import describe, save, to_dict, to_dot, to_graphml

    if edges is not None and model is None:
        raise click.UsageError("--edges needs --model")
    text = with_arguments(generator, context.args)
    dag = wiring(text, n=n, seed=seed)
    description = describe(dag, distances=len(dag) <= _MOST_NODES_FOR_DISTANCES)
    price = {} if model is None else _price(model, edges or "dynamic", text, n, seed)
    picture = None if plot is None else _picture(dag, plot)

    if out is None and not as_json and not text.startswith("file:"):
        out = Path(_file_name(dag))
    if out is not None:
        _say(out, save(dag, out, overwrite=overwrite))
    if graphml is not None:
        _say(graphml, to_graphml(dag, graphml, overwrite=overwrite))
    if dot is not None:
        _say(dot, write_bytes(dot, [to_dot(dag).encode()], overwrite=overwrite))
    if plot is not None and picture is not None:
        _say(plot, write_bytes(plot, [picture], overwrite=overwrite))

    if as_json:
        click.echo(json.dumps({**to_dict(dag), **description.as_dict(), **price}))
    else:
        click.echo("\n".join(_summary(dag, description, price)))


def _price(
    model: str, edges: str, text: str, n: int | None, seed: int
) -> dict[str, Any]:
    from ddw_graph.generators.texts import has_n
    from ddw_graph.models import create_model, image_size
    from ddw_graph.models.backbones import is_backbone
    from ddw_graph.nn.cost import cost

    if is_backbone(model):
        n = None  # A backbone's stages have as many nodes as blocks.
    elif n is None and not has_n(text):
        n = DEFAULT_N
    # The text, not the graph: each stage of the network draws its own.
    network = create_model(model, wiring=text, edges=edges, n=n, seed=seed)
    size = image_size(model)
    found = cost(network, size)
    return {
        "model": model,
        "edge_weights": edges,
        "image_size": size,
        "params": found.parameters,
        "layer_macs": found.layer_macs,
        "total_macs": found.total_macs,
    }


def _picture(dag: "nx.DiGraph", path: Path) -> bytes:
    from ddw_graph.analysis.pictures import rendered
    from ddw_graph.analysis.wiring_drawing import draw_wiring

    return rendered(draw_wiring(dag), path.suffix)


def _file_name(dag: "nx.DiGraph") -> str:
    """Returns a wiring's text as a file name: ``ws-n32-k4-p0.75-seed0.json``."""
    name = re.sub("[:,]", "-", dag.graph["wiring"]).replace("=", "")
    return f"{re.sub('[^A-Za-z0-9._+-]', '_', name)}.json"


def _say(path: Path, written: bool) -> None:
    click.echo(f"{'wrote' if written else 'unchanged:'} {path}", err=True)


def _summary(
    dag: "nx.DiGraph", description: "Description", price: dict[str, Any]
) -> list[str]:
    inner = description.edges - description.sources - description.sinks
    # An edge from input to output is a source and a sink, and was subtracted twice.
    inner += dag.has_edge(0, description.nodes - 1)
    plain = description.computing == description.nodes - 2
    among = "computing nodes" if plain else "inner nodes"
    rows = [
        ("nodes", f"{description.nodes} ({description.computing} compute)"),
        ("edges", f"{description.edges} ({inner} among {among})"),
        ("depth", f"{description.depth} edges on the longest path"),
        ("sources", f"{description.sources} nodes receive the input"),
        ("sinks", f"{description.sinks} nodes feed the output"),
        ("paths", f"{_count(description.paths)} from input to output"),
    ]
    if description.clustering is not None:
        rows.append(("clustering", f"{description.clustering:.3f}"))
    if description.average_path_length is not None:
        length = f"{description.average_path_length:.2f} edges between {among}"
        rows.append(("distance", length))
    if price:
        size = price["image_size"]
        rows += [
            ("model", f"{price['model']}, {price['edge_weights']} edges, {size} px"),
            ("params", f"{price['params'] / 1e6:.2f}M"),
            ("total MACs", f"{price['total_macs'] / 1e6:.0f}M"),
            ("layer MACs", f"{price['layer_macs'] / 1e6:.0f}M of convolutions and FC"),
        ]
    return [
        dag.graph.get("wiring") or "wiring of unknown origin",
        *(f"  {name:10}  {text}" for name, text in rows),
    ]


def _count(number: int) -> str:
    return str(number) if number < 10**9 else f"about 1e{len(str(number)) - 1}"
