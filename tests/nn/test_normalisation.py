"""A normalisation that is left to the next sum is that normalisation."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph.nn import aggregation
from ddw_graph.nn.aggregation import Signal, reference
from ddw_graph.nn.normalisation import signal_of
from tests.nn.test_stage import images


def spread(operation: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
    operation = operation.to(dtype)
    for module in operation.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_()  # type: ignore[union-attr]
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return operation


def conv(**settings: Any) -> list[nn.Module]:
    return [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, **settings)]


class Named(nn.Sequential):
    """A sequence under another name, as torchvision has them."""


LEFT: dict[str, Callable[[], nn.Module]] = {
    "sequence": lambda: nn.Sequential(*conv()),
    "nested": lambda: nn.Sequential(nn.ReLU(), Named(*conv(), nn.Identity())[:2]),
    "named": lambda: nn.Sequential(OrderedDict(before=nn.ReLU(), last=Named(*conv()))),
    "another momentum": lambda: nn.Sequential(*conv(momentum=0.3, eps=1e-3)),
}
MADE: dict[str, Callable[[], nn.Module]] = {
    "no affine": lambda: nn.Sequential(*conv(affine=False)),
    "no statistics": lambda: nn.Sequential(*conv(track_running_stats=False)),
    "average": lambda: nn.Sequential(*conv(momentum=None)),
    "activation": lambda: nn.Sequential(*conv(), nn.ReLU()),
    "group": lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4)),
    "empty": lambda: nn.Sequential(),
}


def run(operation: nn.Module, signal: bool) -> dict[str, Tensor]:
    """Returns features, pooled features, gradients and statistics of an operation."""
    twin = copy.deepcopy(operation)
    x = images(3, 3, 5, 6).requires_grad_()
    made = signal_of(twin, x) if signal else Signal(twin(x))
    features, pooled = made.made(), made.pooled()
    grad = images(*features.shape, seed=7)
    loss = (features * grad).sum() + (pooled**2).sum()
    torch.autograd.backward(loss)
    assert x.grad is not None
    grads = {n: p.grad for n, p in twin.named_parameters() if p.grad is not None}
    buffers = {f"{n}, buffer": b.double() for n, b in twin.named_buffers()}
    told = {"features": features, "pooled": pooled, "x": x.grad}
    return {k: v.detach() for k, v in {**told, **grads, **buffers}.items()}


@pytest.mark.parametrize("mode", ["training", "evaluation", "frozen"])
@pytest.mark.parametrize("name", [*LEFT, *MADE])
def test_it_is_the_operation_with_its_gradients_and_statistics(
    name: str, mode: str
) -> None:
    operation = spread({**LEFT, **MADE}[name]()).train(mode != "evaluation")
    if mode == "frozen":
        for module in operation.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval().requires_grad_(False)
    found, wanted = run(operation, signal=True), run(operation, signal=False)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [*LEFT, *MADE])
def test_a_normalisation_at_the_end_is_left_and_no_other(name: str) -> None:
    operation = spread({**LEFT, **MADE}[name]())
    assert (signal_of(operation, images(2, 3, 5, 5)).scale is not None) == (
        name in LEFT
    )
    with torch.no_grad():
        assert signal_of(operation, images(2, 3, 5, 5)).scale is None
    with reference():
        assert signal_of(operation, images(2, 3, 5, 5)).scale is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_normalises_where_it_is(dtype: torch.dtype) -> None:
    operation = spread(LEFT["sequence"](), dtype).eval()
    x = images(2, 3, 5, 5).to(dtype)
    signal = signal_of(operation, x)
    assert (signal.scale is None) == (dtype == torch.bfloat16)
    torch.testing.assert_close(signal.made(), operation(x))


def test_small_features_are_normalised_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation = spread(LEFT["sequence"]())
    x = images(2, 3, 5, 5)
    monkeypatch.setattr(aggregation, "SMALL", 2 * 4 * 5 * 5)
    assert signal_of(operation, x).scale is not None
    monkeypatch.setattr(aggregation, "SMALL", 2 * 4 * 5 * 5 + 1)
    assert signal_of(operation, x).scale is None


def test_what_somebody_listens_to_runs_as_it_is() -> None:
    operation = spread(LEFT["named"]()).eval()
    x = images(2, 3, 5, 5)
    assert signal_of(operation, x).scale is not None
    listened: list[str] = []
    for name, module in operation.named_modules():
        if name in ("", "last", "last.1"):
            handle = module.register_forward_hook(
                lambda m, i, o, name=name: listened.append(name)
            )
            assert signal_of(operation, x).scale is None
            handle.remove()
    assert listened == ["", "last", "last.1"]


def test_a_single_value_is_refused_in_training_as_ever() -> None:
    operation = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        signal_of(operation, torch.randn(1, 3, 1, 1))
