"""The command that lists the networks and what they cost."""

import json
from collections.abc import Sequence
from typing import Any

import click

from ddw_graph.cli.options import JSON_OPTION


@click.command()
@click.argument("names", metavar="[NETWORK]...", nargs=-1)
@click.option(
    "--table1", is_flag=True, help="The paper's Table 1: its costs next to ours."
)
@click.option(
    "--table2", is_flag=True, help="Table 2: GFLOPs of backbones at 800x1333."
)
@JSON_OPTION
def models(names: tuple[str, ...], table1: bool, table2: bool, as_json: bool) -> None:
    """List the networks with what they cost for each kind of edges.

    \b
    ddw-graph models
    ddw-graph models resnet50 timm/convnext_tiny
    ddw-graph models --table1
    """
    if table1 and table2:
        raise click.UsageError("one of --table1 and --table2, got both")
    if table1 or table2:
        option = "--table1" if table1 else "--table2"
        if names:
            raise click.UsageError(f"{option} has its own networks and takes no names")
        _paper_table(option, as_json)
        return
    from ddw_graph.cli.progress import bar
    from ddw_graph.models import image_size, list_models
    from ddw_graph.models.catalogue import prices

    rows: list[dict[str, Any]] = []
    with bar() as progress:
        for name in progress.track(names or list_models(), description="networks"):
            row: dict[str, Any] = {"network": name, "image_size": image_size(name)}
            for edges, price in prices(name).items():
                row[edges] = {
                    "params": price.parameters,
                    "layer_macs": price.layer_macs,
                    "total_macs": price.total_macs,
                }
            rows.append(row)
    if as_json:
        click.echo(json.dumps(rows))
        return
    header = ("network", "px", "edges", "params, M", "layer MACs, M", "total MACs, M")
    lines = [
        (
            row["network"] if edges == "fixed" else "",
            str(row["image_size"]) if edges == "fixed" else "",
            edges,
            f"{row[edges]['params'] / 1e6:.3f}",
            f"{row[edges]['layer_macs'] / 1e6:.1f}",
            f"{row[edges]['total_macs'] / 1e6:.1f}",
        )
        for row in rows
        for edges in ("fixed", "learned", "dynamic")
    ]
    click.echo(_markdown(header, lines))


def _paper_table(option: str, as_json: bool) -> None:
    """Prints the paper's figures, ours and the differences."""
    from ddw_graph.cli.progress import bar
    from ddw_graph.models.catalogue import READING, TABLE_1, TABLE_2, table1, table2

    first = option == "--table1"
    rows, networks = (table1(), TABLE_1) if first else (table2(), TABLE_2)
    with bar() as progress:
        total = 2 * len(networks)
        found = list(progress.track(rows, total=total, description="networks"))
    if as_json:
        click.echo(json.dumps({"rows": found, "reading": READING} if first else found))
        return
    # By title the key and the form of the paper's figure, and of ours.
    figures = {
        "params, M": ("paper_parameters", ".2f", "parameters", ".3f"),
        "layer MACs, M": ("paper_macs", ".0f", "layer_macs", ".1f"),
    }
    if not first:
        figures = {"GFLOPs": ("paper_gflops", ".0f", "gflops", ".1f")}
    last, key = ("total MACs, M", "total_macs") if first else ("total", "total_gflops")
    header = ["network", "variant"]
    for title in figures:
        header += [f"{title}: paper", "ours", "difference"]
    lines = []
    for row in found:
        cells = [row["network"], row["variant"]]
        for paper, precise, own, exact in figures.values():
            share = row[own] / row[paper] - 1
            cells += [format(row[paper], precise), format(row[own], exact)]
            cells.append(f"{100 * share:+.2f} %")
        lines.append([*cells, f"{row[key]:.1f}"])
    text = _markdown([*header, last], lines)
    click.echo("\n\n".join([text, *READING] if first else [text]))


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown whose columns line up."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |"
        for line in (header, rule, *rows)
    )
