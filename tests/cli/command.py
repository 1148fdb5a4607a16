"""The command line, called in this process, and settings of a training of a moment."""

from click.testing import CliRunner, Result

from ddw_graph.cli.main import main

SMALL = ("--n", "3", "--channels", "4", "--epochs", "1", "--batch-size", "100")

SHARED = (*SMALL, "--edges", "dynamic:bias=0,gate=none")
"""What the fixture ``trained`` was trained with."""


def call(*arguments: object) -> Result:
    """Calls ``ddw-graph`` with words, numbers and paths."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def succeeds(*arguments: object) -> Result:
    """Calls ``ddw-graph``, which must end with 0."""
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result
