"""A pruned network does on the images that it was pruned by what the whole one does."""

from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ddw_graph import Network, convert, create_model, load, prune, rewire, save
from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models import from_config
from ddw_graph.models.backbones import NoData
from ddw_graph.nn.stage import Stage
from tests.nn.test_stage import images
from tests.strategies import wirings

CONVNEXT = "timm/test_convnext"
"""The smallest backbone that has a name."""

SHUT = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=2"


def closing(network: Network, seed: int = 0) -> Network:
    """Returns a network in float64 whose gates close here and there, and for good."""
    generator = torch.Generator().manual_seed(seed)
    network.double()
    for name, parameter in network.named_parameters():
        if name.endswith("linear.bias"):
            noise = torch.randn(parameter.shape, generator=generator).double()
            parameter.data += 2 * noise
    for name, buffer in network.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 2, generator=generator)
    return network.eval()


def sizes(network: Network) -> list[tuple[int, int]]:
    return [(len(stage.dag), stage.dag.number_of_edges()) for stage in network.stages]


def of_stages(*stages: Stage) -> Network:
    """Returns a network of some stages with a configuration that can be pruned."""
    first = nn.Conv2d(3, stages[0].in_channels, 1)
    network = Network(first, stages, nn.Flatten()).eval()
    network.config = {"transition": None, "output": None, "edges": {}}
    return network


MAKE: dict[str, Any] = {
    "complete": lambda: create_model(
        "randwire_tiny", wiring="complete", edges=SHUT, n=6, channels=4
    ),
    "ws": lambda: create_model(
        "randwire_tiny", wiring="ws:k=4,p=0.75", edges=SHUT, n=8, channels=4
    ),
    "resnet50": lambda: create_model("resnet50", edges=SHUT, num_classes=5),
    "converted": lambda: convert(
        create_model("randwire_tiny", wiring="complete", edges="fixed", n=4),
        edges="dynamic:gate=hard,bias=0,threshold=0.4",
    ),
    "rewired": lambda: rewire(
        create_model(CONVNEXT, edges="fixed", node="block", num_classes=5),
        edges="dynamic:gate=hard,bias=0,threshold=0.4",
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if name == "resnet50" else ())
        for name in MAKE
    ],
)
def test_it_does_what_the_network_does_with_less(name: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    network = closing(MAKE[name]())
    x = images(6, 3, 32, 32)
    wanted = network(x)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    small = prune(network, [x[:4], x[4:]])
    torch.testing.assert_close(small(x), wanted, rtol=1e-9, atol=1e-9)
    assert not small.training
    pairs = list(zip(sizes(network), sizes(small), strict=True))
    assert all(s[0] <= w[0] and s[1] <= w[1] for w, s in pairs)
    assert any(s[1] < w[1] for w, s in pairs)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    # A plain network: saved, loaded, pruned again to itself.
    save(small, tmp_path / "small.safetensors")
    again = load(tmp_path / "small.safetensors")
    torch.testing.assert_close(again(x), wanted, rtol=1e-9, atol=1e-9)
    assert sizes(prune(again, [x])) == sizes(small)


def act(node: int) -> Any:
    """Returns the operation of a node; all have the same name and shapes."""
    kinds = nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus
    return lambda i, o, s: nn.Sequential(kinds[node - 1](), nn.Conv2d(i, o, 3, s, 1))


@pytest.mark.parametrize(
    "operation",
    [
        ["basic", "sepconv", "basic", "sepconv", "sepconv"],
        act,
        [act(node) for node in range(1, 6)],
        lambda i, o, s: nn.Conv2d(i, o, 3, s, 1),
    ],
    ids=["names", "function", "callables", "one callable"],
)
def test_the_nodes_that_are_left_keep_their_operations(
    operation: Any, tmp_path: Path
) -> None:
    network = create_model(
        "randwire_tiny",
        wiring="complete",
        edges=SHUT,
        n=5,
        channels=4,
        operation=operation,
    ).eval()
    assert network.config is not None
    named = network.config["operation"] is not None
    x, path = torch.randn(4, 3, 16, 16), tmp_path / "small.safetensors"
    for _ in range(2):  # pruned, saved and loaded twice
        for stage in network.stages:
            weights: Any = stage.weights
            with torch.no_grad():
                weights.threshold[weights.targets.index(2)] = 2.0
        small = prune(network, [x])
        nodes = [sum(len(s.dag) for s in each.stages) for each in (network, small)]
        assert nodes[1] < nodes[0]
        save(small, path, overwrite=True)
        network = load(path, operation=None if named else operation)
        assert sizes(network) == sizes(small)
        assert torch.equal(network(x), small(x))


@given(dag=wirings(identity=True), seed=st.integers(0, 999))
def test_any_wiring_stays_one(dag: nx.DiGraph, seed: int) -> None:
    torch.manual_seed(seed)
    width = 4 + seed % 3
    stage = Stage(dag, 4, width, edges=SHUT, output=("sum", "mean")[seed % 2])
    network = of_stages(stage)
    closing(network, seed)
    x = images(2, 3, 5, 5, seed=seed)
    small = prune(network, [x])
    torch.testing.assert_close(small(x), network(x), rtol=1e-9, atol=1e-9)


def pruned(stage: Stage) -> Stage:
    """Returns a stage pruned in a network, which computes the same."""
    network, x = of_stages(stage).double(), images(2, 3, 5, 5)
    small = prune(network, [x])
    torch.testing.assert_close(small(x), network(x), rtol=1e-9, atol=1e-9)
    return small.stages[0]


def routed(stage: Stage, biases: list[float]) -> Stage:
    """Returns a stage whose input opens the same edges for every sample."""
    router: Any = stage.weights.routers["0"]  # type: ignore[index]
    router.linear.weight.data.zero_()
    router.linear.bias.data = torch.tensor(biases)
    return stage


def test_a_node_that_computes_stays_beside_identity_nodes() -> None:
    dag = nx.DiGraph([(0, 1), (0, 2), (1, 3), (2, 3)])
    dag.nodes[1]["operation"] = "identity"
    stage = Stage(dag, 4, 4, edges=SHUT, output="sum")
    stage.weights.threshold.data[:] = torch.tensor([-1.0, 2.0, -1.0])  # type: ignore
    assert len(pruned(stage).dag.edges) == 4


def test_a_node_that_must_stay_keeps_its_way_to_the_output() -> None:
    # Node 1 changes the width: it stays, though neither it nor node 2 ever computes.
    dag = nx.DiGraph([(0, 1), (0, 3), (1, 2), (2, 3), (3, 4)])
    stage = Stage(dag, 4, 4, edges=SHUT, transition="input", output="sum")
    assert len(pruned(routed(stage, [-9.0, 9.0])).dag.edges) == 5


def test_a_projection_that_the_router_reads_keeps_an_edge() -> None:
    dag = nx.DiGraph([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)])
    stage = Stage(dag, 3, 4, edges=SHUT, transition="input", output="sum")
    assert pruned(routed(stage, [9.0, -9.0])).projection is not None


