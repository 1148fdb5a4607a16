"""Names of files, which need not be text, as they are printed."""


def as_text(name: str) -> str:
    """Returns a name of which every character can be encoded.

    Example:
        >>> as_text("a\\udcff.png")
        'a\\\\udcff.png'
    """
    return name.encode(errors="backslashreplace").decode()


def shown(name: str) -> str:
    """Returns a name that commands no terminal.

    Example:
        >>> shown("a\\x1b.png")
        'a\\\\x1b.png'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in as_text(name))
