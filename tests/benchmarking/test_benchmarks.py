"""Each benchmark at sizes that mean nothing: who is compared, and that it is fair."""

import copy
import pickle
import time
from functools import partial
from typing import Any

import pytest
import torch

from ddw_graph import Dynamic, Stage, create_model
from ddw_graph.benchmarking import acts, randwire, skipping
from ddw_graph.benchmarking import growth as growth_module
from ddw_graph.benchmarking.acts import settle, training_memory, training_step
from ddw_graph.benchmarking.aggregation import aggregation
from ddw_graph.benchmarking.growth import growth
from ddw_graph.benchmarking.measurement import Measurement, Run
from ddw_graph.benchmarking.networks import check_dense, dynamic, networks
from ddw_graph.benchmarking.report import BENCHMARKS, QUICK, chosen, report
from ddw_graph.errors import ModelError, RunError
from ddw_graph.generators import complete
from ddw_graph.nn.network import Network
from ddw_graph.nn.skipping import computed
from ddw_graph.nn.static import LearnedWeights

RUN = Run(rounds=2, warmup=0, memory_rounds=1)


def told(found: list[Measurement]) -> list[tuple[str, str, str, str]]:
    assert all(0 < f.ratio.low <= f.ratio.median <= f.ratio.high for f in found)
    return [(f.case, f.what, f.to, f.unit) for f in found]


def beside_torchvision(sizes: str) -> list[tuple[str, str, str, str]]:
    return [
        (f"resnet18, {sizes}: {case}", variant, "torchvision", unit)
        for case, unit in (
            ("training step", "seconds"),
            ("inference", "seconds"),
            ("peak memory of training", "bytes"),
        )
        for variant in ("dynamic", "dynamic, recomputed")
    ]


@pytest.mark.full
def test_networks_are_beside_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "in_fresh_process", lambda *_: 7)
    run = Run(rounds=1, warmup=0, memory_rounds=1)
    found = networks(run, names=["resnet18"], batch=4, size=32)
    assert told(found) == beside_torchvision("batch 4, 32 px")


@pytest.mark.full
def test_memory_is_that_of_a_process_of_its_own() -> None:
    found = networks(RUN, names=["resnet18"], batch=4, size=64)
    assert told(found) == beside_torchvision("batch 4, 64 px")
    # Weights, gradients and momentum of 11.7M parameters, and not a network more.
    memory = found[-2]
    for bytes_ in (memory.value.median, memory.base.median):
        assert 3 * 4 * 11.7e6 < bytes_ < 6 * 4 * 11.7e6


@pytest.mark.parametrize("name", ["resnet9", "randwire_small", "regnet_x_600mf"])
def test_only_torchvisions_networks_have_an_original(name: str) -> None:
    with pytest.raises(ModelError, match=f"of torchvision, got '{name}'"):
        networks(RUN, names=[name])


def test_a_network_that_closes_edges_is_not_dense() -> None:
    x = torch.randn(4, 3, 64, 64)
    open_ = create_model("resnet18")
    settle(open_, partial(open_, x))
    check_dense({"open": open_}, x)
    closed = create_model("resnet18", edges=Dynamic(threshold=2.0))
    settle(closed, partial(closed, x))
    with pytest.raises(
        RunError, match=r"open for every image, \d+ of \d+ are: .* 64 px"
    ):
        check_dense({"closed": closed}, x)


def test_a_batch_without_a_deviation_is_refused() -> None:
    model, x = create_model("resnet18"), torch.randn(1, 3, 32, 32)
    with pytest.raises(
        RunError, match="more images, or larger ones: Expected more than"
    ):
        settle(model, partial(model, x))
    with pytest.raises(ValueError, match="invalid literal"):
        settle(model, partial(int, "one"))


def test_a_sum_is_compared_with_a_copy() -> None:
    assert told(aggregation(RUN, inputs=3, shape=(2, 4, 6, 6))) == [
        (f"3 inputs of 2x4x6x6: {case}", "ddw_graph", "copy of the inputs", "seconds")
        for case in ("forward", "forward and backward")
    ]


def test_closed_nodes_are_beside_the_dense_stage() -> None:
    found = skipping.skipping(
        RUN, stages=[("randwire_tiny", 2, 16)], batch=3, random_batch=4
    )
    label, dense = "randwire_tiny's stage 2, 8 nodes, 16 px", "every edge open"
    same = "the same half of the nodes closed"
    own = "half of the nodes closed, drawn for each sample"
    assert told(found) == [
        (f"{label}, batch 3", same, dense, "seconds"),
        (f"{label}, batch 4", own, dense, "seconds"),
        (f"{label}, batch 1", same, dense, "seconds"),
    ]


