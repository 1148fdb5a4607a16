"""Rewires one network of each family of timm and torchvision, and writes the table.

Results are appended to a file as they come; run the same command again to resume.

    python tools/rewire_table.py rewire.jsonl docs/results/rewired-networks.md
"""

import argparse
import json
import re
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision import models

from ddw_graph import rewire
from ddw_graph.analysis.report_files import Column, markdown_table
from ddw_graph.errors import ModelError, ShareWarning, first_sentence
from ddw_graph.models import rewiring
from ddw_graph.models.backbones import library_model
from ddw_graph.models.examples import examples
from ddw_graph.models.share import HALF, share_in_stages
from ddw_graph.nn.host_network import HostNetwork

SMALLEST = (
    *("atto", "femto", "pico", "zepto", "nano", "xxs", "xxt", "tiny", "_t", "micro"),
    *("mini", "xs", "_ti", "lite", "small", "_s", "_m0", "m1", "_b0", "050", "18"),
    "_b_",
)
"""Parts of names of small networks, the smallest first."""
DEPTHS = {
    "timm/aimv2_1b_patch14_224": 2,
    "timm/deepseek_vit_412m": 2,
    "timm/eva_large_patch14_196": 2,
}
"""Networks that are large in every size: so many blocks will do."""
SECONDS = 600
"""Most time for a network."""


def families() -> Iterator[tuple[str, str]]:
    """Yields a module's name and one network of each family that it defines."""
    for module in sorted(timm.list_modules()):
        by_family: dict[str, list[str]] = {}
        for name in sorted(timm.list_models(module=module)):
            family = re.match("[a-z]+", name).group()  # type: ignore[union-attr]
            if family != "test":
                by_family.setdefault(family, []).append(name)
        for family in sorted(by_family):
            yield f"timm {module}", f"timm/{_smallest(by_family[family])}"
    by_module: dict[str, list[str]] = {}
    for name in models.list_models(module=models):
        owner = models.get_model_builder(name).__module__.rpartition(".")[2]
        by_module.setdefault(owner, []).append(name)
    for module, names in sorted(by_module.items()):
        yield f"torchvision {module}", f"torchvision/{_smallest(names)}"


def _smallest(names: list[str]) -> str:
    def size(name: str) -> tuple[int, int, int, str]:
        places = [k for k, part in enumerate(SMALLEST) if part in name]
        number = sum(map(int, re.findall(r"_r?(\d+)$", name)))
        return min([*places, len(SMALLEST)]), number, len(name), name

    return min(names, key=size)


@torch.no_grad()
def spread(model: nn.Module) -> nn.Module:
    """Gives every part of a network an effect: none begins at zero, or next to it."""
    generator = torch.Generator().manual_seed(0)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.numel() > 1 and tensor.std() < 1e-3:
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise.mul_(0.1).to(tensor.dtype))
    return model


