"""Named networks: RandWire's figures, their wirings, and what they refuse."""

import copy
from itertools import permutations
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import jaxtyping
import networkx as nx
import pytest
import torch

from ddw_graph import Network, create_model, generators, list_models, load, save
from ddw_graph.errors import ModelError, UserError
from ddw_graph.models import from_config
from ddw_graph.models.backbones import BACKBONES, NoData
from ddw_graph.models.create import FAMILIES
from ddw_graph.models.randwire import LAYOUTS
from ddw_graph.nn.cost import cost
from ddw_graph.wiring import save as save_wiring

WIDTHS: dict[str, Any] = {"channels": 8, "num_classes": 5}
SMALL: dict[str, Any] = {"n": 4, **WIDTHS}
KINDS = ["fixed", "learned", "dynamic"]
QUICK = {*(("resnet18", kind) for kind in KINDS), ("regnet_y_600mf", "dynamic")}
"""Backbones of the default tier; test_rewiring.py has a small one of each family."""


@pytest.mark.parametrize("seeds", [1, pytest.param(20, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    ("wiring", "edges", "macs", "tolerance"),
    [
        ("ws:k=4,p=0.75", "learned", 579e6, 0.02),
        ("er:p=0.2", "learned", 584e6, 0.02),
        ("ba:m=5", "learned", 584e6, 0.01),
        ("complete", "dynamic", 613e6, 0.01),
    ],
)
def test_randwire_small_costs_what_table_4_says(
    wiring: str, edges: str, macs: float, tolerance: float, seeds: int
) -> None:
    prices = []
    for seed in range(seeds if wiring != "complete" else 1):
        with NoData():
            model = create_model(
                "randwire_small", wiring=wiring, edges=edges, seed=seed
            )
        prices.append(cost(model))
    assert fmean(price.layer_macs for price in prices) == pytest.approx(
        macs, rel=tolerance
    )
    if edges == "learned":
        assert all(5.4e6 <= price.parameters <= 6.1e6 for price in prices)


@pytest.mark.parametrize(
    "edges",
    ["fixed", "learned:form=free", "dynamic", "attention", "receiver", "sinkhorn"],
)
def test_every_kind_of_edges_weighs_streams(edges: str, tmp_path: Path) -> None:
    model = create_model(
        "randwire_tiny", wiring="streams:width=2", edges=edges, n=3, channels=4
    )
    assert [len(stage.operations) for stage in model.stages] == [3, 3, 3]
    images = torch.randn(2, 3, 8, 8)
    logits, adjacency = model(images, return_adjacency=True)
    torch.testing.assert_close(model(images, adjacency=adjacency), logits)
    with pytest.raises(ModelError, match="each of 3 stages, got 2"):
        model(images, adjacency=adjacency[:2])
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    save(model, tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert torch.equal(again(images), model.eval()(images))
    assert cost(again, 8).parameters == sum(p.numel() for p in model.parameters())


def test_the_parts_of_a_cost_add_up_to_hand_counts() -> None:
    model = create_model(
        "randwire_tiny",
        wiring="complete",
        n=2,
        channels=4,
        num_classes=10,
        in_channels=1,
    )
    price = cost(model, image_size=8)
    stem, first, *_, head = price.parts
    assert (stem.layer_macs, stem.parameters) == (64 * 9 * 4, 9 * 4 + 8)
    # Two separable convolutions and a projection, 4 x 4 px after the stride.
    assert first.layer_macs == 16 * (2 * (4 * 9 + 16) + 16)
    # Edge 0 -> 1 carries 8 x 8 px, the other five 4 x 4.
    assert first.aggregation == 4 * (64 + 5 * 16)
    assert first.weighing == 4 * (3 + 2 + 1) + 4 * 16 * 3  # routers and pooling
    assert (head.layer_macs, head.parameters) == (160, 170)
    assert price.parameters == sum(p.numel() for p in model.parameters())
    for name in ("layer_macs", "aggregation", "weighing", "total_macs"):
        assert getattr(price, name) == sum(getattr(p, name) for p in price.parts)


def test_expected_cost_leaves_out_what_is_closed_and_price_does_not() -> None:
    model = create_model("randwire_tiny", wiring="complete", n=2, channels=4).eval()
    price = cost(model, image_size=16)
    _, adjacency = model(torch.randn(2, 3, 16, 16), return_adjacency=True)
    whole = torch.full((2,), float(price.total_macs))
    torch.testing.assert_close(price.expected_macs(adjacency), whole)
    work = price.work[1]
    places = {edge: place for place, edge in enumerate(work.plan.edges)}
    adjacency[1][0, 3, 0] = 0  # an edge of the first sample
    for j, i in ((2, 0), (2, 1), (3, 2)):  # all edges of node 2 of the second
        adjacency[1][1, j, i] = 0
    _, effective = model(
        torch.randn(2, 3, 16, 16), adjacency=adjacency, return_adjacency=True
    )
    spared = [
        work.edges[places[0, 3]],
        sum(work.edges[places[edge]] for edge in ((0, 2), (1, 2), (2, 3)))
        + work.nodes[2],
    ]
    saved = price.total_macs - price.expected_macs(effective)
    torch.testing.assert_close(saved, torch.tensor(spared, dtype=torch.float32))
    # A gate saves nothing by itself: the price has every edge open, whatever closes.
    closing = create_model(
        "randwire_tiny",
        wiring="complete",
        n=2,
        channels=4,
        edges="dynamic:gate=hard,threshold=2",
    )
    assert cost(closing, image_size=16).total_macs == price.total_macs


def test_stem_and_stages_have_randwires_sizes() -> None:
    wanted = {
        "randwire_small": [(39, 112), (78, 28), (156, 14), (312, 7)],
        "randwire_regular": [(54, 112), (109, 56), (218, 28), (436, 14), (872, 7)],
    }
    for name, sizes in wanted.items():
        model = create_model(name, n=4).to("meta").eval()
        found: list[tuple[int, int]] = []
        for module in (model.stem[0], *model.stages):  # type: ignore[index]
            module.register_forward_hook(
                lambda m, i, o, found=found: found.append((o.shape[1], o.shape[2]))
            )
        model(torch.empty(1, 3, 224, 224, device="meta"))
        assert found == sizes
    with NoData():
        regular = create_model("randwire_regular", edges="learned")
    assert [stage.plan.nodes for stage in regular.stages] == [18, 34, 34, 34]
    assert {stage.drop_path for stage in regular.stages} == {0.1}
    assert [m.p for m in regular.modules() if isinstance(m, torch.nn.Dropout)] == [0.2]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("edges", [*KINDS, "dynamic:gate=hard"])
def test_every_network_of_randwires_runs_learns_and_comes_back(
    name: str, edges: str
) -> None:
    model = create_model(name, edges=edges, wiring="ws:n=6,k=4,p=0.75", **WIDTHS)
    assert_runs_learns_copies_and_comes_back(model)


@pytest.mark.parametrize(
    ("name", "edges"),
    [
        pytest.param(
            name, kind, marks=() if (name, kind) in QUICK else pytest.mark.full
        )
        for name in BACKBONES
        for kind in KINDS
    ],
)
def test_every_backbone_runs_learns_and_comes_back(name: str, edges: str) -> None:
    model = create_model(name, edges=edges, num_classes=5)
    assert_runs_learns_copies_and_comes_back(model)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("randwire_tiny", {"wiring": generators.complete(1), **WIDTHS}),
        *(
            pytest.param(name, {"num_classes": 5}, marks=pytest.mark.full)
            for name in BACKBONES
        ),
    ],
)
@pytest.mark.parametrize("edges", [*KINDS, "dynamic:gate=hard"])
def test_a_network_can_be_exported(
    name: str, settings: dict[str, Any], edges: str
) -> None:
    model, x = create_model(name, edges=edges, **settings), torch.randn(2, 3, 32, 32)
    exported = torch.export.export(model.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


def assert_runs_learns_copies_and_comes_back(model: Network) -> None:
    """Asserts what every network can do, on two images of 32 px."""
    x = torch.randn(2, 3, 32, 32)
    logits = model(x)
    assert logits.shape == (2, 5) and logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    assert model.config is not None
    again = from_config(model.config).eval()
    again.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(again(x), model(x))
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half, adjacency = model(x, return_adjacency=True)
    assert half.isfinite().all() and len(adjacency) == len(model.stages)


def test_a_wiring_may_be_a_graph_a_list_a_function_a_text_or_a_file(
    tmp_path: Any,
) -> None:
    dag = generators.resnet(4)
    file = tmp_path / "own.json"
    save_wiring(dag, file)
    mixed = [dag, "resnet:n=4", generators.resnet]
    for wiring in (dag, mixed, generators.resnet, "resnet:n=4", f"file:{file}"):
        n = None if wiring is dag or isinstance(wiring, str) else 4
        model = create_model("randwire_tiny", wiring=wiring, n=n, channels=4)
        assert all(nx.utils.graphs_equal(s.dag, dag) for s in model.stages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "resnet9"},
            f"must be one of {', '.join(list_models())}, "
            "torchvision/NAME or timm/NAME, got 'resnet9'",
        ),
        ({"wiring": "ws:k=3,p=0.5"}, "k=3"),
        ({"wiring": "ba:m=9", "n": 9}, "m=9"),
        ({"wiring": [generators.vgg(3)] * 4}, "3 stages, got 4"),
        ({"wiring": generators.vgg(3), "n": 4}, "n=3"),
        ({"n": 0}, r"n must be in 1\.\.9998, got n=0"),
        ({"operation": ""}, "got ''"),
        ({"channels": "8"}, r"channels must be in \(0, 65536\], got 8"),
        ({"num_classes": -1}, "num_classes must be at least 1, got -1"),
        ({"in_channels": "3"}, "in_channels must be an integer, got '3'"),
        ({"dropout": "a"}, r"dropout must be in \[0, 1\], got 'a'"),
        ({"head": 5.5}, r"head must be an integer in \[0, 65536\], got 5.5"),
        ({"wiring": "complete", "transition": "sources"}, "stage 1: transition 'sour"),
        ({"out_indices": (1,)}, r"needs features_only=True, got \(1,\)"),
        ({"features_only": True, "out_indices": 2}, "sequence of integers, .* got 2"),
        ({"features_only": True, "out_indices": (2, 1)}, r"ascending .* got \(2, 1\)"),
        ({"name": "resnet18", "node": "blocks"}, "one of block, branch, got 'blocks'"),
        ({"name": "resnet18", "drop_path": 2}, r"drop_path must be in \[0, 1\], got 2"),
        ({"edges": "static"}, "fixed, learned, dynamic, .*, got 'static'"),
    ],
)
def test_names_what_it_rejects(
    arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Users have no beartype before the network's own checks.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(UserError, match=message):
        create_model(**{"name": "randwire_tiny", **arguments})


def test_a_setting_that_a_family_does_not_take_is_refused_by_name() -> None:
    for family, other in permutations(FAMILIES, 2):
        name, known, more = (
            min(family.names),
            *(each.settings for each in (family, other)),
        )
        for key in {*more} - {*known}:
            hint = f"^{name} takes wiring, .*; got {key}, a setting of .*{other.title}"
            with pytest.raises(ModelError, match=hint):
                create_model(name, **cast(Any, {key: 1}))
        with pytest.raises(ModelError, match=f"^{name} takes .*; got colour$"):
            create_model(name, colour="red")


def test_none_stands_for_the_default() -> None:
    nothing: Any = dict.fromkeys(("wiring", "edges", "node", "head", "colour"))
    one = create_model("randwire_tiny", **SMALL)
    other = create_model("randwire_tiny", **SMALL, **nothing)
    assert one.config == other.config