def test_half_of_the_nodes_that_compute_are_closed() -> None:
    stage = Stage(complete(7), 4, 4)
    same = skipping.every_second(stage.plan, 5)
    own = skipping.random_half(stage.plan, 5, seed=0)
    for closed in (same, own):
        assert closed.shape == (5, 9) and closed.sum(1).tolist() == [3] * 5
        assert not closed[:, [0, 8]].any()
    assert (same == same[0]).all() and not (own == own[0]).all()
    assert torch.equal(own, skipping.random_half(stage.plan, 5, seed=0))
    matrix = skipping.opened(stage.plan, own)
    kept = ~(own[:, :, None] | own[:, None, :])
    assert torch.equal(matrix != 0, kept & torch.ones(9, 9).tril(-1).bool())
    torch.testing.assert_close(matrix.sum(2)[:, 8], torch.ones(5))
    dense = skipping.opened(stage.plan, torch.zeros_like(own))
    assert (dense != 0).sum() == 5 * stage.dag.number_of_edges()


def test_what_is_timed_is_skipped_in_one_case_and_dense_in_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: list[int] = []
    timed: list[int] = []

    def counted(operation: Any, x: Any, samples: Any) -> Any:
        counts.append(len(x if samples is None else samples))
        return computed(operation, x, samples)

    def run(acts: Any, **_: Any) -> dict[str, list[float]]:
        for act in acts.values():
            counts.clear()
            act()
            timed.append(sum(counts))
        return {name: [1.0] for name in acts}

    monkeypatch.setattr("ddw_graph.nn.stage.computed", counted)
    monkeypatch.setattr(skipping, "paired_times", run)
    skipping.skipping(RUN, stages=[("randwire_tiny", 1, 16)], batch=3, random_batch=4)
    # Nodes times samples: closed and dense, for each of the three cases.
    assert timed == [4 * 3, 8 * 3, 4 * 4, 8 * 4, 4, 8]


def test_skipping_that_changes_the_result_is_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(operation: Any, x: Any, samples: Any) -> Any:
        y = computed(operation, x, samples)
        return y if samples is None else y + 1

    monkeypatch.setattr("ddw_graph.nn.stage.computed", wrong)
    with pytest.raises(AssertionError, match="not close"):
        skipping.skipping(RUN, stages=[("randwire_tiny", 1, 16)], batch=2)


def test_what_is_timed_draws_nothing_at_random() -> None:
    config: Any = randwire.made("randwire_regular", randwire.OURS).config
    assert config["drop_path"] == config["dropout"] == 0


def test_any_network_of_torchvision_can_be_measured() -> None:
    name = "mobilenet_v3_small"
    assert (dynamic(name).config or {})["name"] == f"torchvision/{name}"


def test_randwire_is_beside_a_module_per_node(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def here(function: Any, make: Any, *_: Any) -> int:
        make = pickle.loads(pickle.dumps(make))  # as on the way to another process
        made.append(type(make()).__name__)
        return len(made)

    monkeypatch.setattr(acts, "in_fresh_process", here)
    found = randwire.randwire(RUN, name="randwire_tiny", batch=2, size=16)
    sizes = "randwire_tiny, WS(4, 0.75), learned, batch 2, 16 px"
    assert [(f.case, f.what, f.to) for f in found] == [
        (f"{sizes}: {case}", "ddw_graph", "module per node")
        for case in ("training step", "inference", "peak memory of training")
    ]
    assert made == ["Sequential", "Network"] and found[-1].ratio.median == 2


def test_the_module_per_node_computes_and_learns_the_same() -> None:
    ours = randwire.made("randwire_tiny", randwire.OURS).double()
    torch.rand(1)  # whatever was drawn in between
    theirs = randwire.made("randwire_tiny", randwire.NAIVE).double()
    assert isinstance(ours, Network)
    x = torch.randn(3, 3, 16, 16).double()
    for training in (True, False):
        y, z = (model.train(training)(x) for model in (ours, theirs))
        torch.testing.assert_close(y, z)
        y.square().mean().backward()
        z.square().mean().backward()
    count = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert count[0] == count[1]
    first, naive = next(ours.stem.parameters()), next(theirs.parameters())
    assert first.grad is not None and naive.grad is not None
    torch.testing.assert_close(first.grad, naive.grad)
    learned = [m.logit for m in ours.modules() if isinstance(m, LearnedWeights)]
    nodes = [m for m in theirs.modules() if isinstance(m, randwire.StackedNode)]
    stacked = [node.logits for node in nodes if node.logits is not None]
    gradients = [
        torch.cat([p.grad for p in parameters if p.grad is not None]).sort().values
        for parameters in (learned, stacked)
    ]
    torch.testing.assert_close(*gradients)


def test_networks_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: Network) -> Any:
        other = randwire.StackedStage
        baseline = stacked(network)
        for module in baseline.modules():
            if isinstance(module, other):
                module.heard[-1] = module.heard[-1][:1]
        return baseline

    stacked = randwire.stacked
    monkeypatch.setattr(randwire, "stacked", wrong)
    with pytest.raises(AssertionError, match="not close"):
        randwire.randwire(RUN, name="randwire_tiny", batch=2, size=16)


