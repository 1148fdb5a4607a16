"""Networks on tokens, or with their channels last, rewired: small ones of libraries."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from ddw_graph import load, prune, rewire, save
from ddw_graph.errors import ModelError
from ddw_graph.models import rewiring
from ddw_graph.nn.host_network import HostNetwork
from tests.models.test_backbones import assert_same, pixels, spread

FULL = pytest.mark.full

VIT: dict[str, Any] = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 3,
    "num_heads": 2,
    "num_classes": 5,
}
X = pixels(size=32)
MIXERS: dict[str, dict[str, str]] = {
    "mixer": {},
    "resmlp": {"block_layer": "ResBlock", "norm_layer": "Affine"},
    "gmlp": {"block_layer": "SpatialGatingBlock", "mlp_layer": "GatedMlp"},
}
"""The variants of timm's Mixer: classes of its module."""
TIMM: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": VIT,
    "deit_tiny_distilled_patch16_224": VIT,
    "deit3_small_patch16_224": VIT,
    "beit_base_patch16_224": VIT,
    "eva02_tiny_patch14_224": VIT,
    "cait_xxs24_224": VIT | {"depth_token_only": 1},
    "xcit_nano_12_p16_224": VIT | {"depth": 2},
    "swin_tiny_patch4_window7_224": {
        "img_size": 32,
        "patch_size": 4,
        "window_size": 4,
        "embed_dim": 16,
        "depths": (2, 2),
        "num_heads": (2, 2),
        "num_classes": 5,
    },
    "mambaout_femto": {"depths": (2, 2), "dims": (16, 32), "num_classes": 5},
}
OWN_FORWARD = {"eva02_tiny_patch14_224", "xcit_nano_12_p16_224"}
"""Networks whose blocks take more than features."""
WHOLE = {
    # Steps between the additions, or that depend on values; a mask of the class token.
    "swin_tiny_patch4_window7_224",
    "xcit_nano_12_p16_224",
}
"""Networks whose blocks do not split into branches."""
QUICK = {
    "vit_tiny_patch16_224",
    "eva02_tiny_patch14_224",
    "mixer",
    "swin_tiny_patch4_window7_224",
}
"""Networks of the default tier."""

NAMES = [pytest.param(n, marks=() if n in QUICK else FULL) for n in (*TIMM, *MIXERS)]


@pytest.fixture(autouse=True)
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the search for a name, which none of these has."""
    monkeypatch.setattr(rewiring, "name_of", lambda model, **sizes: None)


def original(name: str) -> nn.Module:
    timm = pytest.importorskip("timm")
    if name in TIMM:
        model = timm.create_model(name, **TIMM[name])
    else:
        module = timm.models.mlp_mixer
        layers = {key: getattr(module, value) for key, value in MIXERS[name].items()}
        size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "num_blocks": 3}
        ratio: dict[str, Any] = {"mlp_ratio": 4.0} if layers else {}
        model = module.MlpMixer(num_classes=5, **size, **layers, **ratio)
    return spread(model).eval()


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_gradients_are_the_networks(name: str) -> None:
    old = original(name)
    new = rewire(old, edges="dynamic")
    assert isinstance(new, HostNetwork) == (name in OWN_FORWARD)
    assert_same(old, new, X)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_have_two_branches_each(name: str) -> None:
    old = original(name)
    if name in WHOLE:
        with pytest.raises(ModelError, match="stage 1: |nothing follows the addition"):
            rewire(old, node="branch")
        return
    blocks = [stage.plan.nodes - 2 for stage in rewire(old).stages]
    new = rewire(old, edges="dynamic", node="branch")
    branches = 1 if name in ("mambaout_femto", "gmlp") else 2
    assert [stage.plan.nodes - 2 for stage in new.stages] == [
        branches * n for n in blocks
    ]
    assert_same(old, new, X)


@pytest.mark.parametrize(
    "model",
    [
        VisionTransformer(32, 8, 3, 2, 32, 64, num_classes=5),
        pytest.param(
            SwinTransformer(
                [4, 4],
                16,
                [2, 2],
                [2, 2],
                [4, 4],
                num_classes=5,
                stochastic_depth_prob=0.0,
            ),
            marks=FULL,
        ),
    ],
)
def test_torchvisions_are_taken_too(model: nn.Module) -> None:
    old = spread(model).eval()
    assert_same(old, rewire(old, edges="dynamic"), X)


@pytest.mark.parametrize("edges", ["dynamic", "dynamic:per=position", "attention"])
def test_adjacencies_have_the_axes_of_the_features(edges: str) -> None:
    new = rewire(original("vit_tiny_patch16_224"), edges=edges)
    logits, (matrix,) = new(X, return_adjacency=True)
    assert matrix.shape == (2, 5, 5) + (() if edges == "dynamic" else (17, 1))
    torch.testing.assert_close(new(X, adjacency=[matrix]), logits)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_saved_it_is_loaded_with_its_backbone(name: str, tmp_path: Any) -> None:
    new = rewire(original(name), edges="dynamic:norm=rms").eval()
    save(new, tmp_path / "new.safetensors")
    again = load(tmp_path / "new.safetensors", backbone=original(name))
    torch.testing.assert_close(again(X), new(X), rtol=0, atol=0)


def test_what_runs_its_stages_itself_is_pruned_too(tmp_path: Any) -> None:
    shut = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=1"
    old = original("eva02_tiny_patch14_224")
    new = rewire(old, edges=shut, neutral=False).eval()
    small = prune(new, [X])
    assert isinstance(small, HostNetwork)
    before, after = (n.stages[0].dag.number_of_edges() for n in (new, small))
    assert after < before
    torch.testing.assert_close(small(X), new(X))
    save(small, tmp_path / "small.safetensors")
    again = load(tmp_path / "small.safetensors", backbone=old)
    torch.testing.assert_close(again(X), small(X), rtol=0, atol=0)
