"""Faster R-CNN with a feature pyramid on a wired backbone."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from ddw_graph.detection.freezing import freeze_norms
from ddw_graph.detection.settings import DetectorSettings, settings_from
from ddw_graph.errors import ModelError
from ddw_graph.models import FeatureNetwork, from_config
from ddw_graph.nn.network import Network
from ddw_graph.settings import as_json

NORMALISATION = {
    1: ((0.449,), (0.226,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of photographs by their number of channels; those of 3
as in torchvision."""

Boxes = dict[str, Tensor]
"""An image's ``boxes`` as ``(x1, y1, x2, y2)``, ``labels`` from 1, and ``scores`` of
detections, as torchvision's detectors take and return them."""


@dataclass(frozen=True, order=True)
class Category:
    """A class of objects."""

    id: int
    name: str


class Pyramid(nn.Module):
    """A backbone with a feature pyramid on all of its levels.

    Shapes:
        - x: ``(batch, in_channels, height, width)``
        - output: by name, ``(batch, channels, height / reduction, width / reduction)``
    """

    def __init__(self, body: FeatureNetwork, channels: int) -> None:
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramidNetwork(
            body.feature_info.channels(), channels, extra_blocks=LastLevelMaxPool()
        )
        self.out_channels = channels

    def forward(
        self, x: Tensor, *, adjacency: Sequence[Tensor] | None = None
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Returns the pyramid's levels by name, and each stage's adjacency."""
        levels, matrices = self.body(x, adjacency=adjacency, return_adjacency=True)
        named = OrderedDict((str(place), level) for place, level in enumerate(levels))
        return self.fpn(named), matrices


class Detector(FasterRCNN):  # type: ignore[misc]
    """torchvision's Faster R-CNN on the features of a wired network.

    In training, ``detector(images, targets)`` returns the losses by name; in evaluation
    ``detector(images)`` returns for each image ``boxes``, ``labels`` and ``scores``.
    Labels count from 1, in the order of ``categories``. Images of different sizes are
    padded in a batch, and routers see the padding.

    Args:
        network: The classifier whose stem and stages are copied as the backbone.
        categories: The classes.
        settings: Everything other than the backbone.

    Raises:
        ModelError: If the network lacks a level of the settings, doesn't take images of
            1 or 3 channels, or of other channels than the settings' mean and std.

    Example:
        >>> import torch
        >>> from ddw_graph import create_model
        >>> network = create_model("resnet18", edges="dynamic")
        >>> small = DetectorSettings(min_size=64, max_size=64)
        >>> detector = Detector(network, [Category(1, "bag")], small).eval()
        >>> found, adjacency = detector([torch.rand(3, 64, 64)], return_adjacency=True)
        >>> sorted(found[0]), [tuple(matrix.shape) for matrix in adjacency]
        (['boxes', 'labels', 'scores'], [(1, 4, 4), (1, 4, 4), (1, 4, 4), (1, 4, 4)])

    Source:
        Ren et al. 2015, arXiv:1506.01497; Lin et al. 2017, arXiv:1612.03144; DDW,
        section 4.2.
    """

    def __init__(
        self,
        network: Network,
        categories: Sequence[Category],
        settings: DetectorSettings = DetectorSettings(),  # noqa: B008 (frozen)
    ) -> None:
        _check_categories(categories)
        images = network.in_channels
        if images not in NORMALISATION:
            raise ModelError(
                "a detector's network must take images of 1 or 3 channels, got "
                f"{images}"
            )
        usual = NORMALISATION[images]
        mean, std = (
            default if given is None else given
            for default, given in zip(usual, (settings.mean, settings.std), strict=True)
        )
        if not len(mean) == len(std) == images:
            raise ModelError(
                f"mean and std need a value for each of {images} channels, got {mean} "
                f"and {std}"
            )
        body = _backbone(network, settings)
        channels = settings.pyramid_channels
        names = [str(place) for place in range(len(settings.levels))]
        ratios = (settings.anchor_ratios,) * len(settings.anchor_sizes)
        pool = MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2)
        super().__init__(
            Pyramid(body, channels),
            min_size=settings.min_size,
            max_size=settings.max_size,
            image_mean=list(mean),
            image_std=list(std),
            rpn_anchor_generator=AnchorGenerator(
                tuple((size,) for size in settings.anchor_sizes), ratios
            ),
            rpn_pre_nms_top_n_train=2 * settings.proposals,
            rpn_pre_nms_top_n_test=settings.proposals,
            rpn_post_nms_top_n_train=2 * settings.proposals,
            rpn_post_nms_top_n_test=settings.proposals,
            rpn_batch_size_per_image=settings.sampled_anchors,
            box_roi_pool=pool,
            box_head=TwoMLPHead(channels * 7**2, settings.head_features),
            box_predictor=FastRCNNPredictor(
                settings.head_features, len(categories) + 1
            ),
            box_batch_size_per_image=settings.sampled_boxes,
            box_score_thresh=settings.score,
            box_detections_per_img=settings.detections,
            size_divisible=max(32, settings.levels[-1]),
        )
        self.categories = tuple(categories)
        self.settings = settings
        self.in_channels = images
        self.config: dict[str, Any] | None = None
        if network.config is not None:
            self.config = {
                "kind": "detector",
                "network": network.config,
                "categories": [vars(category) for category in categories],
                "settings": as_json(settings),
            }

    def forward(
        self,
        images: Sequence[Tensor],
        targets: Sequence[Boxes] | None = None,
        *,
        adjacency: Sequence[Tensor] | None = None,
        return_adjacency: bool = False,
    ) -> Any:
        """Returns losses in training, and detections in evaluation.

        Args:
            images: ``(in_channels, height, width)`` each, values in ``[0, 1]``.
            targets: ``boxes`` and ``labels`` of each image; needed in training.
            adjacency: Multipliers to use instead, one tensor a stage.
            return_adjacency: Whether to return the adjacency of each image too, one
                tensor ``(batch, N_k, N_k)`` a stage.

        Raises:
            ModelError: If targets are missing in training or wrong, images have other
                channels, or ``adjacency`` does not fit.
        """
        if self.training:
            if targets is None:
                raise ModelError("a detector in training needs targets, got None")
            _check_targets(targets, len(images), len(self.categories))
        for image in images:
            if image.ndim != 3 or image.shape[0] != self.in_channels:
                raise ModelError(
                    f"images must have {self.in_channels} channels, height and width, "
                    f"got {tuple(image.shape)}"
                )
        sizes = [tuple(image.shape[-2:]) for image in images]
        wanted = None if targets is None else list(targets)
        batch, wanted = self.transform(list(images), wanted)
        features, matrices = self.backbone(batch.tensors, adjacency=adjacency)
        proposals, proposal_losses = self.rpn(batch, features, wanted)
        found, losses = self.roi_heads(features, proposals, batch.image_sizes, wanted)
        if self.training:
            output: Any = {**losses, **proposal_losses}
        else:
            output = self.transform.postprocess(found, batch.image_sizes, sizes)
        return (output, matrices) if return_adjacency else output


def detector_from(config: Mapping[str, Any], **given: Any) -> Detector:
    """Returns the detector that a configuration describes, with new weights."""
    try:
        settings = settings_from(config["settings"])
        categories = [Category(**each) for each in config["categories"]]
        network = config["network"]
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"a detector's configuration must hold what Detector takes, got {error!r}"
        ) from error
    return Detector(from_config(network, **given), categories, settings)


def _backbone(network: Network, settings: DetectorSettings) -> FeatureNetwork:
    network = copy.deepcopy(network)
    known = FeatureNetwork(network).feature_info.reduction()
    missing = [level for level in settings.levels if level not in known]
    if missing:
        raise ModelError(
            f"levels must be among the network's {known}, got {missing[0]}"
        )
    body = FeatureNetwork(network, [known.index(level) for level in settings.levels])
    if settings.norm == "frozen":
        freeze_norms(body)
    parts, frozen = [body.stem, *body.stages], settings.frozen_layers
    if frozen > len(parts):
        raise ModelError(
            f"frozen_layers must be in [0, {len(parts)}], stem and {len(parts) - 1} "
            f"stages, got {frozen}"
        )
    for part in parts[:frozen]:
        part.requires_grad_(False)
    return body


def _check_targets(targets: Sequence[Boxes], images: int, categories: int) -> None:
    """Refuses targets that would make losses NaN, or fail in a kernel."""
    if len(targets) != images:
        raise ModelError(f"{images} images need as many targets, got {len(targets)}")
    for place, target in enumerate(targets):
        if not {"boxes", "labels"} <= set(target):
            raise ModelError(f"a target needs boxes and labels, got {sorted(target)}")
        boxes, labels = target["boxes"], target["labels"]
        if boxes.shape[1:] != (4,) or labels.shape != boxes.shape[:1]:
            raise ModelError(
                "boxes must be (n, 4) and labels (n,), got "
                f"{tuple(boxes.shape)} and {tuple(labels.shape)} in target {place}"
            )
        is_box = boxes.isfinite().all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        is_label = (labels >= 1) & (labels <= categories)
        for name, values, good, rule in (
            ("boxes", boxes, is_box, "finite (x1, y1, x2, y2), x1 < x2 and y1 < y2"),
            ("labels", labels, is_label, f"in [1, {categories}]"),
        ):
            if not good.all():
                raise ModelError(
                    f"{name} must be {rule}, got {values[~good][0].tolist()} in target "
                    f"{place}"
                )


def _check_categories(categories: Sequence[Category]) -> None:
    if not categories:
        raise ModelError("a detector needs at least one category, got none")
    for category in categories:
        if type(category.id) is not int or not isinstance(category.name, str):
            raise ModelError(
                f"a category must have a whole number and a name, got {category}"
            )
    if len({category.id for category in categories}) < len(categories):
        raise ModelError("ids of categories must be different, got one twice")
