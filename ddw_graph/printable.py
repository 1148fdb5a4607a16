"""Text of users' files (names of classes, runs and images) for terminals and tables."""


def printable(text: str) -> str:
    r"""Returns a text in one line in which no character is a command to a terminal.

    Control characters, line ends, characters that turn the direction of writing and
    lone surrogates become escapes such as ``\x1b``; other characters stay.

    Example:
        >>> print(printable("a\x1b[2J\nb\u202e"))
        a\x1b[2J\nb\u202e
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
