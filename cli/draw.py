"""The command that draws a wiring."""

from pathlib import Path

import click

from ddw_graph.cli.options import (
    N_OPTION,
    OVERWRITE_OPTION,
    SEED_OPTION,
    WIRING,
    wiring,
)
from ddw_graph.printable import printable


@click.command()
@click.argument("wiring_or_file", metavar="WIRING", type=WIRING)
@N_OPTION
@SEED_OPTION
@click.option(
    "--out", type=click.Path(path_type=Path), help="Picture: .png, .svg or .pdf."
)
@click.option(
    "--style",
    type=click.Choice(["auto", "arcs", "layered", "matrix"]),
    default="auto",
    show_default=True,
    help="How to draw the picture.",
)
@click.option("--text", is_flag=True, help="Print it as text, as without --out.")
@OVERWRITE_OPTION
def draw(
    wiring_or_file: str,
    n: int | None,
    seed: int,
    out: Path | None,
    style: str,
    text: bool,
    overwrite: bool,
) -> None:
    """Draw a wiring, as a picture or as text.

    WIRING is a file that build wrote, or a text such as ws:k=4,p=0.75.

    \b
    ddw-graph draw ws-n32-k4-p0.75-seed0.json --out ws.svg
    ddw-graph draw ws:k=4,p=0.75 --n 16 --text
    """
    from ddw_graph.wiring import text_drawing

    if style != "auto" and out is None:
        raise click.UsageError("--style needs --out")
    dag = wiring(wiring_or_file, n=n, seed=seed)
    if out is not None:
        from ddw_graph.analysis.pictures import save_figure
        from ddw_graph.analysis.wiring_drawing import draw_wiring

        figure = draw_wiring(dag, style=style)
        written = save_figure(figure, out, overwrite=overwrite)
        word = "wrote" if written else "unchanged:"
        click.echo(f"{word} {printable(str(out))}", err=True)
    if text or out is None:
        click.echo(text_drawing(dag))
