"""Images come normalised, in a keyed order, augmented by a key."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import PLAIN, Augmentation, mixed
from ddw_graph.training.folder import FolderImages
from ddw_graph.training.images import ArrayImages, Images
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import batch_sizes, batches

FULL = Augmentation(trivial_augment=True, random_erasing=0.7)


def ramp(count: int = 20, size: int = 16) -> ArrayImages:
    pixels = torch.arange(count * size * size).reshape(count, 1, size, size) % 251
    return ArrayImages(pixels.byte(), torch.arange(count), [0.5], [0.25])


def photographs(folder: Path, count: int = 6) -> FolderImages:
    generator = np.random.default_rng(0)
    names = [f"{place}.png" for place in range(count)]
    for name in names:
        pixels = generator.integers(0, 255, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return FolderImages(folder, names, torch.arange(count) % 2, 24)


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


@pytest.mark.parametrize("more", [PLAIN, FULL])
@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_augmentation_belongs_to_its_key(
    tmp_path: Path, kind: str, more: Augmentation
) -> None:
    images: Images = ramp() if kind == "arrays" else photographs(tmp_path)
    together, _ = images.batch([0, 1, 4], Key(0, 0), more)
    torch.manual_seed(random.randrange(10**6))
    alone, _ = images.batch([4], Key(0, 0), more)
    assert torch.equal(together[2:], alone)
    for other in (Key(0, 1), Key(1, 0)):
        assert not torch.equal(images.batch([0, 1, 4], other, more)[0], together)


@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_erasing_sets_a_rectangle_to_the_mean_and_nothing_else(
    tmp_path: Path, kind: str
) -> None:
    images: Images = ramp() if kind == "arrays" else photographs(tmp_path)
    always = Augmentation(random_erasing=1.0)
    for epoch in range(5):
        for index in range(6):
            whole = images.batch([index], Key(0, epoch))[0][0]
            erased = images.batch([index], Key(0, epoch), always)[0][0]
            rows, columns = torch.nonzero((erased != whole).any(0), as_tuple=True)
            assert len(rows)
            top, left = rows.min(), columns.min()
            bottom, right = rows.max() + 1, columns.max() + 1
            assert not erased[:, top:bottom, left:right].any()


def test_images_are_erased_as_often_as_asked_for() -> None:
    images = ramp(400)
    whole, _ = images.batch(range(400), Key(0, 0))
    erased, _ = images.batch(range(400), Key(0, 0), Augmentation(random_erasing=0.25))
    share = (erased != whole).flatten(1).any(1).float().mean()
    assert 0.18 < share < 0.32  # four standard deviations of 400 draws


def test_an_array_takes_its_change_before_it_moves() -> None:
    from torchvision.transforms import InterpolationMode, v2

    images, key, seen = ramp(), Key(0, 3), []
    wide = v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)
    for index in range(len(images)):
        torch.manual_seed(key.generator(Purpose.TRANSFORMS, index).initial_seed())
        seen.append(wide(images.pixels[index]))
    changed = ArrayImages(torch.stack(seen), images.labels, [0.5], [0.25])
    assert (changed.pixels != images.pixels).flatten(1).any(1).sum() > 10
    x, _ = images.batch(range(20), key, Augmentation(trivial_augment=True))
    assert torch.equal(x, changed.batch(range(20), key)[0])


def test_a_file_takes_its_change_after_the_crop(tmp_path: Path) -> None:
    from torchvision.transforms import InterpolationMode, v2

    images, key = photographs(tmp_path), Key(0, 3)
    route = v2.Compose(
        [
            v2.RandomResizedCrop(24),
            v2.RandomHorizontalFlip(),
            v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(images.mean, images.std),
            v2.RandomErasing(p=0.7),
        ]
    )
    x, _ = images.batch(range(6), key, FULL)
    for index, found in enumerate(x):
        torch.manual_seed(key.generator(Purpose.TRANSFORMS, index).initial_seed())
        with Image.open(tmp_path / f"{index}.png") as file:
            assert torch.equal(found, route(file.convert("RGB")))


def mix(
    step: int, *, mixup: float, cutmix: float, count: int = 6
) -> tuple[torch.Tensor, ...]:
    """Returns images whose every pixel is their label plus 1, and them mixed."""
    labels = torch.arange(count)
    x = (labels + 1.0)[:, None, None, None].expand(count, 2, 8, 8)
    key = Key(0, 1)
    return x, *mixed(x, labels, count, key, step, mixup=mixup, cutmix=cutmix)


def test_mixup_adds_images_in_the_shares_of_their_targets() -> None:
    shares = set()
    for step in range(20):
        x, found, targets = mix(step, mixup=0.5, cutmix=0.0)
        share = targets[0, 0].item()
        shares.add(share)
        assert 0 <= share <= 1
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        torch.testing.assert_close(targets.diagonal(), torch.full((6,), share))
        torch.testing.assert_close(found, share * x + (1 - share) * x.roll(1, 0))
    assert len(shares) == 20


def test_cutmix_sets_in_a_rectangle_of_the_share_of_its_target() -> None:
    shares = set()
    for step in range(20):
        x, found, targets = mix(step, mixup=0.0, cutmix=1.0)
        own, other = found == x, found == x.roll(1, 0)
        assert bool((own ^ other).all())
        share = own[0].float().mean()
        shares.add(share.item())
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
        torch.testing.assert_close(targets.diagonal(), share.expand(6))
        rows, columns = torch.nonzero(other[0, 0], as_tuple=True)
        if len(rows):
            box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            assert box == len(rows)
    assert len(shares) > 10


def test_each_batch_draws_one_kind_of_mixing_by_its_key() -> None:
    both = [mix(step, mixup=1.0, cutmix=1.0)[1] for step in range(20)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = [mix(step, mixup=1.0, cutmix=1.0)[1] for step in range(20)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, other) for one, other in zip(both, again, strict=True))
    assert len({x.numpy().tobytes() for x in both}) > 15
    whole = sum(bool((x == x.round()).all()) for x in both)
    assert 4 <= whole <= 16  # CutMix alone leaves whole numbers


def test_an_image_alone_and_a_batch_without_mixing_stay_as_they_are() -> None:
    for alpha, count in ((1.0, 1), (0.0, 6)):
        x, found, targets = mix(0, mixup=alpha, cutmix=alpha, count=count)
        assert torch.equal(x, found) and targets.tolist() == list(range(count))


def test_equal_photographs_are_augmented_differently(tmp_path: Path) -> None:
    photographs(tmp_path, 1)
    images = FolderImages(tmp_path, ["0.png"] * 4, torch.zeros(4).long(), 24)
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
        for more in (PLAIN, FULL):
            key = Key(0, 0)
            list(batches(images, 4, shuffle=key, augment=True, augmentation=more))
    assert torch.equal(torch.get_rng_state(), before)


def test_other_processes_load_the_same(tmp_path: Path) -> None:
    images = photographs(tmp_path)
    for key, more in ((None, PLAIN), (Key(0, 3), PLAIN), (Key(0, 3), FULL)):
        here, there = (
            list(
                batches(
                    images,
                    4,
                    shuffle=key,
                    augment=key is not None,
                    augmentation=more,
                    workers=workers,
                )
            )
            for workers in (0, 1)
        )
        torch.testing.assert_close(here, there, rtol=0, atol=0)


def test_order_and_augmentation_draw_from_streams_of_their_own() -> None:
    seeds = {
        generator.initial_seed()
        for key in (Key(0, 0), Key(0, 1), Key(1, 0))
        for generator in (
            key.generator(Purpose.ORDER),
            key.generator(Purpose.SHIFTS),
            *(
                key.generator(purpose, index)
                for purpose in (Purpose.TRANSFORMS, Purpose.ERASURES, Purpose.MIXING)
                for index in range(3)
            ),
        )
    }
    assert len(seeds) == 33


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
        FolderImages(tmp_path, ["deep.png"], torch.tensor([0]), 16).batch([0], None)


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
        FolderImages(Path("x"), [], torch.zeros(0).long(), 24)
