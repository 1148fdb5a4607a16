"""Memory that stays with the process that computes."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_memory() -> bool:
    """Lets the process keep the memory that it frees, and returns whether it will.

    Training on the CPU frees and asks for the same large blocks at every step. glibc
    gives such blocks back to the system, which then has to find and to clear each of
    their pages again: in networks that hold many features, a tenth of a step. Kept, a
    process stays at the peak of what it has used until it ends.

    For all of the process, so the commands that compute call it and the library by
    itself never does. Where the system's allocator is another than glibc's, nothing
    happens.

    Source:
        mallopt(3): M_TRIM_THRESHOLD, M_MMAP_MAX, M_TOP_PAD.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # The heap grows by 64 MiB at a time, is never cut, and holds large blocks too.
    settings = ((_TRIM_THRESHOLD, 2**31 - 1), (_MMAP_MAX, 0), (_TOP_PAD, 64 * 2**20))
    # Each is 1 where it was taken; musl has the function and takes nothing.
    return all([mallopt(what, value) == 1 for what, value in settings])
