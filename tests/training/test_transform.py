"""Images come normalised, in a keyed order, augmented by a key."""

import pickle
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision.transforms import InterpolationMode, v2

from ddw_graph.errors import DataError
from ddw_graph.models import from_config
from ddw_graph.training.classification import Classification
from ddw_graph.training.data import load_data
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import batches, training_batches
from ddw_graph.training.pictures import ImageFiles
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.transform import Inputs, Transform
from tests.training.small import small_config, small_data

PLAIN = Recipe()
FULL = Recipe(trivial_augment=True, random_erasing=0.7)
IN_MEMORY = Transform(1, 16, 16, (0.5,), (0.25,))
OF_FILES = Transform.of_files(24)


def ramp(count: int = 20, size: int = 16) -> TensorDataset:
    pixels = torch.arange(count * size * size).reshape(count, 1, size, size) % 251
    return TensorDataset(pixels.byte(), torch.arange(count))


def photographs(folder: Path, count: int = 6) -> ImageFiles:
    generator = np.random.default_rng(0)
    names = [str(folder / f"{place}.png") for place in range(count)]
    for name in names:
        pixels = generator.integers(0, 255, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(name)
    return ImageFiles(names)


def inputs(kind: str, folder: Path, recipe: Recipe | None) -> Inputs:
    if kind == "arrays":
        return Inputs(ramp(), IN_MEMORY, recipe)
    return Inputs(photographs(folder), OF_FILES, recipe)


def items(dataset: Dataset[Any], indices: list[int], key: Key) -> torch.Tensor:
    """Returns images of a data set as an epoch of training reads them."""
    found = []
    for index in indices:
        with key.global_draws(Purpose.TRANSFORMS, index):
            found.append(dataset[index][0])
    return torch.stack(found)


def test_pixels_in_memory_are_normalised_to_the_last_digit() -> None:
    data = load_data()
    pixels, labels = data.train.tensors  # type: ignore[attr-defined]
    assert data.transform is not None
    mean, std = data.transform.mean[0], data.transform.std[0]
    wanted = (pixels.float() / 255 - torch.tensor(mean)) / torch.tensor(std)
    assert wanted.mean().abs() < 1e-4 and (wanted.std() - 1).abs() < 1e-3
    dataset = data.train_inputs()
    for size in (7, 64):
        found = list(batches(dataset, size))
        assert torch.equal(torch.cat([x for x, _ in found]), wanted)
        assert torch.equal(torch.cat([y for _, y in found]), labels)
    assert torch.equal(dataset[5][0], wanted[5])


def test_files_are_resized_cropped_and_normalised_as_for_imagenet(
    tmp_path: Path,
) -> None:
    route = v2.Compose(
        [
            v2.Resize(27),
            v2.CenterCrop(24),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(OF_FILES.mean, OF_FILES.std),
        ]
    )
    files = photographs(tmp_path)
    ((x, places),) = batches(Inputs(files, OF_FILES), 6)
    assert places.tolist() == list(range(6))
    for place, found in enumerate(x):
        assert torch.equal(found, route(files[place][0]).as_subclass(torch.Tensor))


def test_images_become_grey_or_coloured_and_of_the_size(tmp_path: Path) -> None:
    grey = Transform(1, 16, 20, (0.5,), (0.25,))
    picture = photographs(tmp_path, 1)[0][0]
    wanted = v2.functional.pil_to_tensor(
        v2.functional.center_crop(picture.convert("L").resize((20, 26), 2), [16])
    )
    torch.testing.assert_close(grey(picture), (wanted / 255 - 0.5) / 0.25)
    assert grey.augmentation(PLAIN)(picture).shape == (1, 16, 16)
    coloured = OF_FILES(ramp(1)[0][0])
    back = coloured * torch.tensor(OF_FILES.std)[:, None, None]
    back += torch.tensor(OF_FILES.mean)[:, None, None]
    torch.testing.assert_close(back[0], back[2])
    with pytest.raises(DataError, match="must have 2 channels, got 3"):
        Transform(2, 16, 16, (0.5,) * 2, (0.25,) * 2)(picture)


@pytest.mark.parametrize("transform", [IN_MEMORY, OF_FILES])
def test_a_transform_survives_json_and_processes(transform: Transform) -> None:
    assert Transform.from_dict(transform.as_dict()) == transform
    image, whole = ramp(1)[0][0], transform.augmentation(FULL)
    with Key(0, 0).global_draws(Purpose.TRANSFORMS, 1):
        wanted = whole(image)
    with Key(0, 0).global_draws(Purpose.TRANSFORMS, 1):
        assert torch.equal(pickle.loads(pickle.dumps(whole))(image), wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 0}, "got image_size=0, resize=16"),
        ({"channels": 3}, "mean and std must have 3 values"),
        ({"channels": 0}, "must have 0 values"),
        ({"std": [float("nan")]}, r"std must be positive, got \(nan,\)"),
        ({"mean": "x"}, "must have channels, sizes, mean and std, got"),
    ],
)
def test_names_what_it_rejects(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Transform.from_dict(IN_MEMORY.as_dict() | changes)


def test_every_image_comes_once_in_another_order_each_epoch() -> None:
    dataset = Inputs(ramp(), IN_MEMORY)
    orders = [
        torch.cat([y for (_, y), _ in training_batches(dataset, 7, Key(*key))]).tolist()
        for key in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize(
    ("kind", "recipe", "workers"),
    [
        *((kind, each, 0) for kind in ("arrays", "files") for each in (None, FULL)),
        ("files", FULL, 1),  # starting a process takes a second
    ],
)
def test_augmentation_depends_on_seed_epoch_and_index_only(
    tmp_path: Path, kind: str, recipe: Recipe | None, workers: int
) -> None:
    dataset, key = inputs(kind, tmp_path, recipe), Key(0, 3)
    torch.manual_seed(random.randrange(10**6))
    before = torch.get_rng_state()
    for (x, labels), count in training_batches(dataset, 4, key, workers=workers):
        assert count == len(labels)
        assert torch.equal(x, items(dataset, labels.tolist(), key))
        for other in (Key(0, 4), Key(1, 3)):
            same = torch.equal(items(dataset, labels.tolist(), other), x)
            assert same is (recipe is None)
    assert torch.equal(torch.get_rng_state(), before)


SMOOTH = InterpolationMode.BILINEAR


@pytest.mark.parametrize(
    ("recipe", "change", "erase"),
    [
        (
            Recipe(trivial_augment=True),
            v2.TrivialAugmentWide(interpolation=SMOOTH),
            v2.Identity(),
        ),
        (
            Recipe(rand_augment=5, random_erasing=0.7),
            v2.RandAugment(magnitude=5, interpolation=SMOOTH),
            v2.RandomErasing(p=0.7),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["arrays", "files"])
def test_changes_are_torchvisions_around_normalising(
    tmp_path: Path, kind: str, recipe: Recipe, change: Any, erase: Any
) -> None:
    dataset, plain = (inputs(kind, tmp_path, each) for each in (recipe, PLAIN))
    transform = OF_FILES if kind == "files" else IN_MEMORY
    key, raw, differing = Key(0, 3), plain.dataset, 0
    for index in range(6):
        with key.global_draws(Purpose.TRANSFORMS, index):
            if kind == "files":
                crop = v2.RandomResizedCrop(24)(raw[index][0])
                first = v2.RandomHorizontalFlip()(crop)
            else:
                first = transform._shifted(raw[index][0])
            wanted = erase(transform._normalised(change(first)))
        found, without = (items(each, [index], key)[0] for each in (dataset, plain))
        assert torch.equal(found, wanted)
        differing += not torch.equal(found, without)
    assert differing > 2


def test_augmentation_shifts_and_flips_and_nothing_else() -> None:
    dataset = ramp(1)
    plain = IN_MEMORY(dataset[0][0])[0]
    seen = set()
    for epoch in range(600):
        x = items(Inputs(dataset, IN_MEMORY, PLAIN), [0], Key(0, epoch))
        for flipped in (False, True):
            padded = torch.full((20, 20), -0.5 / 0.25)
            padded[2:18, 2:18] = plain.flip(1) if flipped else plain
            for top in range(5):
                for left in range(5):
                    if torch.equal(x[0, 0], padded[top : top + 16, left : left + 16]):
                        seen.add((flipped, top, left))
    assert len(seen) == 50  # every shift of up to 2 px, flipped or not


NETWORK = from_config(small_config())


def mixture(
    step: int, mixup: float, cutmix: float, count: int = 6
) -> tuple[torch.Tensor, ...]:
    """Returns images whose every pixel is their place plus 1, and them mixed."""
    x = torch.arange(1.0, count + 1)[:, None, None, None].expand(count, 2, 8, 8)
    recipe = replace(PLAIN, mixup=mixup, cutmix=cutmix)
    task = Classification(NETWORK, small_data(), recipe)
    return x, *task.mix((x, torch.arange(count) % 3), Key(0, 1), step)


@pytest.mark.parametrize(
    ("kind", "alphas"), [(v2.MixUp, (0.5, 0)), (v2.CutMix, (0, 0.5))]
)
def test_mixing_is_torchvisions(kind: Any, alphas: tuple[float, float]) -> None:
    for step in range(5):
        x, found, targets = mixture(step, *alphas)
        choice = v2.RandomChoice([kind(alpha=0.5, num_classes=3)])
        with Key(0, 1).global_draws(Purpose.MIXING, step):
            wanted = choice(x, torch.arange(6) % 3)
        assert torch.equal(found, wanted[0]) and torch.equal(targets, wanted[1])
        assert not torch.equal(found, x)


def test_each_batch_draws_one_kind_of_mixing_by_its_key() -> None:
    both = [mixture(step, 1.0, 1.0)[1] for step in range(20)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = [mixture(step, 1.0, 1.0)[1] for step in range(20)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, other) for one, other in zip(both, again, strict=True))
    assert len({x.numpy().tobytes() for x in both}) > 15
    whole = sum(bool((x == x.round()).all()) for x in both)
    assert 4 <= whole <= 16  # CutMix leaves whole numbers


def test_a_single_image_and_a_batch_without_mixing_are_unchanged() -> None:
    for alpha, count in ((1.0, 1), (0.0, 6)):
        x, found, targets = mixture(0, alpha, alpha, count)
        assert torch.equal(x, found) and targets.tolist() == [0, 1, 2, 0, 1, 2][:count]
