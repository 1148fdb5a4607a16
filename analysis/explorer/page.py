"""One HTML file that opens from disk and asks nobody for anything."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SCRIPTS = ("data.js", "samples.js", "pictures.js", "page.js")
"""The parts of the page's one script, in order."""


def page(content: Mapping[str, Any]) -> str:
    """Returns the page that shows some content.

    Its policy lets the one style and the one script run that are in it, by their
    digests, and nothing be fetched. Names of classes and runs are data: the script
    writes them as text.
    """
    style = _read("page.css")
    script = "\n".join(map(_read, SCRIPTS))
    parts = {
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_digest(script)}",
                f"style-src {_digest(style)}",
                "img-src data: blob:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "style": style,
        "script": script,
        "data": inert_json(content),
    }
    # In one pass, so that no part is looked for in another.
    marks = rf"@({'|'.join(parts)})@"
    return re.sub(marks, lambda mark: parts[mark[1]], _read("page.html"))


def inert_json(content: Mapping[str, Any]) -> str:
    r"""Returns JSON that ends no element, whatever its texts hold.

    Example:
        >>> inert_json({"a": "</script>"})
        '{"a":"\\u003c/script>"}'
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c")


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
