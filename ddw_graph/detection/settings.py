"""Settings of a detector, other than its backbone."""

from dataclasses import dataclass, fields
from typing import Any

from ddw_graph.errors import ModelError
from ddw_graph.settings import check_settings, preset, setting


@dataclass(frozen=True)
class DetectorSettings:
    """Settings of a detector, other than its backbone; defaults are torchvision's.

    Every field holds its help, rule and default: see ``settings_of``.

    Raises:
        ModelError: If a value is out of range.
    """

    min_size: int = setting(
        800, "Pixels that the shorter side of an image is resized to.", "[1, inf)"
    )
    max_size: int = setting(1333, "Most pixels of the longer side.", "[1, inf)")
    levels: tuple[int, ...] = setting(
        (4, 8, 16, 32),
        "Reductions (image size over feature size) of the backbone's levels that the "
        "pyramid uses; one more level is pooled from the last.",
        "[1, inf)",
    )
    anchor_sizes: tuple[int, ...] = setting(
        (32, 64, 128, 256, 512),
        "Pixels of the anchors: one size a level, and one for the pooled level.",
        "[1, inf)",
    )
    anchor_ratios: tuple[float, ...] = setting(
        (0.5, 1.0, 2.0), "Height over width of the anchors at each place.", "(0, inf)"
    )
    pyramid_channels: int = setting(256, "Width of the pyramid.", "[1, inf)")
    head_features: int = setting(1024, "Width of the box head.", "[1, inf)")
    proposals: int = setting(
        1000, "Proposals kept for an image, twice as many in training.", "[1, inf)"
    )
    sampled_anchors: int = setting(
        256, "Anchors of an image that the proposals' loss samples.", "[2, inf)"
    )
    sampled_boxes: int = setting(
        512, "Proposals of an image that the boxes' loss samples.", "[2, inf)"
    )
    detections: int = setting(100, "Most detections of an image.", "[1, inf)")
    score: float = setting(0.05, "Detections of a lower score are left out.", "[0, 1)")
    norm: str = setting(
        "frozen",
        "Normalisation of the backbone: frozen keeps its statistics, batch learns "
        "them.",
        ("frozen", "batch"),
    )
    frozen_layers: int = setting(
        0,
        "First layers of the backbone that don't train: the stem, then stages.",
        "[0, inf)",
    )
    mean: tuple[float, ...] | None = setting(
        None,
        "Mean of each channel, of values in [0, 1]; by default that of photographs.",
    )
    std: tuple[float, ...] | None = setting(
        None, "Standard deviation of each channel, likewise.", "(0, inf)"
    )

    def __post_init__(self) -> None:
        """Checks every value, and those that depend on others."""
        check_settings(self, ModelError)
        sizes = len(self.levels) + 1
        rising = list(self.levels) == sorted(set(self.levels))
        for name, rule, holds in (
            ("max_size", "at least min_size", self.max_size >= self.min_size),
            ("levels", "rising", bool(self.levels) and rising),
            (
                "anchor_sizes",
                f"{sizes} sizes, one a level and one for the pooled one",
                len(self.anchor_sizes) == sizes,
            ),
            ("anchor_ratios", "one or more", bool(self.anchor_ratios)),
        ):
            if not holds:
                raise ModelError(f"{name} must be {rule}, got {getattr(self, name)}")


SETTINGS = {
    "coco": DetectorSettings(),
    "small": DetectorSettings(
        min_size=128,
        max_size=192,
        levels=(8, 16, 32),
        anchor_sizes=(24, 40, 64, 96),
        pyramid_channels=96,
        head_features=256,
        proposals=200,
        sampled_anchors=128,
        sampled_boxes=64,
        detections=20,
    ),
}
"""The presets: torchvision's for photographs of COCO's size, and one for images of 128
to 192 px on a CPU."""


def settings_named(
    name: str, *, trained: bool = True, **changes: Any
) -> DetectorSettings:
    """Returns a preset with some of its values changed; None changes nothing.

    Args:
        name: One of ``SETTINGS``.
        trained: Whether the backbone was trained before: by default its normalisation,
            stem and first stage are then frozen, and otherwise all of it trains.
        changes: Values by name.

    Raises:
        ModelError: If there is no such preset or value, or a value is out of range.

    Example:
        >>> settings_named("coco", norm="batch").frozen_layers
        2
    """
    defaults = ("frozen", 2) if trained else ("batch", 0)
    for key, value in zip(("norm", "frozen_layers"), defaults, strict=True):
        if changes.get(key) is None:
            changes[key] = value
    return preset(SETTINGS, name, changes, called="detector settings", error=ModelError)


def settings_from(values: Any) -> DetectorSettings:
    """Returns the settings that ``as_json`` made values of.

    Raises:
        ModelError: If a value is missing, unknown, or out of range.
    """
    try:
        if set(values) != {field.name for field in fields(DetectorSettings)}:
            raise ModelError("a detector's settings must be those of this release")
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return DetectorSettings(**given)
    except (TypeError, AttributeError) as error:
        raise ModelError(f"a detector's settings must be numbers, {error}") from error
