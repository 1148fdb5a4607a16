"""The command that draws a wiring."""

from pathlib import Path

import click

from ddw_graph.cli.options import (
    N_OPTION,
    OVERWRITE_OPTION,
    PATH,
    SEED_OPTION,
    WIRING,
    print_file,
    wiring,
)


@click.command()
@click.argument("wiring_or_file", metavar="WIRING", type=WIRING)
@N_OPTION
@SEED_OPTION
@click.option("--out", type=PATH, help="Picture: .png, .svg or .pdf.")
@click.option(
    "--style",
    type=click.Choice(["auto", "arcs", "layered", "matrix"]),
    default="auto",
    show_default=True,
    help="How to draw the picture.",
)
@OVERWRITE_OPTION
def draw(
    wiring_or_file: str,
    n: int | None,
    seed: int,
    out: Path | None,
    style: str,
    overwrite: bool,
) -> None:
    """Draw a wiring, as a picture or as text.

    Without --out it is printed as text. WIRING is a file that build wrote, or a text
    such as ws:k=4,p=0.75.

    \b
    ddw-graph draw ws-n32-k4-p0.75-seed0.json --out ws.svg
    ddw-graph draw ws:k=4,p=0.75 --n 16
    """
    from ddw_graph.wiring import text_drawing

    if style != "auto" and out is None:
        raise click.UsageError("--style needs --out")
    dag = wiring(wiring_or_file, n=n, seed=seed)
    if out is not None:
        from ddw_graph.analysis.pictures import save_figure
        from ddw_graph.analysis.wiring_drawing import draw_wiring

        figure = draw_wiring(dag, style=style)
        print_file(out, written=save_figure(figure, out, overwrite=overwrite))
    else:
        click.echo(text_drawing(dag))