def row(name: str, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Returns what rewiring a network gives: its stages and its difference."""
    torch.manual_seed(0)
    library, _, own = name.partition("/")
    depth: dict[str, Any] = {"depth": DEPTHS[name]} if name in DEPTHS else {}
    model = (
        timm.create_model(own, num_classes=10, **depth)
        if library == "timm"
        else library_model(name, num_classes=10, in_channels=3)
    )
    model = spread(model).eval().to(dtype)
    found: dict[str, Any] = {"class": type(model).__name__, "dtype": str(dtype)}
    with warnings.catch_warnings(), patch.object(rewiring, "_check_same"):
        warnings.simplefilter("ignore", ShareWarning)
        network = rewire(model, edges="dynamic")  # checked below, on fewer images
    return found | {
        "stages": [stage.plan.nodes - 2 for stage in network.stages],
        "way": "own forward" if isinstance(network, HostNetwork) else "stem and head",
        "features": " ".join(
            dict.fromkeys(
                "channels first" if stage.plan.channel_axis == 1 else "channels last"
                for stage in network.stages
            )
        ),
        "share": share_in_stages(network).share,
        "difference": _difference(model, network),
    }


@torch.no_grad()
def _difference(model: nn.Module, network: nn.Module) -> float:
    """Returns the largest difference of logits over the largest logit."""
    for example in examples(model, first=(64,)):
        (image,), _ = example.like(next(model.parameters()))
        try:
            wanted: Tensor = model(image[:1])
        except Exception:  # not a size that it takes
            continue
        found: Tensor = network(image[:1])
        return float((found - wanted).abs().max() / wanted.abs().max())
    raise AssertionError("unreachable: rewire ran it")


def _timed_out(*_: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def run(results: Path) -> list[dict[str, Any]]:
    """Tries every network that is not in the results yet, and returns them all."""
    lines = results.read_text().splitlines() if results.exists() else []
    done = {each["network"]: each for each in map(json.loads, lines)}
    rows = []
    signal.signal(signal.SIGALRM, _timed_out)
    for module, name in families():
        if name not in done:
            start = time.monotonic()
            signal.alarm(SECONDS)
            try:
                try:
                    tried = row(name)
                except RuntimeError:  # steps of a type of their own
                    tried = row(name, torch.float32)
            except ModelError as error:
                tried = {"refusal": str(error)}
            except Exception as error:  # a fault, which the table shows
                tried = {"fault": f"{type(error).__name__}: {first_sentence(error)}"}
            signal.alarm(0)
            seconds = round(time.monotonic() - start, 1)
            done[name] = {"network": name, "module": module, **tried, "s": seconds}
            with results.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
        rows.append(done[name])
    return rows


def main() -> None:
    """Runs, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("table", type=Path, nargs="?")
    options = parser.parse_args()
    rows = run(options.results)
    if options.table:
        options.table.write_text(table(rows))


PAGE = """# Which networks rewire takes

One network of each family of timm and torchvision, as small as the family has, with
random weights in float64, by `python tools/rewire_table.py rewire.jsonl
docs/results/rewired-networks.md` ({versions}).

`rewire(model, edges="dynamic")` takes {taken} of {all} networks: {last} have stages on
tokens or on images with their channels last, and in {host} the network's own forward
runs the stages. Logits differ by at most {worst:.1g} of the largest logit. In {low}
networks the stages hold less than half of the parameters, of which `rewire` warns.

*Blocks*: the nodes of each stage. *Own forward*: a `HostNetwork`.

{rows}
## Refused

*No blocks*: no two modules of one class, each with two weight matrices or more, follow
each other and keep the shape of the features; the pair that comes nearest is named.

{refused}"""


def _network(row: Mapping[str, Any]) -> str:
    name = row["network"]
    depth = f", {DEPTHS[name]} blocks" if name in DEPTHS else ""
    return f"{name.partition('/')[2]}{depth}"


def _reason(row: Mapping[str, Any]) -> str:
    reason = row.get("refusal") or row["fault"]
    if reason.startswith("a network to rewire must have stages of blocks: "):
        reason = "no blocks: " + reason.partition(" in which ")[2]
    return str(reason)


TAKEN: dict[str, Column] = {
    "module": "{module}",
    "network": _network,
    "blocks": lambda row: " ".join(map(str, row["stages"])),
    "channels": lambda row: row["features"].replace("channels ", ""),
    "own forward": lambda row: "yes" if row["way"] == "own forward" else "",
    "share": "{share:.0%}",
    "difference": "{difference:.1g}",
}
REFUSED: dict[str, Column] = {
    "module": "{module}",
    "network": _network,
    "reason": _reason,
}


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the page with the table."""
    taken = [row for row in rows if "share" in row]
    tv = torchvision.__version__.partition("+")[0]
    return PAGE.format(
        versions=f"timm {timm.__version__}, torchvision {tv}",
        taken=len(taken),
        all=len(rows),
        last=sum("last" in row["features"] for row in taken),
        host=sum(row["way"] == "own forward" for row in taken),
        worst=max(row["difference"] for row in taken),
        low=sum(row["share"] < HALF for row in taken),
        rows=markdown_table(TAKEN, taken),
        refused=markdown_table(REFUSED, [row for row in rows if row not in taken]),
    )


if __name__ == "__main__":
    main()
