"""What is done to training images besides flips, shifts and crops."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from ddw_graph.training.keys import Key, Purpose

Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image besides flips, shifts and crops.

    Args:
        trivial_augment: Whether it takes one change of TrivialAugmentWide.
        random_erasing: Probability that a rectangle of it is set to the mean.
        rand_augment: Magnitude of the two changes of RandAugment that it takes, in
            ``[0, 30]``; None for none of them.
    """

    trivial_augment: bool = False
    random_erasing: float = 0.0
    rand_augment: int | None = None


def mixed(
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    classes: int,
    key: Key,
    step: int,
    *,
    mixup: float,
    cutmix: float,
) -> tuple[Float[Tensor, "batch channels height width"], Targets]:
    """Returns a batch of which each image is mixed with the one before it.

    MixUp adds the two, CutMix pastes a rectangle of one into the other, with one share
    for the whole batch; where both are on, each batch draws one of them.
    Targets are then the shares of the classes. A single image is unchanged.

    Args:
        images: The images.
        labels: The class of each.
        classes: Number of classes.
        key: The random numbers of the epoch.
        step: Steps made in the epoch.
        mixup: Alpha of MixUp: the share is drawn from Beta(alpha, alpha); 0 for none.
        cutmix: Alpha of CutMix, likewise.
    """
    if not (mixup or cutmix) or len(labels) < 2:
        return images, labels
    from torchvision.transforms import v2  # slow to import

    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    mix = v2.RandomChoice(
        [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]
    )
    with key.global_draws(Purpose.MIXING, step):
        both: tuple[Tensor, Tensor] = mix(images, labels)
    return both
