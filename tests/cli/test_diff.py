"""``ddw-graph diff``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddw_graph.cli.main import main
from ddw_graph.generators import resnet, vgg
from ddw_graph.wiring import diff as wiring_diff
from ddw_graph.wiring import save


def diff(*args: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(main, ["diff", *map(str, args)])


def test_says_what_each_has_alone() -> None:
    assert diff("vgg", "resnet", "--n", 2).output == (
        "- vgg: 4 nodes, 3 edges\n"
        "+ resnet: 4 nodes, 5 edges\n"
        "3 shared, similarity 0.600\n"
        "+ 0 -> 2\n"
        "+ 1 -> 3\n"
    )


def test_json_is_the_library_own_answer(tmp_path: Path) -> None:
    save(resnet(4), tmp_path / "a.json")
    result = diff("vgg:n=3", tmp_path / "a.json", "--json")
    found = wiring_diff(vgg(3), resnet(4)).as_dict()
    assert result.output == json.dumps(found) + "\n"


def test_a_seed_makes_both() -> None:
    same = diff("ws:k=4,p=0.75", "ws:k=4,p=0.75", "--seed", 4, "--json")
    assert json.loads(same.output)["similarity"] == 1.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("vgg",), "Missing argument 'SECOND'"),
        (("vgg", "nets"), "file:PATH, got 'nets'"),
        (("vgg", "missing.json"), "missing.json: no such file"),
    ],
)
def test_refuses_in_one_line(args: tuple[str, ...], message: str) -> None:
    result = diff(*args)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
