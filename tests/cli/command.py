"""The command line, called in this process, and settings of a training of a moment."""

from click.testing import CliRunner, Result

from ddw_graph.cli.main import main

SMALL = ("--n", "3", "--channels", "4", "--epochs", "1", "--batch-size", "100")

SHARED = (*SMALL, "--edges", "dynamic:bias=0,gate=none")
"""What the fixture ``trained`` was trained with."""

TINY = tuple("--set depth=1 --set width=8 --set heads=1 --set context=16".split())
"""A small network of texts."""


def call(*arguments: object) -> Result:
    """Calls ``ddw-graph`` with words, numbers and paths."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeeds(*arguments: object) -> Result:
    """Calls ``ddw-graph``, which must end with 0."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object, message: str) -> None:
    """Calls ``ddw-graph``, which must print one line on stderr and end with 2."""
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), (arguments, result.output)
    assert result.stderr.startswith("ddw-graph: ") and message in result.stderr, (
        arguments,
        result.stderr,
    )
    assert result.stderr.count("\n") == 1, result.stderr
