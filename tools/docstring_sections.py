"""The sections of our docstrings as the site's reader of docstrings knows them."""

import re
from typing import Any

from griffe import Extension, Object


class DocstringSections(Extension):
    """Names the section of examples as Griffe does, so that they stay code.

    ``Shapes`` and ``Source`` are not known to it either, and become notes with that
    title, as they should.
    """

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Renames the section in an object's docstring."""
        if obj.docstring is not None:
            text = obj.docstring.value
            obj.docstring.value = re.sub(r"(?m)^( *)Example:$", r"\1Examples:", text)
