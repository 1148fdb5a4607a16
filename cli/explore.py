"""The command that writes a page to explore wirings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import OVERWRITE_OPTION, PATH, names_of
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.training_options import (
    SPLIT_OPTION,
    common_source,
    run_data_options,
)

if TYPE_CHECKING:
    from ddw_graph.nn.network import Network
    from ddw_graph.training.image_data import ImageData


@click.command(cls=SettingsCommand)
@click.argument("runs", metavar="[RUN [RUN2]]", nargs=-1, type=PATH)
@click.option(
    "--demo", is_flag=True, help="Show a small network that is in the package."
)
@run_data_options
@SPLIT_OPTION
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="How many images, as many of each class as there are.",
)
@click.option("--out", type=PATH, required=True, help="The page, such as page.html.")
@OVERWRITE_OPTION
@place_options
def explore(
    runs: tuple[Path, ...],
    demo: bool,
    split: str,
    samples: int,
    out: Path,
    overwrite: bool,
    workers: int,
    device: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Write a page of the paths that images take in a RUN.

    One HTML file that holds all it needs: open it in a browser, from disk. With two
    RUNs it shows both networks side by side for the same images.

    \b
    ddw-graph explore --demo --out page.html
    ddw-graph explore runs/ddw --out page.html
    ddw-graph explore runs/ddw runs/half --samples 2000 --out both.html
    """
    if demo == bool(runs) or len(runs) > 2:
        raise click.UsageError(
            f"a page shows one RUN or two, or with --demo none, got {len(runs)}"
            + " and --demo" * demo
        )
    from ddw_graph.analysis.explorer.explore import explorer_page
    from ddw_graph.atomic import check_free, write_bytes
    from ddw_graph.cli.progress import counting

    check_free(out, overwrite=overwrite)
    place = computing_device(device, threads)
    networks, data = _demo(options) if demo else _trained(runs, place, options)
    images = data.test_inputs() if split == "test" else data.train_inputs()
    found = len(images)  # type: ignore[arg-type]
    if found < samples:
        click.echo(f"{split} has {found} images, fewer than {samples}", err=True)
    with counting("images") as count:
        text = explorer_page(
            networks,
            data,
            split=split,
            samples=samples,
            workers=workers,
            progress=count,
        )
    content = text.encode()
    write_bytes(out, [content], overwrite=overwrite)
    click.echo(f"{out}: {len(content) / 1e6:.1f} MB; open it in a browser")


def _demo(options: dict[str, Any]) -> tuple[dict[str, "Network"], "ImageData"]:
    """Returns the network in the package by its name, and the images in it."""
    from ddw_graph.analysis.explorer.demo import demo_network
    from ddw_graph.training.data import load_data

    given = [key for key, value in options.items() if value]
    if given:
        raise click.UsageError(
            f"the demo has its own images, and cannot be combined with {given[0]}"
        )
    return {"demo": demo_network()}, load_data()


def _trained(
    runs: tuple[Path, ...], place: str, options: dict[str, Any]
) -> tuple[dict[str, "Network"], "ImageData"]:
    """Returns the networks of runs by their names, and the images of the first."""
    from ddw_graph.errors import DataError
    from ddw_graph.training.data import load_source
    from ddw_graph.training.run import Run

    names = names_of(runs)
    if len({run.resolve() for run in runs}) < len(runs):
        raise click.UsageError(f"two RUNs must be different ones, got {runs[0]} twice")
    first, *others = found = [Run(run) for run in runs]
    for run in others:
        if run.transform != first.transform:
            raise DataError(
                "two RUNs of a page must transform images alike, got "
                f"{run.transform} in {run.path} and {first.transform} in {first.path}"
            )
    networks = {
        name: run.network(device=place) for name, run in zip(names, found, strict=True)
    }
    if first.config.get("task") == "language":
        raise DataError(f"the page shows images, got {first.path}, the run of a text")
    data = load_source(common_source(found[:1], options))
    for run in others:
        run.adapt(data)
    return networks, first.adapt(data)
