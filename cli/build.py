"""The command that builds a wiring."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.options import (
    DEFAULT_N,
    JSON_OPTION,
    N_OPTION,
    OVERWRITE_OPTION,
    PATH,
    SEED_OPTION,
    WIRING,
    print_file,
    wiring,
)

if TYPE_CHECKING:
    import networkx as nx

    from ddw_graph.wiring import Description

# Distances take n times as long as counts: seconds at 500 nodes, all joined.
_MOST_NODES_FOR_DISTANCES = 500


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
    "files",
    multiple=True,
    type=PATH,
    help="File for the wiring: .json, .graphml or .dot, or a picture: .svg, .png or "
    ".pdf; may be repeated.  [default: JSON named after it; none with --json or a "
    "wiring from a file]",
)
@OVERWRITE_OPTION
@JSON_OPTION
@click.option("--model", metavar="NAME", help="Print the cost of this network with it.")
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
    files: tuple[Path, ...],
    overwrite: bool,
    as_json: bool,
    model: str | None,
    edges: str | None,
) -> None:
    """Build a wiring, describe it, and write it.

    \b
    ddw-graph build --generator ws --k 4 --p 0.75
    ddw-graph build --generator complete --n 6 --out complete.svg
    ddw-graph build --generator ba --m 5 --model randwire_small --json
    """
    # Imports wait until here so that --help does not: see cli/main.py.
    from ddw_graph.wiring import describe, to_dict

    if edges is not None and model is None:
        raise click.UsageError("--edges needs --model")
    text = with_arguments(generator, context.args)
    dag = wiring(text, n=n, seed=seed)
    description = describe(dag, distances=len(dag) <= _MOST_NODES_FOR_DISTANCES)
    price = {} if model is None else _price(model, edges or "dynamic", text, n, seed)
    if not (files or as_json or text.startswith("file:")):
        files = (Path(_file_name(dag)),)
    _write(dag, files, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({**to_dict(dag), **description.as_dict(), **price}))
    else:
        click.echo("\n".join(_summary(dag, description, price)))


def with_arguments(generator: str, options: Sequence[str]) -> str:
    """Returns ``--generator`` with its arguments as one text, e.g. ``ws:k=4,p=0.75``.

    Args:
        generator: A generator's text, or that of a file.
        options: Words of the command line, such as ``--k 4 --p=0.75``.

    Raises:
        UsageError: If they are no options with values.
        WiringError: If the generator is unknown, or an argument is missing, not taken,
            or given twice.
    """
    from ddw_graph.generators.texts import plain_text

    pairs = []
    words = iter(options)
    for word in words:
        option, equals, value = word.partition("=")
        if not option.startswith("--"):
            raise click.UsageError(f"Got unexpected extra argument ({word})")
        if not equals:
            value = next(words, "")
        if not value:
            raise click.UsageError(f"Option {option!r} requires an argument.")
        pairs.append(f"{option[2:].replace('-', '_')}={value}")
    if pairs and generator.startswith("file:"):
        raise click.UsageError(f"a file takes no arguments, got {' '.join(options)}")
    joint = "," if ":" in generator else ":"
    return plain_text(joint.join([generator, ",".join(pairs)]) if pairs else generator)


def _write(dag: "nx.DiGraph", files: tuple[Path, ...], *, overwrite: bool) -> None:
    """Writes a wiring to files of the forms that their endings name."""
    from ddw_graph.atomic import write_bytes
    from ddw_graph.wiring import save, to_dot, to_graphml

    def dot(dag: "nx.DiGraph", path: Path, *, overwrite: bool) -> bool:
        return write_bytes(path, [to_dot(dag).encode()], overwrite=overwrite)

    def picture(dag: "nx.DiGraph", path: Path, *, overwrite: bool) -> bool:
        from ddw_graph.analysis.pictures import save_figure
        from ddw_graph.analysis.wiring_drawing import draw_wiring

        return save_figure(draw_wiring(dag), path, overwrite=overwrite)

    forms = {".json": save, ".graphml": to_graphml, ".dot": dot}
    for path in files:
        if path.suffix not in forms:
            from ddw_graph.analysis.pictures import check_ending

            check_ending(path.suffix)
    for path in files:
        write = forms.get(path.suffix, picture)
        print_file(path, written=write(dag, path, overwrite=overwrite))


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


def _file_name(dag: "nx.DiGraph") -> str:
    """Returns a wiring's text as a file name: ``ws-n32-k4-p0.75-seed0.json``."""
    name = re.sub("[:,]", "-", dag.graph["wiring"]).replace("=", "")
    return f"{re.sub('[^A-Za-z0-9._+-]', '_', name)}.json"


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
