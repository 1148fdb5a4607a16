"""Ablations have the paper's networks, and share what they have in common."""

from dataclasses import replace
from pathlib import Path

import pytest

from ddw_graph.errors import RunError
from ddw_graph.experiments.ablations import (
    ABLATIONS,
    COMPLETE,
    canonical,
    comparison_of,
    instances,
    run_ablation,
    runs_of,
    table6,
)
from ddw_graph.experiments.compare import ORIGINAL, Comparison, Entry, tasks
from ddw_graph.models import from_config
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.cost import cost
from ddw_graph.training.data import DataSource
from ddw_graph.training.log import read_log
from ddw_graph.training.recipe import recipe_named

QUICK = recipe_named("small", epochs=1, batch_size=500)


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("model", ["randwire_tiny", "resnet18"])
def test_every_ablation_has_the_papers_network_first(name: str, model: str) -> None:
    ablation = ABLATIONS[name](model)
    assert ablation.name == name and ablation.entries[0] == COMPLETE
    assert ablation.reference in ablation.entries
    for entry in ablation.entries:
        assert entry.edges == canonical(entry.edges)
    for figures in ablation.paper.values():
        assert set(figures) <= set(ablation.entries)
    comparison_of(ablation, (0,), QUICK, DataSource(), model=model)


def test_the_papers_figures_stand_at_their_networks() -> None:
    (paper,) = ABLATIONS["table4"]("randwire_tiny").paper.values()
    assert [paper[e] for e in ABLATIONS["table4"]("").entries] == [
        *(73.52, 71.34, 71.16, 72.26)
    ]
    ablation = table6("resnet50")
    (name,) = ablation.paper
    assert name == "ResNet-50" and ablation.reference == Entry(ORIGINAL, "fixed")
    told = ablation.paper[name]
    assert told[COMPLETE] == paper_figures("table1")["ResNet50", "ddw_top1"]
    assert told[ablation.reference] == 76.70 and Entry("complete", "fixed") not in told
    assert len(table6("randwire_tiny").paper) == 4


@pytest.mark.full
@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v2"])
def test_the_original_of_a_backbone_is_the_librarys(model: str, tmp_path: Path) -> None:
    ablation = table6(model)
    comparison = comparison_of(ablation, (0,), QUICK, DataSource(), model=model)
    # Prices at the size that the network is for: at 28 px projections weigh more.
    data = replace(DataSource().load(), image_size=224)
    made = {task.entry: task.run for task in tasks(comparison, data, tmp_path)}
    config = made[ablation.reference].model
    assert config["node"] == "block"
    original = cost(from_config(config), 224).total_macs
    dynamic = cost(from_config(made[COMPLETE].model), 224).total_macs
    assert 0 < dynamic / original - 1 < comparison.tolerance


@pytest.mark.full
def test_the_small_network_stands_beside_a_chain_with_shortcuts(tmp_path: Path) -> None:
    ablation = table6("randwire_tiny")
    assert ablation.reference == Entry("resnet", "fixed")
    comparison = comparison_of(ablation, (0,), QUICK, DataSource())
    made = tasks(comparison, DataSource().load(), tmp_path)
    macs = [cost(from_config(task.run.model), 28).total_macs for task in made]
    assert all(abs(each / macs[0] - 1) <= 0.03 for each in macs)


@pytest.mark.parametrize("edges", ["learned", "dynamic"])
def test_original_is_a_backbone_with_fixed_edges(edges: str) -> None:
    for model, kind in (("randwire_tiny", "fixed"), ("resnet18", edges)):
        with pytest.raises(RunError, match="original is a backbone with fixed edges"):
            Comparison((Entry(ORIGINAL, kind),), (0,), QUICK, DataSource(), model)


def test_a_setting_has_one_name() -> None:
    texts = ("dynamic:gate=none,bias=0", "dynamic:bias=0.0,gate=none")
    assert {canonical(text) for text in texts} == {"dynamic:bias=0,gate=none"}
    assert canonical("dynamic:bias=3,gate=psi") == "dynamic"
    assert canonical("dynamic:bias=-0.5") == "dynamic:bias=-0.5"
    told = instances("", ("dynamic:bias=3.0", *texts)).entries
    assert told == (COMPLETE, Entry("complete", "dynamic:bias=0,gate=none"))
    with pytest.raises(RunError, match="depend on the image, .* got learned"):
        instances("", ("learned",))


@pytest.mark.full
def test_ablations_of_a_folder_share_their_runs(tmp_path: Path) -> None:
    out = tmp_path / "ablations"
    zero = Entry("complete", "dynamic:bias=0")
    settings = {"settings": {"n": 1}, "channels": 4.0}
    found = {}
    for name, entries in (("fig3", (COMPLETE, zero)), ("gates", (COMPLETE,))):
        ablation = replace(ABLATIONS[name](""), entries=entries)
        comparison = comparison_of(ablation, (0,), QUICK, DataSource(), **settings)
        found[name] = run_ablation(ablation, comparison, out, jobs=1)
        stamps = [p.stat().st_mtime_ns for p in out.glob("runs/*/*/model.safetensors")]
        assert len(stamps) == 2
        for group in runs_of(ablation, comparison, out):
            assert all(len(read_log(run)) == 1 for run in group.runs.values())
    first, shared = found["fig3"][0], found["gates"][0]
    assert {**first, "inference_ms": 0} == {**shared, "inference_ms": 0}
    assert sorted(path.name for path in out.iterdir()) == [
        *("config.json", "fig3", "gates", "runs")
    ]
    with pytest.raises(RunError, match="another configuration: channels is 4.0"):
        run_ablation(ablation, replace(comparison, channels=5.0), out)
