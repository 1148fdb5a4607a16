"""The README is true: its lines run, its commands are CI's, its links lead on."""

import doctest
import re
from pathlib import Path

import pytest
from click import Command

from tests.documentation.commands import commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if ">>>" in p.read_text()], ids=lambda page: page.name
)
def test_the_lines_of_a_page_print_what_it_says(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried >= 10 and failed == 0


def test_the_readme_has_two_setup_commands_and_ci_runs_its_own() -> None:
    shell = [
        line
        for block in blocks(ROOT / "README.md", "sh")
        for line in block.splitlines()
    ]
    setup = [line for line in shell if "venv" in line]
    assert len(setup) == 2
    documented = "\n".join(
        line
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
        for block in blocks(page, "sh")
        for line in block.splitlines()
    )
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    run = [line.strip() for line in script if ".venv/bin" in line]
    run += [line.strip() for line in script if line.strip().startswith("apt-get")]
    assert setup[0] in run
    assert all(command in documented for command in run)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    from ddw_graph.cli.main import main

    for each in commands(page.relative_to(ROOT).as_posix()):
        # A launcher may stand before it.
        ours = [n for n, word in enumerate(each.words) if word.endswith("ddw-graph")]
        if not ours:
            continue
        words = list(each.words[ours[0] :])
        context = main.make_context("ddw-graph", words[1:])
        command = main.get_command(context, words[1])
        assert isinstance(command, Command), each
        command.make_context(words[1], words[2:])  # parses every option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
