"""Makes shards from an image folder, in the form of the library WebDataset.

    python tools/make_shards.py FOLDER OUT [IMAGES_IN_A_SHARD]

``FOLDER`` holds ``train`` and ``val`` (or ``test``), each with a folder of images for
each class. ``OUT`` gets ``train-000000.tar`` and so on, and ``classes.txt``. Images of
all classes are mixed, the same way each time; files are copied byte by byte.
"""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np

from ddw_graph.training.folder import ImageFolder

SEED = 0


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a member that is equal whoever makes it, and whenever."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def write(folder: Path, out: Path, each: int) -> tuple[str, ...]:
    """Writes the shards of one part of a set, and returns its classes."""
    found = ImageFolder(folder)
    order = np.random.default_rng(SEED).permutation(len(found)).tolist()
    for number, start in enumerate(range(0, len(order), each)):
        with tarfile.open(out / f"{folder.name}-{number:06d}.tar", "x") as shard:
            for place, index in enumerate(order[start : start + each], start=start):
                name, label = found.samples[index]
                path = Path(name)
                add(shard, f"{place:08d}{path.suffix.lower()}", path.read_bytes())
                add(shard, f"{place:08d}.cls", b"%d" % label)
    return tuple(found.classes)


def main(folder: Path, out: Path, each: int = 1000) -> None:
    """Writes the shards of an image folder."""
    out.mkdir(parents=True, exist_ok=True)
    test = next(name for name in ("val", "test") if (folder / name).is_dir())
    classes = write(folder / "train", out, each)
    if write(folder / test, out, each) != classes:
        sys.exit(f"{folder / 'train'} and {folder / test} must hold the same classes")
    (out / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
