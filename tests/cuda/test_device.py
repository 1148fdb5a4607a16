"""What must hold on a GPU: the numbers of the CPU, and no wait for the processor.

``pytest -m cuda`` runs these where there is a GPU. ``TEST_DEVICE=cpu pytest -m cuda``
runs them elsewhere, as far as that goes: memory and waiting are checked on CUDA only.
"""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ddw_graph import create_model, load, save
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.measurement import step_memory
from ddw_graph.nn.network import Network
from ddw_graph.training import Execution, load_data, recipe_named, train
from ddw_graph.training.launch import new_network

pytestmark = pytest.mark.cuda
DEVICE = torch.device(os.environ.get("TEST_DEVICE", "cuda"))
ON_CUDA = DEVICE.type == "cuda"
KINDS = (
    "fixed",
    "learned",
    "learned:form=free",
    "learned:form=softmax",
    "dynamic",
    "dynamic:gate=hard,bias=0,threshold=0.5,router_std=1",
    "dynamic:bias=0,gate=none,norm=rms",
    "dynamic:per=position",
    "attention",
    "receiver",
)
SMALL: dict[str, dict[str, Any]] = {
    "randwire_tiny": {"n": 5, "channels": 8},
    "resnet18": {},
    "mobilenet_v2": {},
    "regnet_y_600mf": {},
    "vit_tiny": {"depth": 2},
    "gpt_tiny": {"depth": 2, "context": 16},
}
CASES = [
    pytest.param(name, edges, id=f"{name} {edges}")
    for name in SMALL
    for edges in KINDS
    # Edges of a language model must not see later tokens.
    if name != "gpt_tiny" or "dynamic" not in edges or "position" in edges
]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Skips without the device; keeps float32 products precise."""
    if ON_CUDA and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def network(name: str, edges: str) -> Network:
    """Returns a small network with weights that differ from their start."""
    torch.manual_seed(0)
    model = create_model(name, edges=edges, **SMALL[name])
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the devices draw other numbers
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    doubled: Network = model.double()
    return doubled


def batch(model: Network) -> tuple[Tensor, Tensor]:
    """Returns inputs and classes."""
    generator = torch.Generator().manual_seed(1)
    size = model.image_size or 32
    x = model.example(size, batch=4, generator=generator)
    if isinstance(model, LanguageModel):
        return x, x.roll(-1, 1)
    return x.double(), torch.randint(1000, (4,), generator=generator)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the loss of an image's class, or of each next token."""
    return cross_entropy(logits.flatten(0, -2), labels.flatten())


def step(model: Any, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Returns what a training step makes: loss, adjacencies, gradients, buffers."""
    model.zero_grad()
    logits, adjacency = model.train()(x, return_adjacency=True)
    loss = loss_of(logits, labels)
    torch.autograd.backward(loss)
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    numbered = {f"adjacency {k}": each for k, each in enumerate(adjacency)}
    return {"loss": loss, **numbered, **grads, **dict(model.named_buffers())}


def assert_close(
    found: dict[str, Tensor], wanted: dict[str, Tensor], rtol: float
) -> None:
    """Checks equality to a share of each tensor's largest number."""
    assert found.keys() == wanted.keys()
    for name, one in found.items():
        other = wanted[name].detach().cpu().double()
        difference = (one.detach().cpu().double() - other).abs().max()
        assert difference <= rtol * other.abs().max().clamp(min=1e-3), name


@pytest.mark.parametrize(("name", "edges"), CASES)
def test_device_computes_what_the_cpu_does(name: str, edges: str) -> None:
    """In training, evaluation, channels last, with skipping, and recomputing."""
    here = network(name, edges)
    there = copy.deepcopy(here).to(DEVICE)
    x, labels = batch(here)
    moved = x.to(DEVICE), labels.to(DEVICE)
    assert_close(step(there, *moved), wanted := step(here, x, labels), 1e-8)
    again = copy.deepcopy(here).to(DEVICE)
    again.load_state_dict(network(name, edges).state_dict())
    for stage in again.stages:
        stage.recompute = True
    if x.ndim == 4:
        again = again.to(memory_format=torch.channels_last)
        moved = moved[0].contiguous(memory_format=torch.channels_last), moved[1]
    found = step(again, *moved)
    # Batch normalisation counts a batch again when features are computed again.
    kept = {n: t for n, t in found.items() if "running" not in n and "tracked" not in n}
    assert_close(kept, {n: wanted[n] for n in kept}, 1e-8)
    with torch.no_grad():
        logits, adjacency = here.eval()(x, return_adjacency=True)
        for skips in (False, True):
            for stage in there.stages:
                stage.skips = skips
            result, matrices = there.eval()(moved[0], return_adjacency=True)
            assert_close({"": result}, {"": logits}, 1e-8)
            for one, other in zip(matrices, adjacency, strict=True):
                assert_close({"": one}, {"": other}, 1e-8)


@pytest.mark.parametrize("name", SMALL)
def test_autocast_stays_near_float32(name: str) -> None:
    """Mixed precision changes logits by the rounding of its type."""
    model = network(name, "dynamic:per=position").float().to(DEVICE).eval()
    x, _ = batch(model)
    x = x.to(DEVICE) if isinstance(model, LanguageModel) else x.float().to(DEVICE)
    with torch.no_grad():
        wanted = model(x)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            found = model(x).float()
    assert (found - wanted).norm() <= 0.05 * wanted.norm()


@pytest.mark.parametrize(("name", "edges"), CASES)
def test_training_step_never_waits(name: str, edges: str) -> None:
    """No step copies to the processor, or waits for the GPU in another way."""
    model = network(name, edges).float().to(DEVICE)
    x, labels = batch(model)
    if not isinstance(model, LanguageModel):
        x = x.float()
    x, labels = x.to(DEVICE), labels.to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def one() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(model.train()(x), labels))
        optimizer.step()

    one()  # makes the constants of the plan, and the state of the optimizer
    if not ON_CUDA:
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        one()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("edges", ["fixed", "dynamic", "attention"])
@pytest.mark.parametrize("name", ["randwire_tiny", "vit_tiny"])
def test_compiled_equals_eager(name: str, edges: str) -> None:
    """One graph without breaks computes the same, forward and backward."""
    # In a process whose functions do not check shapes, which Dynamo cannot follow.
    code = f"from {__name__} import check_compiled; check_compiled({name!r}, {edges!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def check_compiled(name: str, edges: str) -> None:
    """Checks a compiled training step against an eager one."""
    model = network(name, edges).float().to(DEVICE)
    x, labels = batch(model)
    x, labels = x.float().to(DEVICE), labels.to(DEVICE)
    state = copy.deepcopy(model.state_dict())
    wanted = {key: each.clone() for key, each in step(model, x, labels).items()}
    model.load_state_dict(state)
    found = step(torch.compile(model, fullgraph=True), x, labels)
    found = {key.removeprefix("_orig_mod."): each for key, each in found.items()}
    assert_close(found, wanted, 2e-3)


