"""Images come normalised, in a keyed order, augmented by a key."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddw_graph.errors import DataError
from ddw_graph.training.images import (
    ArrayImages,
    FolderImages,
    Images,
    Key,
    Purpose,
    batch_sizes,
    batches,
)


def ramp(count: int = 20, size: int = 16) -> ArrayImages:
    pixels = torch.arange(count * size * size).reshape(count, 1, size, size) % 251
    return ArrayImages(pixels.byte(), torch.arange(count), [0.5], [0.25])


def photographs(folder: Path, count: int = 6) -> FolderImages:
    generator = np.random.default_rng(0)
    files = []
    for place in range(count):
        path = folder / f"{place}.png"
        Image.fromarray(generator.integers(0, 255, (40, 30, 3), np.uint8)).save(path)
        files.append((path, place % 2))
    return FolderImages(files, 24)


def test_normalises_and_keeps_labels() -> None:
    images = ramp()
    x, labels = images.batch([3, 1], None)
    assert labels.tolist() == [3, 1]
    torch.testing.assert_close(x, (images.pixels[[3, 1]].float() / 255 - 0.5) / 0.25)


def test_every_image_comes_once_in_an_order_of_its_own_each_epoch() -> None:
    orders = [
        torch.cat([y for _, y in batches(ramp(), 7, shuffle=Key(seed, epoch))]).tolist()
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_augmentation_belongs_to_its_key(tmp_path: Path, kind: str) -> None:
    images: Images = ramp() if kind == "arrays" else photographs(tmp_path)
    together, _ = images.batch([0, 1, 4], Key(0, 0))
    torch.manual_seed(random.randrange(10**6))
    alone, _ = images.batch([4], Key(0, 0))
    assert torch.equal(together[2:], alone)
    for other in (Key(0, 1), Key(1, 0)):
        assert not torch.equal(images.batch([0, 1, 4], other)[0], together)


def test_equal_photographs_are_augmented_differently(tmp_path: Path) -> None:
    photographs(tmp_path, 1)
    images = FolderImages([(tmp_path / "0.png", 0)] * 4, 24)
    x, _ = images.batch(range(4), Key(0, 0))
    assert len({image.numpy().tobytes() for image in x}) == 4


def test_augmentation_shifts_and_flips_and_nothing_else() -> None:
    images = ramp(1, 16)
    plain = (images.pixels[0, 0].float() / 255 - 0.5) / 0.25
    black = torch.tensor(-0.5 / 0.25)
    seen = set()
    for epoch in range(600):
        x, _ = images.batch([0], Key(0, epoch))
        for flipped in (False, True):
            source = plain.flip(1) if flipped else plain
            padded = black.expand(20, 20).clone()
            padded[2:18, 2:18] = source
            for top in range(5):
                for left in range(5):
                    if torch.equal(x[0, 0], padded[top : top + 16, left : left + 16]):
                        seen.add((flipped, top, left))
                        break
    assert len(seen) == 50  # every shift of up to 2 px, flipped or not


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    for images in (ramp(), photographs(tmp_path)):
        list(batches(images, 4, shuffle=Key(0, 0), augment=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_other_processes_load_the_same(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    for key in (None, Key(0, 3)):
        augment = key is not None
        here = list(batches(images, 4, shuffle=key, augment=augment))
        there = list(batches(images, 4, shuffle=key, augment=augment, workers=1))
        torch.testing.assert_close(here, there, rtol=0, atol=0)


def test_order_and_augmentation_draw_from_streams_of_their_own() -> None:
    seeds = {
        generator.initial_seed()
        for key in (Key(0, 0), Key(0, 1), Key(1, 0))
        for generator in (
            key.generator(Purpose.ORDER),
            key.generator(Purpose.SHIFTS),
            *(key.generator(Purpose.TRANSFORMS, index) for index in range(3)),
        )
    }
    assert len(seeds) == 15


def test_no_batch_is_of_one_unless_there_is_one() -> None:
    for images in range(1, 40):
        for size in range(1, 9):
            sizes = batch_sizes(images, size)
            assert sum(sizes) == images and max(sizes) <= size + 1
            assert size == 1 or images == 1 or 1 not in sizes
            assert len(list(batches(ramp(images, 2), size))) == len(sizes)


def test_deep_pictures_are_refused_and_not_flattened(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(path)
    with pytest.raises(
        DataError, match="deep.png.*8 bits a channel are read, not mode"
    ):
        FolderImages([(path, 0)], 16).batch([0], None)


@pytest.mark.parametrize("workers", [0, 1])
def test_names_the_file_that_is_no_image(tmp_path: Path, workers: int) -> None:
    images = photographs(tmp_path)
    cut = tmp_path / "2.png"
    cut.write_bytes(cut.read_bytes()[:500])
    with pytest.raises(DataError, match=r"^\S*2.png: every file must be a readable"):
        list(batches(images, 4, workers=workers))


def test_an_empty_set_is_refused() -> None:
    none = torch.zeros(0, 1, 8, 8).byte()
    with pytest.raises(DataError, match="at least one image"):
        ArrayImages(none, torch.zeros(0).long(), [0.5], [0.5])
    with pytest.raises(DataError, match="at least one image, got none"):
        FolderImages([], 24)
