"""The backbone is the network, and nothing of the network is lost or changed."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import FeatureNetwork, create_model
from ddw_graph.detection.detector import Detector, detector_from
from ddw_graph.detection.evaluation import found_in
from ddw_graph.detection.freezing import freeze_norms
from ddw_graph.detection.settings import DetectorSettings, settings_from, settings_named
from ddw_graph.errors import ModelError
from ddw_graph.nn.network import Network
from tests.detection.small import (
    CATEGORIES,
    SIZE,
    small_detector,
    small_network,
    small_settings,
)

X = torch.linspace(-1, 1, 2 * 3 * SIZE**2).reshape(2, 3, SIZE, SIZE)


def used(network: Network) -> Network:
    """Returns a network whose normalisation has seen something, and whose affine
    parameters are not those of a new one."""
    with torch.no_grad():
        network.train()(torch.randn(4, network.in_channels, SIZE, SIZE))
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.eval()


@pytest.mark.parametrize(
    "name",
    [
        "randwire_tiny",
        "mobilenet_v2",
        pytest.param("resnet18", marks=pytest.mark.full),
        pytest.param("timm/regnetx_002", marks=pytest.mark.full),
    ],
)
def test_frozen_normalisation_equals_that_of_evaluation(name: str) -> None:
    edges = "dynamic:gate=none"  # others close no edge in training
    tiny = name == "randwire_tiny"
    network = small_network(edges) if tiny else create_model(name, edges=edges)
    backbone = FeatureNetwork(used(network).double())  # deep ones add up rounding
    frozen = copy.deepcopy(backbone)
    freeze_norms(frozen)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in frozen.modules())
    norms = [m for m in frozen.modules() if type(m).__name__.startswith("Frozen")]
    assert norms and not any(list(norm.parameters()) for norm in norms)
    state = {k: v.clone() for k, v in frozen.state_dict().items()}
    frozen.train()  # in training too, and without keeping statistics of it
    x = X.double()
    for ours, wanted in zip(frozen(x), backbone.eval()(x), strict=True):
        torch.testing.assert_close(ours, wanted)
    assert all(torch.equal(state[k], v) for k, v in frozen.state_dict().items())


def test_only_known_normalisation_with_statistics_is_frozen() -> None:
    class Rectified(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    for norm, message in (
        (nn.BatchNorm2d(3, track_running_stats=False), "keeps no statistics"),
        (Rectified(3), "can be frozen, got Rectified"),
    ):
        with pytest.raises(ModelError, match=message):
            freeze_norms(nn.Sequential(norm))
    plain = nn.BatchNorm2d(3, affine=False).eval()
    layers = nn.Sequential(plain)
    freeze_norms(layers)
    assert torch.equal(layers.train()(X), plain(X))


@pytest.mark.parametrize("edges", ["fixed", "learned", "dynamic"])
def test_the_backbone_has_the_features_of_the_network(edges: str) -> None:
    network = used(small_network(edges))
    detector = Detector(network, CATEGORIES, small_settings()).eval()
    wanted, matrices = FeatureNetwork(network, (1, 2))(X, return_adjacency=True)
    found, effective = detector.backbone.body(X, return_adjacency=True)
    for ours, theirs in zip((*found, *effective), (*wanted, *matrices), strict=True):
        assert torch.equal(ours, theirs)


def test_the_network_stays_as_it_is() -> None:
    network = used(small_network())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    settings = small_settings(norm="frozen", frozen_layers=4)
    detector = Detector(network, CATEGORIES, settings).train()
    images, boxes = torch.rand(2, 3, SIZE, SIZE), torch.tensor([[4.0, 4, 20, 20]])
    targets = [{"boxes": boxes, "labels": torch.tensor([1])}] * 2
    losses = detector(list(images), targets)
    torch.autograd.backward(torch.stack(list(losses.values())).sum())
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(p.grad is None for p in detector.backbone.body.parameters())
    assert detector.backbone.fpn.inner_blocks[0][0].weight.grad is not None


def test_each_image_has_the_adjacency_of_the_backbone() -> None:
    detector = Detector(used(small_network()), CATEGORIES, small_settings()).eval()
    images = [torch.rand(3, SIZE, SIZE), torch.rand(3, SIZE, SIZE).square()]
    _, adjacency = detector(images, return_adjacency=True)
    batch, _ = detector.transform(images)
    _, wanted = detector.backbone.body(batch.tensors, return_adjacency=True)
    assert [tuple(matrix.shape) for matrix in adjacency] == [(2, 4, 4)] * 3
    for place, image in enumerate(images):
        found = found_in(detector.train(), image)
        assert detector.training
        for ours, own, theirs in zip(adjacency, found.adjacency, wanted, strict=True):
            assert torch.equal(ours[place], theirs[place])
            torch.testing.assert_close(own, theirs[place])
    assert not torch.allclose(adjacency[0][0], adjacency[0][1])
    detector.eval()
    plain = detector(images)
    given = detector(images, adjacency=adjacency)
    cut = detector(images, adjacency=[0.1 * matrix for matrix in adjacency])
    assert same(plain, given) and not same(plain, cut)


def same(one: list[dict[str, Tensor]], other: list[dict[str, Tensor]]) -> bool:
    return all(
        torch.equal(a[key], b[key])
        for a, b in zip(one, other, strict=True)
        for key in ("boxes", "labels", "scores")
    )


def test_frozen_layers_are_counted_from_the_stem() -> None:
    detector = small_detector(frozen_layers=2)
    backbone = detector.backbone.body
    layers = [backbone.stem, *backbone.stages]
    trains = [{p.requires_grad for p in layer.parameters()} for layer in layers]
    assert trains == [{False}] * 2 + [{True}] * 2
    with pytest.raises(ModelError, match=r"in \[0, 4\], stem and 3 stages, got 6"):
        small_detector(frozen_layers=6)


def test_settings_follow_from_whether_the_backbone_was_trained() -> None:
    for trained, wanted in ((True, ("frozen", 2)), (False, ("batch", 0))):
        settings = settings_named("small", trained=trained, mean=None)
        assert (settings.norm, settings.frozen_layers) == wanted
    asked = settings_named("small", norm="batch", frozen_layers=0)
    assert (asked.norm, asked.frozen_layers) == ("batch", 0)


def test_the_default_is_what_torchvision_builds() -> None:
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    with torch.device("meta"):  # what is compared needs no weights
        theirs = fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=len(CATEGORIES) + 1
        )
        ours = Detector(create_model("resnet50", edges="fixed"), CATEGORIES)
    for name in ("rpn", "roi_heads", "backbone.fpn"):
        mine = ours.get_submodule(name).state_dict()
        wanted = theirs.get_submodule(name).state_dict()
        assert {k: v.shape for k, v in mine.items()} == {
            k: v.shape for k, v in wanted.items()
        }
    assert repr(ours.transform) == repr(theirs.transform)
    assert ours.rpn.anchor_generator.sizes == theirs.rpn.anchor_generator.sizes
    for name in ("pre_nms_top_n", "post_nms_top_n", "nms_thresh"):
        training = getattr(ours.rpn, f"_{name}", getattr(ours.rpn, name, None))
        assert training == getattr(
            theirs.rpn, f"_{name}", getattr(theirs.rpn, name, None)
        )


def test_images_are_normalised_as_the_backbone_is_used_to() -> None:
    given = small_detector(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert given.transform.image_mean == [0.1, 0.2, 0.3]
    assert given.transform.image_std == [0.4, 0.5, 0.6]
    assert small_detector().transform.image_mean == [0.485, 0.456, 0.406]
    grey = create_model("randwire_tiny", n=2, channels=12, in_channels=1)
    assert Detector(grey, CATEGORIES, small_settings()).transform.image_std == [0.226]


def target(*boxes: list[float], labels: list[int]) -> dict[str, Tensor]:
    return {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels)}


GOOD = [1.0, 1.0, 9.0, 9.0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "2 images need as many targets, got 0"),
        ([{"boxes": torch.zeros(0, 4)}] * 2, r"boxes and labels, got \['boxes'\]"),
        ([target(GOOD[:3], labels=[1])] * 2, r"\(n, 4\) .* got \(1, 3\) and \(1,\)"),
        ([target(GOOD, [3.0, 1, 3, 2], labels=[1, 1])] * 2, "x1 < x2 .* got .3.0, 1"),
        ([target([0.0, 1, torch.nan, 2], labels=[1])] * 2, "must be finite"),
        ([target(GOOD, labels=[0])] * 2, r"labels must be in \[1, 2\], got 0"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    targets: list[dict[str, Tensor]], message: str
) -> None:
    images = list(torch.rand(2, 3, SIZE, SIZE))
    with pytest.raises(ModelError, match=message):
        small_detector()(images, targets)


def test_images_of_any_size_and_without_objects_are_taken() -> None:
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    images = [torch.rand(3, 40, 90), torch.rand(3, 61, 33)]
    detector = small_detector()
    losses = detector(images, [none, target(GOOD, labels=[2])])
    assert all(value.isfinite() for value in losses.values())
    for boxes, image in zip(detector.eval()(images), images, strict=True):
        assert set(boxes) == {"boxes", "labels", "scores"}
        assert (boxes["boxes"][:, 2::2] <= image.shape[2]).all()


def two_channels() -> Network:
    return create_model("randwire_tiny", n=2, in_channels=2)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: small_detector(levels=(4, 16)), r"among the network's .*, got 16"),
        (lambda: Detector(small_network(), []), "at least one category"),
        (lambda: Detector(small_network(), [CATEGORIES[0]] * 2), "must be different"),
        (lambda: Detector(two_channels(), CATEGORIES), "1 or 3 channels, got 2"),
        (lambda: small_detector()([X[0]]), "needs targets, got None"),
        (lambda: small_detector().eval()([X[0, :1]]), "3 channels, height and width"),
        (lambda: DetectorSettings(min_size=900, max_size=800), "at least min_size"),
        (lambda: DetectorSettings(anchor_sizes=(1, 2)), "5 sizes, one a level"),
        (lambda: DetectorSettings(levels=(8, 4)), "levels must be rising"),
        (lambda: small_detector(mean=(0.1,)), "a value for each of 3 channels"),
        (lambda: settings_named("large"), "one of coco, small, got 'large'"),
        (lambda: settings_from({"norm": "frozen"}), "must be those of this release"),
        (lambda: settings_from(3), "must be numbers"),
        (lambda: detector_from({"network": {}}), "must hold what Detector takes"),
    ],
)
def test_refusals_name_rule_and_value(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
