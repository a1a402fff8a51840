"""Worker processes: independent jobs on all cores, stopped cleanly, with results as they come."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

from via_machinae.config import Config
from via_machinae.errors import RunError

__all__ = ["completed", "cores_at_hand", "one_thread", "start_worker", "workers_of"]

Job = TypeVar("Job")
Result = TypeVar("Result")


def workers_of(config: Config) -> int:
    """Number of worker processes."""
    return config.run.workers or cores_at_hand()


def cores_at_hand() -> int:
    """Cores this process may use; where the system does not tell, all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def completed(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Future[Result]]]:
    """Run jobs in worker processes and yield each with its future when it is done.

    An interrupt from the keyboard, or an error in the caller's loop, ends the workers; what they had finished
    is the jobs' own affair to have kept.

    Args:
        function: picklable, called with one job in a worker process.
        jobs: independent of each other.
        workers: processes at the most.

    Raises:
        RunError: a worker process was killed.
    """
    others = set(active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=start_worker
    )
    try:
        with _interrupts_held():
            futures = {pool.submit(function, job): job for job in jobs}
        for future in _as_completed(futures):
            if isinstance(future.exception(), BrokenProcessPool):
                raise RunError(
                    "a worker process was killed (out of memory?); run the same command to continue"
                ) from future.exception()
            yield futures[future], future
    except KeyboardInterrupt:
        for worker in set(active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Worker processes inherit that SIGINT is held: a terminal sends it to all, and only one may answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _as_completed(futures: dict[Future[Result], Job]) -> Iterator[Future[Result]]:
    waiting = set(futures)
    while waiting:
        # A short time-out keeps the main process awake to an interrupt from the keyboard.
        finished, waiting = wait(waiting, timeout=0.5, return_when="FIRST_COMPLETED")
        yield from finished


def start_worker() -> None:
    """Prepare a worker process: one thread for the numbers, and an end when the main process ends."""
    Thread(target=_follow_parent, daemon=True).start()
    _single_thread()


def _follow_parent() -> None:
    """A pool's workers outlive a main process that was killed; nobody would ever stop them."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _single_thread() -> None:
    """One thread per process: all cores work on different jobs, and results do not depend on how many."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the numbers of this process, as in a worker.

    A small network gains a tenth by a second thread, and loses much where another process wants the core.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
