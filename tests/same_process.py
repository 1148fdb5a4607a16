"""Stands in for the processes that train the runs of an experiment."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class SameProcess(Executor):
    """Does what it is given at once, in this process: a start costs seconds."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes what a pool of processes takes."""
        self._processes: dict[int, Any] = {}

    def submit(
        self, task: Callable[..., Any], /, *args: Any, **options: Any
    ) -> "Future[Any]":
        """Returns a future that is done."""
        done: Future[Any] = Future()
        try:
            done.set_result(task(*args, **options))
        except Exception as error:
            done.set_exception(error)
        return done
