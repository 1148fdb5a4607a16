"""The command that writes a network for elsewhere."""

import json
from pathlib import Path

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH, RUN_OPTION


@click.command()
@click.argument("model", metavar="MODEL_OR_RUN", type=PATH)
@RUN_OPTION
@click.option(
    "--format",
    type=click.Choice(["onnx", "torch"]),
    help="onnx, or torch for torch.export.  [default: what FILE ends with, .onnx or "
    ".pt2]",
)
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="FILE",
    help="The file.",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    help="Pixels.  [default: the run's, or what a network of its name is meant for]",
)
@click.option(
    "--adjacency", is_flag=True, help="Let each stage's adjacency be an output too."
)
@OVERWRITE_OPTION
@JSON_OPTION
def export(
    model: Path,
    run: Path | None,
    format: str | None,
    out: Path,
    image_size: int | None,
    adjacency: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a network to an ONNX or torch.export file.

    The file is of a run's folder or a saved network and takes any number of images at
    a time. Gates stay as multiplications: closed edges weigh 0, and every node is
    computed; what never opens, ddw-graph prune takes out before. What the file computes
    is compared with the network before it is kept.

    \b
    ddw-graph export runs/ddw --out ddw.onnx
    ddw-graph export runs/ddw/pruned.safetensors --out small.pt2
    """
    from ddw_graph.deployment.export import export as exported
    from ddw_graph.deployment.trained import trained

    found = exported(
        trained(model, run=run),
        out,
        format=format,
        image_size=image_size,
        adjacency=adjacency,
        overwrite=overwrite,
    )
    if as_json:
        report = {
            "file": str(found.path),
            "format": found.format,
            "bytes": found.size,
            "outputs": found.outputs,
            "metadata": found.metadata,
            "parity": vars(found.parity),
        }
        click.echo(json.dumps(report))
        return
    batches = " and ".join(map(str, found.parity.batches))
    known = [key for key in ("classes", "mean") if key not in found.metadata]
    click.echo(
        f"{found.path}: {found.format}, {found.size / 1e6:.2f} MB, outputs "
        f"{', '.join(found.outputs)}; in batches of {batches} at most "
        f"{found.parity.logits:.1e} of the largest logit off (rounding alone: "
        f"{found.parity.rounding:.1e})"
    )
    if known:
        click.echo(
            "classes and transform of images are not in the file: the network does "
            "not say of which run it is (--run)",
            err=True,
        )