def test_what_always_opens_stays_whole() -> None:
    for edges in ("fixed", "learned", "dynamic"):
        network = create_model("randwire_tiny", edges=edges, n=6, channels=4).eval()
        small = prune(network, [torch.randn(2, 3, 16, 16)])
        assert sizes(small) == sizes(network)
        for name, tensor in network.state_dict().items():
            assert torch.equal(small.state_dict()[name], tensor)


def test_frozen_parts_stay_frozen() -> None:
    network = create_model(
        "randwire_tiny", wiring="complete", edges="learned", n=4, channels=4
    ).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].eval()
    small = prune(network, [torch.randn(2, 3, 16, 16)])
    kept = [m for m in small.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [norm.training for norm in kept] == [norm.training for norm in norms]
    assert small.training and all(stage.training for stage in small.stages)


def test_a_pruned_backbone_is_rewired_saved_and_loaded(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    network = create_model(CONVNEXT, edges=SHUT, node="block", num_classes=5).eval()
    with torch.no_grad():  # nothing opens an edge to node 2
        threshold: Any = network.stages[1].weights.threshold
        threshold.copy_(torch.tensor([-1.0, 2.0, -1.0]))
    x = torch.randn(2, 3, 32, 32)
    small = prune(network, [x])
    assert len(small.stages[1].dag) < len(network.stages[1].dag)
    again = rewire(small, edges="dynamic", neutral=False).eval()
    save(again, tmp_path / "again.safetensors")
    torch.testing.assert_close(load(tmp_path / "again.safetensors")(x), again(x))
    config = again.config or {}
    config["nodes"][1] = [2, 1]
    with NoData(), pytest.raises(ModelError, match=r"stage 2 must be ascending"):
        from_config(config)


def test_images_and_a_configuration_are_needed() -> None:
    network = create_model("randwire_tiny", edges=SHUT, wiring="complete", n=3)
    for batches in ([], [torch.zeros(0, 3, 8, 8)]):
        with pytest.raises(ModelError, match="needs at least one image, got none"):
            prune(network, batches)
    network.config = None
    with pytest.raises(ModelError, match="needs a config, got one without"):
        prune(network, [torch.zeros(1, 3, 8, 8)])
    stages = [Stage(vgg(2), 4, 4, edges="fixed", output=how) for how in ("sum", "mean")]
    with pytest.raises(ModelError, match="share one output, got mean and sum"):
        prune(of_stages(*stages), [torch.randn(1, 3, 5, 5)])
