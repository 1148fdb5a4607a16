"""Networks on disk: round trips, refusals, and files that are not to be trusted."""

import hashlib
import json
import math
import os
import pickle
import random
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ddw_graph import Network, create_model, load, rewire, save
from ddw_graph.errors import CheckpointError, FileError, ModelError
from ddw_graph.models.backbones import library_model
from ddw_graph.nn.operations import basic_branch
from ddw_graph.wiring import edge_list
from tests.nn.test_operations import Scale

ZEROS = "0" * 64
NOTHING = object()
X = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)

Tensors = dict[str, Tensor]
Manifest = dict[str, Any]


def tiny(**changes: Any) -> Network:
    """Returns a network of which no tensor is as a new one has it."""
    arguments = {
        "wiring": "ws:k=2,p=0.5",
        "n": 4,
        "channels": 4,
        "num_classes": 3,
        "in_channels": 1,
        **changes,
    }
    model: Network = create_model("randwire_tiny", **arguments)
    with torch.no_grad():
        model(torch.randn(4, arguments["in_channels"], 8, 8))
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.25)
    return model.eval()


def contents(path: Path) -> tuple[Tensors, Manifest]:
    """Returns tensors and manifest, by safetensors' own reader."""
    with safe_open(path, framework="pt") as file:
        manifest = json.loads(file.metadata()["ddw_graph"])
    return safetensors.torch.load_file(path), manifest


