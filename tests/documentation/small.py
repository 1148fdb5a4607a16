"""How each documented command is made small enough for a test: one table.

A command is run as it stands with options behind it: of an option that is given twice
the last counts. What a page takes for granted lies in its folder before.
"""

import json
import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.detection.small import small_content, write_data
from tests.documentation.commands import ROOT, Command, blocks
from tests.training.photographs import image_folder

CLASSES = 10
EACH = {"train": 8, "t10k": 4}
"""Images of each class in the tiny Fashion-MNIST."""

TINY = "--data fashion_mnist --root {fashion}"
FEW = "--epochs 1 --per-class 2 --batch-size 8 --set warmup_epochs=0 --device cpu"
FILES = f"{FEW} --image-size 32 --workers 0 --learning-rate 0.01"
WHOLE_TEXT = (
    "--epochs 1 --set epoch_tokens=400 --set warmup_epochs=0 --device cpu "
    "--set depth=1 --set width=8 --set heads=1 --set context=16"
)
TEXT = f"{WHOLE_TEXT} --holdout 400"
ONE_ROUND = "--rounds 1 --threads 1 --device cpu --batch-size 2"
APPENDED = {
    "ddw-graph build": "",
    "ddw-graph draw": "",
    "ddw-graph diff": "",
    "ddw-graph models": "",
    "ddw-graph train": f"{FEW} {TINY} --threads 1",
    "ddw-graph train --holdout": f"{FEW} {TINY} --threads 1 --holdout 20",
    "ddw-graph train --data folder": f"{FILES} --threads 1",
    "ddw-graph train --data shards": f"{FILES} --threads 1",
    "ddw-graph train --data text": f"{TEXT} --threads 1",
    "ddw-graph train --data folder --root /data/imagenet": (
        f"{FILES} --threads 1 --root imagenet --out runs/imagenet --processes 1"
    ),
    "ddw-graph compare": f"{FEW} {TINY} --seeds 1 --jobs 1",
    "ddw-graph compare --holdout": f"{FEW} {TINY} --seeds 1 --jobs 1 --holdout 20",
    "ddw-graph compare --data text": f"{TEXT} --seeds 1 --jobs 1",
    "ddw-graph ablate edges": (
        f"{WHOLE_TEXT} --seeds 1 --jobs 1 --rates 0.01 --edges learned"
    ),
    "ddw-graph generate": "--tokens 5 --device cpu",
    "ddw-graph ablate": f"{FEW} {TINY} --seeds 1 --jobs 1",
    "ddw-graph instances": "--device cpu",
    "ddw-graph sweep": "--jobs 1 --device cpu",
    "ddw-graph sweep --dry-run": "",
    "ddw-graph status": "",
    "ddw-graph report": "",
    "ddw-graph eval": "--device cpu",
    "ddw-graph analyze": "--device cpu",
    "ddw-graph statistics": "",
    "ddw-graph observations": "",
    "ddw-graph prune": "--device cpu",
    "ddw-graph explore": "--device cpu --samples 20",
    "ddw-graph explore --demo": "--samples 20",
    "ddw-graph learn": "--epochs 1 --folds 2",
    "ddw-graph plot": "",
    "ddw-graph predict": "--device cpu",
    "ddw-graph export": "",
    "ddw-graph detect train": (
        "--epochs 1 --batch-size 2 --workers 0 --device cpu --threads 1"
    ),
    "ddw-graph detect train --root coco": (
        "--epochs 1 --batch-size 2 --workers 0 --device cpu --threads 1 "
        "--set min_size=64 --set max_size=96"
    ),
    "ddw-graph detect eval": "--device cpu",
    "ddw-graph detect predict": "--device cpu",
    "ddw-graph bench": f"{ONE_ROUND} --image-size 16 --model randwire_tiny",
    "ddw-graph bench aggregation": f"{ONE_ROUND} --image-size 4",
    "ddw-graph bench growth": f"{ONE_ROUND} --image-size 4",
    "ddw-graph bench networks": f"{ONE_ROUND} --image-size 32",
    "ddw-graph bench skipping": f"{ONE_ROUND} --image-size 32",
    "ddw-graph bench latency": f"{ONE_ROUND} --image-size 32",
    "ddw-graph bench latency --model runs/ddw": ONE_ROUND,
    "python tools/make_detection_data.py": (
        "--crops 4 --train 4 --val 4 --image-size 64"
    ),
    "python tools/make_shards.py": "",
    "python tools/mixed_fashion_mnist.py": "",
    "python docs/examples/run_onnx.py": "",
}
"""By the beginning of a command, and an option that is in it: what stands behind it."""

