"""The commands that the documentation shows, as a shell would read them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md"] + sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")
)
SHELLS = ("sh", "bash", "shell", "console")


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        page: The page, relative to the repository.
        words: The command's words, without comments.
    """

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks(page: str, *languages: str) -> list[str]:
    """Returns the blocks of code of a page in some languages."""
    text = (ROOT / page).read_text()
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, re.DOTALL)


def commands(page: str) -> list[Command]:
    """Returns the commands of a page's shell blocks, in order; ``&&`` joins two."""
    found = []
    for block in blocks(page, *SHELLS):
        for line in block.replace("\\\n", " ").splitlines():
            step: list[str] = []
            for word in [*shlex.split(line, comments=True), "&&"]:
                if word != "&&":
                    step.append(word)
                elif step:
                    found.append(Command(page, tuple(step)))
                    step = []
    return found