def test_growth_has_a_curve_for_each_act_and_axis() -> None:
    sizes: Any = {"nodes": (4, 5, 6), "batches": (1, 2, 3), "at_nodes": 5, "size": 4}
    found = growth(RUN, **sizes, at_batch=2, channels=3)
    assert [(c.act, c.axis, c.sizes) for c in found] == [
        (f"{act}, {fixed}, 3 channels, 4 px", axis, grown)
        for act in ("inference", "forward and backward")
        for fixed, axis, grown in (
            ("batch 2", "nodes", (4, 5, 6)),
            ("batch 2", "edges", (6, 10, 15)),
            ("5 nodes", "batch", (1, 2, 3)),
        )
    ]
    assert all(c.ratios[0].median == 1 and len(c.seconds) == 3 for c in found)
    nodes, edges = found[:2]
    assert nodes.seconds == edges.seconds


def test_growth_is_of_stages_of_these_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def recorded(stage: Stage, x: torch.Tensor) -> acts.Act:
        seen.append((stage.plan.nodes, len(x)))
        assert stage.edges == Dynamic() and x.shape[1:] == (3, 4, 4)
        return lambda: time.sleep(1e-6)

    monkeypatch.setattr(growth_module, "ACTS", {"one": recorded})
    sizes: Any = {"nodes": (4, 6), "batches": (1, 3), "at_nodes": 5, "size": 4}
    growth(RUN, **sizes, at_batch=2, channels=3)
    assert seen == [(4, 2), (6, 2), (5, 1), (5, 3)]


def test_a_settled_network_has_the_statistics_of_the_batch() -> None:
    stage = Stage(complete(3), 4, 4, edges="dynamic")
    x = 5 + 3 * torch.randn(4, 4, 6, 6)
    settle(stage, partial(stage, x))
    norms = [m for m in stage.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not stage.training and all(norm.momentum == 0.1 for norm in norms)
    settled = stage(x)
    other = copy.deepcopy(stage).train()
    torch.testing.assert_close(settled, other(x), rtol=0.05, atol=0.05)


def test_a_step_trains() -> None:
    torch.manual_seed(0)
    model = create_model("randwire_tiny", n=2, channels=4)
    before = copy.deepcopy(model.state_dict())
    step = training_step(model.eval(), torch.randn(2, 3, 16, 16))
    step()
    assert model.training
    step()
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) > len(list(model.parameters())) / 2


def test_memory_is_that_of_making_and_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def here(function: Any, *arguments: Any) -> int:
        seen.append(arguments)
        return 7

    monkeypatch.setattr(acts, "in_fresh_process", here)
    make = partial(create_model, "randwire_tiny")
    run = Run(memory_rounds=2)
    assert training_memory(make, 3, 16, run) == [7.0, 7.0]
    assert seen == [(make, 3, 16, "cpu", torch.get_num_threads(), False)] * 2


def test_what_is_chosen_is_what_runs() -> None:
    assert list(chosen([])) == list(BENCHMARKS) == list(QUICK)
    assert chosen(["growth", "networks"], networks=["resnet18"], size=64) == {
        "networks": {"names": ("resnet18",), "size": 64},
        "growth": {},
    }
    quick = chosen(["randwire", "networks"], quick=True, batch=3)
    assert quick["randwire"] == {"name": "randwire_tiny", "batch": 3, "size": 16}
    assert quick["networks"] == {"names": ("resnet18",), "batch": 3, "size": 64}
    assert QUICK["networks"]["batch"] == 4
    # The user's network keeps its own DAG.
    assert chosen(["latency"], quick=True)["latency"]["wiring"] == "complete:n=2"
    given = chosen(["latency"], quick=True, networks=["a"], edges=("fixed",))
    size = {"batch": 2, "size": 8}
    assert given["latency"] == {"names": ("a",), "edges": ("fixed",), **size}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"networks": ["resnet18"]}, "--network is for networks and latency, got skip"),
        ({"batch": 2}, "--batch is for networks, randwire and latency"),
        ({"size": 2}, "--size is for networks, randwire and latency"),
        ({"edges": ("fixed",)}, "--edges is for latency"),
        ({"engines": ("pytorch",)}, "--engine is for latency, got skipping, growth"),
    ],
)
def test_nothing_is_given_in_vain(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        chosen(["growth", "skipping"], **options)


def test_a_report_names_what_figures_depend_on() -> None:
    threads = torch.get_num_threads()
    run = Run(rounds=1, warmup=0, threads=2)
    found = report({"aggregation": QUICK["aggregation"]}, run)
    assert torch.get_num_threads() == threads
    environment = found["environment"]
    assert environment["threads"] == 2 and environment["torch"] == torch.__version__
    assert (environment["rounds"], environment["device"]) == (1, "cpu")
    assert environment["processors"] >= 1 and environment["python"]
    assert found["arguments"] == {"aggregation": QUICK["aggregation"]}
    assert len(found["measurements"]) == 2 and found["curves"] == []
    assert set(found["measurements"][0]["ratio"]) == {"median", "low", "high"}