ONCE = ("ddw-graph models",)
"""Commands that several pages show, read nothing and write nothing: run once."""

LAUNCHERS = {
    "torchrun --nnodes": None,  # two machines: the command alone, of one process
    "torchrun --nproc-per-node": "--nproc-per-node 2",
    "srun": None,  # needs a Slurm; so do those below
}
"""What starts several processes: options behind its own, or None to leave it out.

The first that fits counts.

Two processes of torchrun are tried here; several, killed ones among them, and those of
srun, in tests/training/test_world.py and by tools/try_slurm.sh.
"""

NOT_RUN = {
    "ddw-graph sweep --slurm": "needs a Slurm: tests/experiments/test_slurm.py, and "
    "tests/test_tools.py on a real one where there is",
    "tools/try_slurm.sh": "needs a Slurm: tests/test_tools.py",
    ".venv/bin/python tools/build_site.py": "tests/test_site.py builds the site",
    ".venv/bin/python -m pytest": "these are the tests; .ci/run has the default tier",
    "ddw-graph bench latency --onnx --threads 1 --rounds 31": "minutes: docs/deploy.md "
    "times a smaller network in onnxruntime too",
    "ddw-graph bench networks --compile": "compiles for minutes: tests/benchmarks "
    "tries its cases without a compiler",
    "apt-get": "installs on the machine",
}
"""Exceptions, each with its reason, and where the same path is tried."""


def fashion() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns a tiny Fashion-MNIST: images and labels of each part."""
    parts = {}
    generator = np.random.default_rng(0)
    for prefix, each in EACH.items():
        count = CLASSES * each
        labels = np.arange(count, dtype=np.uint8) % CLASSES
        pixels = generator.integers(0, 120, (count, 28, 28), np.uint8)
        for place, label in enumerate(labels):
            pixels[place, 2 * label : 2 * label + 6] += 100  # a class is a row
        parts[prefix] = pixels, labels
    return parts


def embedded(path: Path) -> None:
    """Writes the tiny Fashion-MNIST as the package holds its cut."""
    made = fashion()
    arrays: dict[str, Any] = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = made[prefix]
    np.savez(path, **arrays)


def pictures(folder: Path) -> None:
    """Writes grey and coloured pictures under the names that pages give."""
    generator = np.random.default_rng(0)
    names = ("shoe.png", "bag.jpg", "pictures/1.png", "photographs/1.jpg")
    for name in (*names, "photographs/2.jpg"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (40, 30, 3), np.uint8)).save(path)


def coco(folder: Path) -> None:
    """Writes data under COCO's own names, and the file of a trained classifier."""
    from ddw_graph import create_model, save

    root = folder / "coco"
    for part in ("train", "val"):
        images, file = write_data(folder / part, small_content(4))
        target = root / "annotations" / f"instances_{part}2017.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        images.rename(root / f"{part}2017")
        file.rename(target)
    model = create_model("resnet18", edges="dynamic", num_classes=2)
    save(model, folder / "resnet50.safetensors")


def sweep_file(folder: Path, page: str, root: Path, *, small: bool) -> None:
    """Writes the first TOML block of a page as its sweep.toml, cut down if small."""
    text = blocks(page, "toml")[0]
    if small:
        text = small_sweep(text, root)
    (folder / "sweep.toml").write_text(text)


def small_sweep(text: str, root: Path, per_class: int = 8, edges: int = 1) -> str:
    """Returns a sweep's file cut down to a few runs on the tiny Fashion-MNIST."""
    spec = tomllib.loads(text)
    fixed = spec.pop("fixed") | {"data": "fashion_mnist", "root": str(root)}
    # Enough steps that accuracies differ, of which learning from them is refused.
    fixed |= {"epochs": 5, "per_class": per_class, "batch_size": 8, "n": 4}
    fixed.pop("holdout", None)
    most = {"wiring": 2, "seed": 2, "edges": edges}
    axes = {key: each[: most.get(key, 1)] for key, each in spec.pop("axes").items()}
    if "wiring" in axes:
        axes["wiring"] = [_one(wiring) for wiring in axes["wiring"]]
    return _toml(spec) + "[fixed]\n" + _toml(fixed) + "[axes]\n" + _toml(axes)


def _one(wiring: Any) -> Any:
    """Returns a wiring with one value for each argument."""
    if isinstance(wiring, str):
        return wiring
    return {k: v[:1] if isinstance(v, list) else v for k, v in wiring.items()}


