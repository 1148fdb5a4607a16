"""``ddw-graph draw``."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddw_graph.cli.main import main
from ddw_graph.generators import complete, watts_strogatz
from ddw_graph.wiring import save, text_drawing


def draw(*args: object) -> Result:
    """Runs the command."""
    return CliRunner().invoke(main, ["draw", *map(str, args)])


def test_draws_text_unless_a_picture_is_asked_for() -> None:
    expected = text_drawing(watts_strogatz(32, 4, 0.75, seed=1))
    assert draw("ws:k=4,p=0.75", "--seed", 1).output == expected + "\n"
    assert len(draw("complete", "--n", 3, "--text").output.splitlines()) == 6


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_draws_a_file(prefix: str, tmp_path: Path) -> None:
    save(complete(4), tmp_path / "a.json")
    result = draw(f"{prefix}{tmp_path}/a.json")
    assert result.output == text_drawing(complete(4)) + "\n"


@pytest.mark.parametrize(
    ("style", "suffix", "magic"),
    [
        ("auto", "png", b"\x89PNG"),
        ("arcs", "pdf", b"%PDF"),
        ("layered", "svg", b"<?xml"),
        ("matrix", "png", b"\x89PNG"),
    ],
)
def test_draws_a_picture(style: str, suffix: str, magic: bytes, tmp_path: Path) -> None:
    out = tmp_path / f"a.{suffix}"
    result = draw("ws:k=4,p=0.75", "--n", 8, "--out", out, "--style", style)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"wrote {out}\n"
    assert out.read_bytes().startswith(magic)
    # Equal wirings give equal pictures, byte by byte.
    again = draw("ws:k=4,p=0.75", "--n", 8, "--out", out, "--style", style)
    assert again.stderr == f"unchanged: {out}\n"


def test_a_picture_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    assert draw("complete", "--n", 3, "--out", out).exit_code == 0
    refused = draw("complete", "--n", 4, "--out", out)
    assert refused.exit_code == 2 and "replace it with --overwrite" in refused.stderr
    assert draw("complete", "--n", 4, "--out", out, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("complete", "--style", "arcs"), "--style needs --out"),
        (("complete", "--out", "a.txt"), "a picture is .png, .svg or .pdf, got '.txt'"),
        (("nonesuch",), "file:PATH, got 'nonesuch'"),
        (("nonesuch.json",), "nonesuch.json: no such file"),
        (("ws",), "ws needs k and p"),
    ],
)
def test_refuses_in_one_line(args: tuple[str, ...], message: str) -> None:
    result = draw(*args)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
