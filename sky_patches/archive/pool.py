"""A bounded number of threads that work on tasks which may lead to further tasks."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["WorkerPool"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class WorkerPool(Generic[_Task, _Result]):
    """Threads that apply `work` to tasks.

    The threads do not keep the process alive: after an interrupt nobody waits for an archive. They must
    therefore only do what may be cut off at any moment.
    """

    def __init__(self, work: Callable[[_Task], _Result], workers: int) -> None:
        self._work = work
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[_Result | None, BaseException | None]] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: _Task) -> None:
        """Add a task."""
        self._tasks.put(task)

    def next(self) -> _Result:
        """The next result, in the order in which tasks finish; an error of `work` is raised here."""
        result, error = self._done.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def close(self) -> None:
        """Drop the tasks that wait, and let the threads end after those they are at."""
        while not self._tasks.empty():
            try:
                self._tasks.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._tasks.put(None)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            result: _Result | None = None
            try:
                result = self._work(task)
            finally:
                # An error ends this thread; the owner of the pool gets it and closes the pool.
                self._done.put((result, sys.exception()))
