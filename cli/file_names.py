"""Names of files, which need not be text, as they are printed."""


def as_text(name: str) -> str:
    """Returns a name of which every character can be encoded.

    Example:
        >>> as_text("a\\udcff.png")
        'a\\\\udcff.png'
    """
    return name.encode(errors="backslashreplace").decode()