def signed(tensors: Tensors, manifest: Manifest | str) -> bytes:
    """Returns a checkpoint whose digest is right, whatever it holds."""
    if not isinstance(manifest, str):
        manifest = json.dumps({"sha256": ZEROS, **manifest})
    data = safetensors.torch.save(tensors, metadata={"ddw_graph": manifest})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(ZEROS.encode(), digest.encode(), 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Returns the bytes of a small checkpoint."""
    path = tmp_path_factory.mktemp("whole") / "a"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save(tiny(n=1, channels=1, wiring="vgg", edges="learned"), path)
    return path.read_bytes()


def refused(path: Path, match: str = "", **options: Any) -> str:
    """Returns the one line that a file is refused with, without the file's name."""
    with pytest.raises(CheckpointError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.isprintable()
    message = message.removeprefix(f"{path}: ")
    assert len(message) < 400
    assert re.search(match, message), message
    return message


def rewrite(path: Path, whole: bytes, **changes: Any) -> None:
    """Writes a checkpoint with other entries in its manifest and a right digest."""
    path.write_bytes(whole)
    tensors, manifest = contents(path)
    manifest |= {"sha256": ZEROS, **changes}
    kept = {key: value for key, value in manifest.items() if value is not NOTHING}
    path.write_bytes(signed(tensors, json.dumps(kept)))


@pytest.mark.parametrize(
    ("edges", "changes", "dtype"),
    [
        ("fixed", {}, torch.bfloat16),
        ("learned", {}, torch.float64),
        # Some tensors are empty.
        ("learned", {"n": 1, "wiring": "vgg", "output": "mean"}, torch.float32),
        ("dynamic", {"wiring": "complete", "in_channels": 3}, torch.float32),
        ("dynamic:gate=hard,threshold=0.9", {"channels": 4.5}, torch.float32),
        ("dynamic:gate=none", {"operation": "basic", "head": 24}, torch.float16),
    ],
)
def test_round_trip_is_bit_for_bit(
    edges: str,
    changes: dict[str, Any],
    dtype: torch.dtype,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny(edges=edges, seed=5, **changes).to(dtype)
    x = X.to(dtype).expand(-1, model.in_channels, -1, -1)
    assert save(model.train(), path)
    monkeypatch.setattr(
        nx, "connected_watts_strogatz_graph", lambda *a: pytest.fail("drawn again")
    )
    before = torch.get_rng_state()
    again = load(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in again.modules())
    assert all(parameter.requires_grad for parameter in again.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    for one, other in zip(model.stages, again.stages, strict=True):
        assert edge_list(one.dag) == edge_list(other.dag)
        assert one.dag.graph == other.dag.graph
    assert again.config == model.config
    logits, adjacency = model.eval()(x, return_adjacency=True)
    found, effective = again(x, return_adjacency=True)
    assert torch.equal(found, logits)
    assert all(map(torch.equal, effective, adjacency))


def test_the_default_device_and_type_do_not_matter(path: Path) -> None:
    model = tiny(edges="learned", n=1, wiring="vgg", output="mean")
    save(model, path)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            again = load(path)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(again(X), model(X))


def test_any_reader_opens_the_file(path: Path) -> None:
    model = tiny()
    save(model, path)
    tensors, manifest = contents(path)
    state = model.state_dict()
    assert tensors.keys() == state.keys()  # and no buffer that can be computed
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    assert manifest["config"] == model.config
    assert set(manifest["versions"]) == {"ddw_graph", "torch", "networkx", "python"}
    digest = manifest.pop("sha256")
    # As the documentation says: a digest of the file with zeros for the digest.
    data = path.read_bytes()
    assert data.count(digest.encode()) == 1
    zeroed = data.replace(digest.encode(), ZEROS.encode())
    assert hashlib.sha256(zeroed).hexdigest() == digest


def test_a_file_is_never_overwritten_unasked(path: Path) -> None:
    model = tiny()
    assert save(model, path)
    before = path.read_bytes()
    assert not save(model, path) and not save(load(path), path)
    other = tiny()
    with pytest.raises(FileError, match="is there already, with other content"):
        save(other, path)
    assert path.read_bytes() == before
    assert save(other, path, overwrite=True)
    assert torch.equal(load(path)(X), other(X))
    assert list(path.parent.iterdir()) == [path]


class Fussy(nn.Module):
    """Cannot be made without memory, draws when it is made, and shares a tensor."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.branch = basic_branch(in_channels, out_channels, stride)
        self.scale = torch.linspace(0, 1, 3)[1].item() + 0 * torch.rand(1).item()
        self.one = self.other = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x) * self.scale * self.one
        return y


def convolution(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1)


@pytest.mark.parametrize(
    "operation",
    [
        Fussy,
        ("basic", "sepconv", "sepconv", "basic"),
        ["basic", basic_branch, "sepconv", Fussy],
        lambda node: "basic" if node == 2 else basic_branch,
        ["basic", Scale(), Scale(), "sepconv"],
    ],
    ids=["fussy", "tuple", "callables", "function", "modules"],
)
def test_your_own_operations_must_be_given_again_and_do_not_change(
    operation: Any, path: Path
) -> None:
    model = tiny(operation=operation, wiring="complete")
    save(model, path)
    refused(path, "operation must be given, got None")
    wanted = model(X)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    moved, before = model(X), torch.get_rng_state()
    assert torch.equal(load(path, operation=operation)(X), wanted)
    assert torch.equal(torch.get_rng_state(), before)
    # The loaded network has modules of its own.
    assert torch.equal(model(X), moved)
    refused(path, "4 nodes that compute, got 2", operation=["basic"] * 2)
    refused(path, "^the checkpoint of another network: ", operation=convolution)


def doubled(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return 2 * output


def put_forward(module: nn.Module) -> None:
    module.forward = lambda x: 2 * x


BAD: list[tuple[Callable[[Any], object], str]] = [
    (lambda m: setattr(m, "config", None), "has a config .* got Network without one"),
    (lambda m: m.stages[1].half(), r"type, got float32 \(stem.0.weight\), float16 \("),
    (lambda m: m.to("meta"), "stem.0.weight has no data"),
    (lambda m: setattr(m, "head", nn.Linear(2, 7)), "head.4.weight is missing; .* 1 m"),
    (
        lambda m: setattr(m.head, "4", nn.Linear(16, 7)),
        r"head.4.weight is float32 \(7, 16\), not float32 \(3, 16\)",
    ),
    (
        lambda m: m.register_buffer("a", X.to(torch.complex64)),
        "must be dense and real, a is not",
    ),
    (lambda m: m.head[-1].bias.data.fill_(math.nan), "NaN or infinity in head.4.bias"),
    (lambda m: m.config.update(a=object()), "must fit into a header of JSON"),
    (lambda m: m.config.update(a="a" * 10**8), "JSON, got .*header too large"),
    # What no file holds.
    (lambda m: m.stages[1].register_forward_hook(doubled), "stages.1 has a forward h"),
    (lambda m: m.stem.register_forward_pre_hook(lambda *_: None), "stem has a forward"),
    (lambda m: put_forward(m.stages[1]), "stages.1 has a forward hook, or a forward"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_names_what_cannot_be_saved(
    change: Callable[[Any], object], message: str, path: Path
) -> None:
    model = tiny()
    change(model)
    with pytest.raises(ModelError, match=message) as caught:
        save(model, path)
    assert str(caught.value).isprintable()
    assert not list(path.parent.iterdir())


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


# What torch.load makes of a file depends on the end of its name.
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_planted_pickle_does_not_run(name: str, tmp_path: Path) -> None:
    path, marker = tmp_path / name, tmp_path / "marker"
    planted = {"stem.0.weight": Planted(marker)}
    torch.save(planted, path)
    assert "not a whole safetensors file" in refused(path)
    path.write_bytes(pickle.dumps(planted))
    assert "not a whole safetensors file" in refused(path)
    # In the places where a careless reader would look for one.
    text = pickle.dumps(planted, protocol=0).decode()
    path.write_bytes(signed({}, text))
    assert "its manifest must be JSON" in refused(path)
    path.write_bytes(safetensors.torch.save({}, metadata={"pickle": text}))
    assert "safetensors.torch.load_file" in refused(path)
    assert not marker.exists()


def header_of(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(range(256)),
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 99_000_000) + b"{}",
        struct.pack("<Q", 0),
        header_of(b'{"a":' * 10**6),
        header_of(b'{"__metadata__": {"ddw_graph": {}}}'),
        header_of(b'{"__metadata__": {"ddw_graph": "\xff"}}'),
        header_of(b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}'),
        header_of(b'{"a": {"dtype": "P", "shape": [], "data_offsets": [0, 0]}}'),
        header_of(
            b'{"a": {"dtype": "U8", "shape": [4294967296, 4294967296], '
            b'"data_offsets": [0, 0]}}'
        ),
    ],
)
def test_what_is_not_safetensors(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert refused(path).startswith("not a whole safetensors file, ")


def test_what_is_no_file_or_may_not_be_read(
    path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(path.parent) == "not a regular file"
    assert refused(path) == "no such file"
    if Path("/dev/zero").exists():  # and never ends
        assert refused(Path("/dev/zero")) == "not a regular file"
    path.write_bytes(whole)

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refused(path) == "cannot be read, Permission denied"


def test_a_huge_file_is_not_read(path: Path) -> None:
    """Neither for what its first bytes claim, nor before its manifest is known."""
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 2**30))
        file.truncate(2**31)
    tracemalloc.start()
    assert "header too large" in refused(path)
    entry = {"dtype": "U8", "shape": [2**31], "data_offsets": [0, 2**31]}
    with open(path, "wb") as file:
        place = file.write(header_of(json.dumps({"a": entry}).encode()))
        file.truncate(place + 2**31)
    assert "only tensors" in refused(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_cut_anywhere_is_noticed(path: Path, whole: bytes) -> None:
    sizes = {*range(0, len(whole), 61), *range(len(whole) - 9, len(whole))}
    for size in sizes:
        path.write_bytes(whole[:size])
        assert "not a whole safetensors file" in refused(path), size
    for more in (b"\0", whole):
        path.write_bytes(whole + more)
        assert "not a whole safetensors file" in refused(path)


def test_a_flipped_bit_anywhere_is_noticed(path: Path, whole: bytes) -> None:
    """Every byte of header and manifest, and many of the tensors."""
    header = 8 + int.from_bytes(whole[:8], "little")
    generator = random.Random(0)
    places = [*range(header), *range(header, len(whole), 7), len(whole) - 1]
    path.write_bytes(whole)
    load(path)
    digest = contents(path)[1]["sha256"].encode()
    start = whole.index(digest)
    assert 0 < start < header - 64
    with open(path, "r+b", buffering=0) as file:
        for place in places:
            file.seek(place)
            file.write(bytes([whole[place] ^ 1 << generator.randrange(8)]))
            message = refused(path)
            if place >= header:
                assert message.startswith("damaged: "), place
            file.seek(place)
            file.write(whole[place : place + 1])
        # A digit of the digest in capitals is another digest.
        letter = next(i for i in range(64) if digest[i : i + 1].isalpha())
        file.seek(start + letter)
        file.write(digest[letter : letter + 1].upper())
        assert refused(path).startswith("damaged: ")
    path.write_bytes(whole)
    load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "its manifest must be JSON, Expecting property"),
        ('{"a":' * 10**6, "its manifest must be JSON, maximum recursion"),
        ('{"a":' + "9" * 10**4 + "}", "its manifest must be JSON, Exceeds the limit"),
        ("[]", r"must be a JSON object, got \[\]"),
        ("{}", "format must be 'ddw_graph.model', got None"),
    ],
)
def test_a_manifest_of_another_form(text: str, message: str, path: Path) -> None:
    path.write_bytes(signed({}, text))
    refused(path, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "ddw_graph.wiring"}, "got 'ddw_graph.wiring'"),
        ({"format": "\ud800" * 999}, "format must be"),
        ({"sha256": NOTHING}, "sha256 must be a text of 64 digits, got None"),
        ({"sha256": "\ud800" * 64}, "sha256 must be"),
        ({"sha256": "1" * 64}, "damaged"),
        ({"config": [1]}, r"config must be an object, got \[1\]"),
        ({"config": {}}, "cannot be built: .* got 'wirings'"),
    ],
)
def test_a_manifest_with_odd_entries(
    change: dict[str, Any], message: str, path: Path, whole: bytes
) -> None:
    # Where "sha256" itself is changed the digest is not right.
    rewrite(path, whole, **change)
    refused(path, message)
    # Written in another way a digest could not be counted as zeros.
    path.write_bytes(whole)
    tensors, manifest = contents(path)
    text = json.dumps(manifest).replace(manifest["sha256"], r"\u0061" * 64)
    path.write_bytes(signed(tensors, text))
    assert refused(path).startswith("damaged: ")


CYCLE = {"format": "ddw_graph.wiring", "version": 1, "nodes": 3, "edges": 3}
CYCLE["edge_list"] = [[0, 1], [1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet9"}, "cannot be built: the network must be one of"),
        ({"wirings": []}, "has 3 stages, got 0 wirings"),
        ({"wirings": [CYCLE] * 3}, "cannot be built: .*self-loop 1 -> 1"),
        ({"operation": "eval"}, "operation must be one of sepconv, basic, got 'eval'"),
        ({"operation": [3]}, "cannot be built: "),
        ({"operation": ["sepconv"], "nodes": [[1], [2], [1]]}, "stage 2: .* 1 to 1"),
        ({"operation": ["sepconv"], "nodes": [["1"], 1, {}]}, "cannot be built: "),
        ({"edges": f"learned:bias={10**400}"}, "cannot be built: "),
        ({"edges": "learned:bias=nan"}, "bias must be finite"),
        ({"channels": float("nan")}, "channels must be in"),
        # 275 GB, if it were made before it is compared.
        ({"channels": 65_536}, "107 numbers was expected, got one more than four"),
        ({"num_classes": 10**12}, "107 numbers was expected"),
        ({"edges": "dynamic"}, "stages.0.weights.threshold is missing"),
        ({"edges": 3}, "cannot be built: "),
        ({"head": NOTHING}, "cannot be built: .* got 'head'"),
        ({"kind": "eval"}, "kind must be one of network, detector, got 'eval'"),
        ({"kind": "detector"}, "cannot be built: .* what Detector takes"),
    ],
)
def test_a_hostile_configuration_keeps_its_reason(
    change: dict[str, Any], message: str, path: Path, whole: bytes
) -> None:
    path.write_bytes(whole)
    config = contents(path)[1]["config"] | change
    kept = {key: value for key, value in config.items() if value is not NOTHING}
    rewrite(path, whole, config=kept)
    refused(path, message)


LONG = {f"{i}{'a' * 10**4}": X for i in range(5)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("stem.0.weight"), "network: stem.0.weight is missing$"),
        (lambda t: t.update({k: x.clone() for k, x in LONG.items()}), "; and 2 more$"),
        (lambda t: t.update({"\x1b[31ma\n": X}), r"\\x1b\[31ma is unexpected$"),
        (
            lambda t: t.update({"stem.0.weight": X}),
            r"is float32 \(2, 1, 8, 8\), not float32 \(1, 1, 3, 3\)$",
        ),
        (
            lambda t: t.update({"stem.1.bias": torch.zeros(1).int()}),
            r"stem.1.bias is int32 \(1,\), not float32 \(1,\)$",
        ),
        (lambda t: t.clear(), "one floating type, got none"),
        (lambda t: t["stem.1.bias"].fill_(math.nan), "NaN or infinity in stem.1.bias"),
    ],
)
def test_weights_of_another_network_are_named(
    change: Callable[[Tensors], object], message: str, path: Path, whole: bytes
) -> None:
    path.write_bytes(whole)
    tensors, manifest = contents(path)
    path.write_bytes(signed(tensors, manifest | {"sha256": ZEROS}))
    load(path)
    change(tensors)
    path.write_bytes(signed(tensors, manifest | {"sha256": ZEROS}))
    refused(path, message)


def test_a_backbone_with_a_hook_has_no_name(path: Path) -> None:
    trained: Any = library_model("resnet18", num_classes=3, in_channels=3).eval()
    trained.layer2[0].bn1.register_forward_hook(doubled)
    network, x = rewire(trained, edges="learned"), torch.randn(2, 3, 32, 32)
    assert network.config is not None and network.config["name"] is None
    save(network, path)
    refused(path, "backbone must be given")
    again = load(path, backbone=trained)
    torch.testing.assert_close(again(x), network(x))
