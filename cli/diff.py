"""The command that compares two wirings."""

import json
from typing import TYPE_CHECKING

import click

from ddw_graph.cli.options import JSON_OPTION, N_OPTION, SEED_OPTION, WIRING, wiring
from ddw_graph.printable import printable

if TYPE_CHECKING:
    from ddw_graph.wiring import WiringDiff


@click.command()
@click.argument("first", type=WIRING)
@click.argument("second", type=WIRING)
@N_OPTION
@SEED_OPTION
@JSON_OPTION
def diff(first: str, second: str, n: int | None, seed: int, as_json: bool) -> None:
    """Compare the edges of two wirings.

    FIRST and SECOND are files that build wrote, or texts such as ws:k=4,p=0.75.

    \b
    ddw-graph diff ws-n32-k4-p0.75-seed0.json ba:m=5
    """
    from ddw_graph.wiring import diff as wiring_diff

    found = wiring_diff(wiring(first, n=n, seed=seed), wiring(second, n=n, seed=seed))
    lines = [json.dumps(found.as_dict())] if as_json else _lines(first, second, found)
    click.echo("\n".join(lines))


def _lines(first: str, second: str, found: "WiringDiff") -> list[str]:
    lines = []
    for mark, name, nodes, only in (
        ("-", first, found.nodes[0], found.only_first),
        ("+", second, found.nodes[1], found.only_second),
    ):
        name = printable(name)
        lines.append(f"{mark} {name}: {nodes} nodes, {found.shared + len(only)} edges")
    lines.append(f"{found.shared} shared, similarity {found.similarity:.3f}")
    lines += [f"- {i} -> {j}" for i, j in found.only_first]
    lines += [f"+ {i} -> {j}" for i, j in found.only_second]
    lines += [f"weight of {i} -> {j} differs" for i, j in found.reweighted]
    lines += [f"node {node} computes in one only" for node in found.computing]
    return lines
