"""The command that takes out of a network what never opens."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH, RUN_ARGUMENT
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.training_options import run_data, run_data_options


@click.command(cls=SettingsCommand)
@RUN_ARGUMENT
@run_data_options
@click.option(
    "--out",
    type=PATH,
    help="The smaller network's file.  [default: RUN/pruned.safetensors]",
)
@OVERWRITE_OPTION
@place_options
@JSON_OPTION
def prune(
    run: Path,
    out: Path | None,
    overwrite: bool,
    workers: int,
    device: str,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Take out of a trained RUN's network what never opens.

    Edges and nodes that no training image opens leave its wirings; the accuracy on the
    test images is printed before and after. The file holds a plain network:
    ddw-graph train --from FILE trains it further.

    \b
    ddw-graph prune runs/ddw
    """
    from ddw_graph.atomic import check_free
    from ddw_graph.models import prune as pruned
    from ddw_graph.models import save
    from ddw_graph.training.evaluation import evaluate
    from ddw_graph.training.loading import batches
    from ddw_graph.training.run import Run

    file = out or run / "pruned.safetensors"
    check_free(file, overwrite=overwrite)
    place = computing_device(device, threads)
    trained = Run(run)
    model = trained.network(device=place)
    data = run_data(trained, options, workers=workers)
    loader = batches(data.inputs("train", model), 250, workers=workers)
    small = pruned(model, (images for images, _ in loader))
    save(small, file, overwrite=overwrite)
    report: dict[str, Any] = {"file": str(file)}
    for name, network in (("before", model), ("after", small)):
        price = data.cost(network)
        report[name] = {
            "computing": sum(len(stage.plan.computing) for stage in network.stages),
            "edges": sum(stage.dag.number_of_edges() for stage in network.stages),
            "parameters": price.parameters,
            "total_macs": price.total_macs,
            "test_accuracy": evaluate(
                network, data.inputs("test", network), workers=workers
            ).accuracy,
        }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name in ("before", "after"):
        row = report[name]
        click.echo(
            f"{name}: {row['computing']} computing nodes, {row['edges']} edges, "
            f"{row['parameters']:,} parameters, "
            f"{row['total_macs'] / 1e6:.2f}M total MACs, "
            f"test accuracy {100 * row['test_accuracy']:.2f} %"
        )
    click.echo(str(file))
