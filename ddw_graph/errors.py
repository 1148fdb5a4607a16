"""What is wrong with something that the user gave, one class a subject.

And what is no error, but has to be told: a warning.
"""


class UserError(ValueError):
    """Something that the user gave breaks a rule; the message states rule and value.

    The command line prints these in one line and exits with 2.
    """


class WiringError(UserError):
    """A wiring, a file that should hold one, or a generator's argument is wrong."""


class FileError(UserError):
    """A file cannot be written as asked, or is of a kind that is not known."""


class CheckpointError(FileError):
    """A file holds no network that can be loaded."""


class ModelError(UserError):
    """A network cannot be built, or run, as it was asked for."""


class DataError(UserError):
    """Images, labels or a folder that should hold them are wrong."""


class RunError(UserError):
    """A training run, its folder or its checkpoint is not what was asked for."""


class LostError(RunError):
    """Something that a run needs has gone: nothing is wrong with what was asked for."""


class ExportError(UserError):
    """A network cannot be exported, or the file would not compute what it does."""


class UnfinishedWarning(UserWarning):
    """What is used has not been trained to its end.

    The command line prints these in one line and goes on.
    """


class ShareWarning(UserWarning):
    """The stages of a rewired network hold less than half of its parameters."""


def reason_of(error: Exception) -> str:
    """Returns the message of an error in one line, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def counted(number: int, noun: str) -> str:
    """Returns a number of things in words.

    Example:
        >>> counted(1, "epoch"), counted(2, "epoch")
        ('1 epoch', '2 epochs')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_sentence(error: Exception) -> str:
    """Returns the first sentence of an error, or its kind where it says nothing."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return first or type(error).__name__
