"""The command that lists networks."""

import json

import pytest

from ddw_graph.models import create_model
from ddw_graph.nn.cost import cost
from tests.cli.command import succeeds


def test_networks_have_their_cost_as_json_and_as_a_table() -> None:
    tiny, resnet = json.loads(
        succeeds("models", "randwire_tiny", "resnet18", "--json").stdout
    )
    assert (tiny["network"], tiny["image_size"]) == ("randwire_tiny", 28)
    found = cost(create_model("randwire_tiny", edges="learned"), 28)
    assert tiny["learned"] == {
        "params": found.parameters,
        "layer_macs": found.layer_macs,
        "total_macs": found.total_macs,
    }
    assert resnet["fixed"]["params"] == 11_689_512
    lines = succeeds("models", "randwire_tiny").stdout.splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    kinds = [line.split(" | ")[2].strip() for line in lines[2:]]
    assert kinds == ["fixed", "learned", "dynamic"]


@pytest.mark.full
def test_tables_1_and_2_have_the_papers_figures() -> None:
    shown = succeeds("models", "--table1").stdout
    assert len([x for x in shown.splitlines() if x.startswith("| ")]) == 18
    assert "| resnet101       | ddw      | 44.90 " in shown
    assert "1x1 projection" in shown
    lines = succeeds("models", "--table2").stdout.splitlines()
    assert len(lines) == 8 and len({len(line) for line in lines}) == 1
    assert [line.split("|")[3].strip() for line in lines[2:4]] == ["174", "176"]