def _toml(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def runs(**names: str) -> Callable[[Path, Path], None]:
    """Returns what puts trained runs into a page's ``runs``, by the names there."""

    def put(folder: Path, kept: Path) -> None:
        for name, source in names.items():
            shutil.copytree(kept / source, folder / "runs" / name.replace("_", "-"))

    return put


def scripts(folder: Path, kept: Path) -> None:
    """Puts the repository's scripts and the folder of results where a page has them."""
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / "docs" / "results").mkdir(parents=True)
    (folder / "docs" / "examples").symlink_to(ROOT / "docs" / "examples")


def trials(folder: Path, kept: Path) -> None:
    """Puts data and cut down sweeps where the page of the trials has them."""
    scripts(folder, kept)
    (folder / "data").symlink_to(kept / "data")
    of_page = Path("docs", "results", "fashion-mnist")
    (folder / of_page).mkdir()
    for path in sorted((ROOT / of_page).glob("*.toml")):
        root = Path(tomllib.loads(path.read_text())["fixed"]["root"])
        # Of a class there are fewer images where classes are mixed.
        small = small_sweep(path.read_text(), root, per_class=2, edges=2)
        (folder / of_page / path.name).write_text(small)


def own_network(folder: Path, kept: Path) -> None:
    """Writes images and the network that the page of backbones starts from."""
    from ddw_graph import create_model, save

    image_folder(folder / "images", each=4)
    model = create_model("resnet18", edges="dynamic", num_classes=2)
    save(model, folder / "start.safetensors")


def tree(folder: Path, kept: Path) -> None:
    """Writes the wiring that the page of generators shows."""
    (folder / "tree.json").write_text(blocks("docs/own-generator.md", "json")[0])


def _sweep(page: str, *, small: bool = True) -> Callable[[Path, Path], None]:
    return lambda folder, kept: sweep_file(folder, page, kept / "data", small=small)


BEFORE: dict[str, tuple[Callable[[Path, Path], None], ...]] = {
    "README.md": (
        _sweep("docs/sweeps.md"),
        lambda folder, kept: pictures(folder),
        scripts,
    ),
    "docs/ablations.md": (runs(ddw="half", ddw_0="ddw", ddw_1="ddw-1"),),
    "docs/backbones.md": (own_network,),
    "docs/data.md": (lambda folder, kept: _images(folder), scripts),
    "docs/deploy.md": (
        runs(ddw="half"),
        lambda folder, kept: pictures(folder),
        scripts,
    ),
    "docs/detection.md": (
        lambda folder, kept: coco(folder),
        lambda folder, kept: pictures(folder),
        scripts,
    ),
    "docs/distributed.md": (lambda folder, kept: _images(folder),),
    "docs/explore.md": (runs(ddw="ddw", half="half"),),
    "docs/own-generator.md": (tree,),
    "docs/recipes.md": (lambda folder, kept: _images(folder),),
    "docs/results/dynamic-wiring.md": (trials,),
    "docs/results/fashion-mnist.md": (trials,),
    "docs/sweeps.md": (_sweep("docs/sweeps.md", small=False),),
}
"""What lies in a page's folder before its first command."""

BETWEEN: dict[tuple[str, str], Callable[[Path, Path], None]] = {
    # The page trains again what it began with.
    ("docs/deploy.md", "ddw-graph train"): (
        lambda folder, kept: shutil.rmtree(folder / "runs" / "ddw")
    ),
    # All of the grid is listed, a part of it trained.
    ("docs/sweeps.md", "ddw-graph sweep sweep.toml --out"): _sweep("docs/sweeps.md"),
}
"""What happens before a command of a page."""


def _images(folder: Path) -> None:
    image_folder(folder / "imagenet", each=4)


def appended(command: Command, root: Path) -> list[str]:
    """Returns the options that stand behind a command.

    The entry with the most words counts of those whose words are all in the command,
    those before its first option at the beginning.

    Raises:
        KeyError: If there is none: a new command needs an entry.
    """
    fitting = [key for key in APPENDED if fits(key, command.words)]
    if not fitting:
        raise KeyError(f"tests/documentation/small.py does not know {command}")
    key = max(fitting, key=lambda key: len(key.split()))
    return APPENDED[key].format(fashion=root).split()


def fits(key: str, words: tuple[str, ...]) -> bool:
    """Returns whether a key of a table is of a command."""
    parts = key.split()
    first = next((n for n, part in enumerate(parts) if part[0] == "-"), len(parts))
    if list(words[:first]) != parts[:first]:
        return False
    rest = " ".join(parts[first:])
    return f" {rest} " in f" {' '.join(words[first:])} " if rest else True
