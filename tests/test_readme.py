"""The README is true: its lines run, its commands are CI's, its links lead on."""

import doctest
import re

import pytest
from click import Command

from tests.documentation.commands import PAGES, ROOT, blocks, commands

SLOW = ("docs/backbones.md",)
"""Pages whose examples take the time of ten others."""


@pytest.mark.usefixtures("all_images")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.full] if page in SLOW else [])
        for page in PAGES
        if ">>>" in (ROOT / page).read_text()
    ],
)
def test_the_lines_of_a_page_print_what_it_says(page: str) -> None:
    failed, tried = doctest.testfile(str(ROOT / page), module_relative=False)
    assert tried >= 10 and failed == 0


def test_the_readme_has_two_setup_commands_and_ci_runs_them() -> None:
    shell = [line for block in blocks("README.md", "sh") for line in block.splitlines()]
    setup = [line for line in shell if "venv" in line]
    assert len(setup) == 2
    documented = "\n".join(
        line
        for page in ("README.md", "CONTRIBUTING.md")
        for block in blocks(page, "sh")
        for line in block.splitlines()
    )
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    run = [line.strip() for line in script if ".venv/bin" in line]
    assert set(setup) <= set(run)
    assert all(command in documented for command in run)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one(page: str) -> None:
    from ddw_graph.cli.main import main

    for each in commands(page):
        # A launcher may stand before it.
        ours = [n for n, word in enumerate(each.words) if word.endswith("ddw-graph")]
        if not ours:
            continue
        words = list(each.words[ours[0] :])
        context = main.make_context("ddw-graph", words[1:])
        command = main.get_command(context, words[1])
        assert isinstance(command, Command), each
        command.make_context(words[1], words[2:])  # parses every option


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target
