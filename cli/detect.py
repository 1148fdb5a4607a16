"""The commands of detection."""

import click

from ddw_graph.cli.detect_eval import evaluate
from ddw_graph.cli.detect_predict import predict
from ddw_graph.cli.detect_train import train


@click.group(invoke_without_command=True)
@click.pass_context
def detect(ctx: click.Context) -> None:
    """Train detectors on wired backbones, and use them.

    \b
    ddw-graph train --data folder --root data/crops --image-size 64 \\
        --model resnet18 --out runs/classifier
    ddw-graph detect train --root data --from runs/classifier --out runs/detector
    ddw-graph detect eval runs/detector --root data
    ddw-graph detect predict runs/detector data/val/000000.png --out found
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (train, evaluate, predict):
    detect.add_command(command)
