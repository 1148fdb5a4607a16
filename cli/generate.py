"""The command that continues a text with a trained language model."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import (
    DEVICE_OPTION,
    THREADS_OPTION,
    computing_device,
)
from ddw_graph.cli.options import JSON_OPTION, RUN_ARGUMENT


@click.command()
@RUN_ARGUMENT
@click.option("--prompt", default="\n", help="Text to continue.  [default: a line end]")
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Tokens to add.",
)
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="Divides the logits; 0 takes the most probable token.",
)
@click.option("--top-k", type=int, help="Draw from so many most probable tokens.")
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes the text.")
@DEVICE_OPTION
@THREADS_OPTION
@JSON_OPTION
def generate(
    run: Path,
    prompt: str,
    tokens: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Continue a text with the language model of a trained RUN.

    \b
    ddw-graph generate runs/gpt --prompt "In the beginning"
    ddw-graph generate runs/gpt --prompt "And God" --temperature 0.8 --top-k 20
    """
    import torch

    from ddw_graph.printable import printable
    from ddw_graph.training.run import Run

    place = computing_device(device, threads)
    trained = Run(run)
    tokenizer = trained.tokenizer()
    network: Any = trained.network(device=place)
    text = network.generate(
        tokenizer.encode(prompt)[None],
        tokens,
        temperature=temperature,
        top_k=top_k,
        generator=torch.Generator(place).manual_seed(seed),
    )[0]
    found = tokenizer.decode(text)
    if as_json:
        click.echo(json.dumps({"prompt": prompt, "text": found}))
    else:
        # Line ends are part of a text; a terminal's commands are not.
        click.echo("\n".join(printable(line) for line in found.split("\n")))
