"""Independent jobs in several processes, results in order, few of them in memory at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from sky_patches.errors import MockError

__all__ = ["in_order"]

_AHEAD = 3  # jobs per worker that are done or under way before their turn: what bounds the memory

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def in_order(function: Callable[[_Job], _Result], jobs: Iterable[_Job], workers: int) -> Iterator[_Result]:
    """Results of the jobs in their order.

    Args:
        function: picklable where there is more than one worker.
        jobs: independent of each other.
        workers: processes; 1 works in this one.

    Raises:
        MockError: a worker process was killed, or fewer than one worker.
    """
    if workers < 1:
        raise MockError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        yield from map(function, jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_follow_parent)
    try:
        under_way = deque()
        for job in jobs:
            under_way.append(pool.submit(function, job))
            if len(under_way) > _AHEAD * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as problem:
        raise MockError("a worker process was killed (out of memory?): try fewer workers") from problem
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _follow_parent() -> None:
    """A pool's workers outlive a main process that was killed; nobody would ever stop them."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()