def test_recomputing_lowers_the_peak() -> None:
    """A step with recomputing takes less memory."""
    if not ON_CUDA:
        pytest.skip("memory is measured on CUDA")
    model = create_model("resnet18", edges="dynamic").to(DEVICE)
    x = torch.randn(16, 3, 128, 128, device=DEVICE)
    peaks = []
    for recompute in (False, True):
        for stage in model.stages:
            stage.recompute = recompute

        def run() -> None:
            model(x).sum().backward()

        run()
        peaks.append(step_memory(run, model.parameters())["peak_mb"])
    assert peaks[1] < peaks[0]


def test_one_process_of_nccl_equals_none(tmp_path: Path) -> None:
    """DistributedDataParallel changes nothing in a step of one process."""
    x, labels = batch(model := network("randwire_tiny", "dynamic"))
    model, x, labels = model.to(DEVICE), x.to(DEVICE), labels.to(DEVICE)
    wanted = step(copy.deepcopy(model), x, labels)
    distributed: Any = torch.distributed
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    kind = "nccl" if ON_CUDA else "gloo"
    distributed.init_process_group(kind, store=store, rank=0, world_size=1)
    try:
        parallel = nn.parallel.DistributedDataParallel(model)
        found = step(parallel, x, labels)
    finally:
        distributed.destroy_process_group()
    found = {name.removeprefix("module."): each for name, each in found.items()}
    assert_close(found, wanted, 1e-8)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("data", ["fashion_mnist_mini", "text"])
def test_trainings_run(data: str, precision: str, tmp_path: Path) -> None:
    """A run trains, is saved, loaded, and evaluated."""
    extra: dict[str, Any] = {"holdout": 20, "per_class": 10}
    if data == "text":
        extra = {"epoch_tokens": 2048, "holdout": 1024}
    loaded = load_data(data, **extra)
    name = "gpt_tiny" if data == "text" else "randwire_tiny"
    recipe = recipe_named("language" if data == "text" else "small", epochs=1)
    model = new_network(loaded, recipe, model=name, seed=0, **SMALL[name])
    run = train(
        model,
        loaded,
        recipe,
        seed=0,
        folder=tmp_path / "run",
        device=DEVICE.type,
        execution=Execution(precision=precision),
    )
    assert run.result is not None and run.result["epochs"] == 1
    trained = run.network().to(DEVICE)
    save(trained, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors")
    x = model.example(28, batch=2) if data != "text" else model.example(batch=2)
    with torch.no_grad():
        assert_close({"": trained(x.to(DEVICE))}, {"": again(x)}, 1e-4)
    if isinstance(trained, LanguageModel):
        generator = torch.Generator(DEVICE).manual_seed(0)
        assert trained.generate(x[:, :4], 3, generator=generator).shape == (2, 7)
