"""Settings of a detector, other than its backbone."""

from dataclasses import asdict, dataclass, fields
from math import inf, isfinite
from typing import Any

from ddw_graph.errors import ModelError
from ddw_graph.presets import preset

NORMS = ("frozen", "batch")


@dataclass(frozen=True)
class DetectorSettings:
    """Settings of a detector, other than its backbone; defaults are torchvision's.

    Args:
        min_size: Pixels that the shorter side of an image is resized to.
        max_size: Most pixels of the longer side.
        levels: Reductions (image size over feature size) of the backbone's levels that
            the pyramid uses. One more level is pooled from the last.
        anchor_sizes: Pixels of the anchors of each level, the pooled one included.
        anchor_ratios: Height over width of the anchors at each place.
        pyramid_channels: Width of the pyramid.
        head_features: Width of the box head.
        proposals: Proposals that are kept for an image, twice as many in training.
        sampled_anchors: Anchors of an image that the proposals' loss samples.
        sampled_boxes: Proposals of an image that the boxes' loss samples.
        detections: Most detections of an image.
        score: Detections of a lower score are left out, in ``[0, 1)``.
        norm: Normalisation of the backbone: ``frozen`` keeps its statistics, ``batch``
            learns them.
        frozen_layers: First layers of the backbone that don't train: the stem, then its
            stages.
        mean: Mean of each channel, of values in ``[0, 1]``; None for photographs.
        std: Standard deviation of each channel, likewise.

    Raises:
        ModelError: If a value is out of range.
    """

    min_size: int = 800
    max_size: int = 1333
    levels: tuple[int, ...] = (4, 8, 16, 32)
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    pyramid_channels: int = 256
    head_features: int = 1024
    proposals: int = 1000
    sampled_anchors: int = 256
    sampled_boxes: int = 512
    detections: int = 100
    score: float = 0.05
    norm: str = "frozen"
    frozen_layers: int = 0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Checks every value."""
        sizes = len(self.levels) + 1
        rising = list(self.levels) == sorted(set(self.levels)) and min(
            self.levels, default=0
        )
        for name, rule, holds in (
            ("min_size", "at least 1", self.min_size >= 1),
            ("max_size", "at least min_size", self.max_size >= self.min_size),
            ("levels", "rising, and at least 1", bool(rising) and self.levels[0] >= 1),
            (
                "anchor_sizes",
                f"{sizes} sizes of at least 1, one a level and one for the pooled one",
                len(self.anchor_sizes) == sizes and min(self.anchor_sizes) >= 1,
            ),
            (
                "anchor_ratios",
                "some, finite and more than 0",
                bool(self.anchor_ratios)
                and all(0 < ratio < inf for ratio in self.anchor_ratios),
            ),
            ("pyramid_channels", "at least 1", self.pyramid_channels >= 1),
            ("head_features", "at least 1", self.head_features >= 1),
            ("proposals", "at least 1", self.proposals >= 1),
            ("sampled_anchors", "at least 2", self.sampled_anchors >= 2),
            ("sampled_boxes", "at least 2", self.sampled_boxes >= 2),
            ("detections", "at least 1", self.detections >= 1),
            ("score", "in [0, 1)", 0 <= self.score < 1),
            ("norm", " or ".join(NORMS), self.norm in NORMS),
            ("frozen_layers", "at least 0", self.frozen_layers >= 0),
            ("mean", "None or finite", all(map(isfinite, self.mean or ()))),
            (
                "std",
                "None or finite and more than 0",
                all(0 < value < inf for value in self.std or ()),
            ),
        ):
            if not holds:
                raise ModelError(f"{name} must be {rule}, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


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
    return preset(
        SETTINGS,
        name,
        changes,
        called="detector settings",
        whole="a detector",
        error=ModelError,
    )


def settings_from(values: Any) -> DetectorSettings:
    """Returns the settings in what ``as_dict`` returned.

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
