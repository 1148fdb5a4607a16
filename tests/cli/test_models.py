"""The command that lists networks."""

import json

import pytest
from click.testing import Result

from ddw_graph.models import create_model
from ddw_graph.nn.cost import cost
from tests.cli import command


def call(*arguments: str) -> Result:
    return command.call("models", *arguments)


def test_says_what_networks_cost() -> None:
    result = call("randwire_tiny", "resnet18", "--json")
    assert result.exit_code == 0, result.output
    tiny, resnet = json.loads(result.stdout)
    assert (tiny["network"], tiny["image_size"]) == ("randwire_tiny", 28)
    found = cost(create_model("randwire_tiny", edges="learned"), 28)
    assert tiny["learned"] == {
        "params": found.parameters,
        "layer_macs": found.layer_macs,
        "total_macs": found.total_macs,
    }
    assert resnet["fixed"]["params"] == 11_689_512


def test_prints_a_table_that_lines_up() -> None:
    result = call("randwire_tiny")
    lines = result.stdout.splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert [line.split(" | ")[2].strip() for line in lines[2:]] == [
        "fixed",
        "learned",
        "dynamic",
    ]


@pytest.mark.full
def test_prints_table_1_with_the_papers_figures_and_the_reading() -> None:
    result = call("--table1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 18
    assert "| resnet101       | ddw      | 44.90 " in result.stdout
    assert "1x1 projection" in result.stdout


@pytest.mark.full
def test_prints_table_2_with_the_papers_figures() -> None:
    result = call("--table2")
    assert result.exit_code == 0, result.output
    lines = [line.split("|") for line in result.stdout.splitlines()]
    assert len(lines) == 8 and len({len(line) for line in lines}) == 1
    assert [line[3].strip() for line in lines[2:4]] == ["174", "176"]
    assert len(json.loads(call("--table2", "--json").stdout)) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet9"], "resnet9"),
        (["timm/hf-hub:x"], "timm/NAME"),
        (["torchvision/vgg16_bn"], "stages of blocks"),
        (["resnet18", "--table1"], "takes no names"),
        (["resnet18", "--table2"], "--table2 has its own networks"),
        (["--table1", "--table2"], "got both"),
    ],
)
def test_says_what_is_wrong_in_one_line(arguments: list[str], words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr and "Traceback" not in result.output
