"""What happens to a service while somebody uses it: jobs aborted, connections cut, kills and restarts."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from debian import ServiceError
from service import Service

__all__ = ["aborting", "cutting", "killing", "stalling"]


@contextmanager
def aborting(service: Service, times: int) -> Iterator[list[str]]:
    """Abort the next `times` jobs, each once, as soon as they are seen; gives the list of those aborted."""
    before, aborted = set(service.jobs()), []

    def step() -> None:
        for job, phase in service.jobs().items():
            if job not in before and job not in aborted and len(aborted) < times and phase in _RUNNING:
                service.abort(job)
                aborted.append(job)

    with _beside(step, lambda: len(aborted) >= times):
        yield aborted


@contextmanager
def cutting(service: Service, table: str, times: int) -> Iterator[list[int]]:
    """Cut the database connections of queries on `table`, `times` times; gives how many each time.

    Two seconds lie between: a query that fails twice in one moment looks like a wrong one.
    """
    cut: list[int] = []

    def step() -> None:
        if cut:
            _PAUSE.wait(2.0)
        # A query that waits for a lock is surely under way.
        with service.locked(table):
            for _ in range(40):
                if found := service.terminate_queries():
                    cut.append(found)
                    return
                _PAUSE.wait(0.05)

    with _beside(step, lambda: len(cut) >= times):
        yield cut


@contextmanager
def stalling(service: Service, table: str, seconds: float) -> Iterator[None]:
    """Let every query on `table` wait for the first `seconds` of the block."""
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with service.locked(table):
            locked.set()
            over.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def killing(service: Service, times: int) -> Iterator[list[str]]:
    """Kill the service whenever a job runs, leave it dead for a moment, start it again, `times` times."""
    killed: list[str] = []

    def step() -> None:
        running = sorted(
            job for job, phase in service.jobs().items() if phase in _RUNNING and job not in killed
        )
        if running:
            killed.append(running[0])
            service.kill9()
            _PAUSE.wait(1.0)
            service.start()

    with _beside(step, lambda: len(killed) >= times):
        yield killed
    service.start()


_RUNNING = ("QUEUED", "EXECUTING")
_PAUSE = threading.Event()


@contextmanager
def _beside(step: Callable[[], None], done: Callable[[], bool]) -> Iterator[None]:
    """Repeat `step` in a thread until it is done or the block ends."""
    over, failures = threading.Event(), []

    def repeat() -> None:
        while not over.wait(0.1) and not done():
            try:
                # The job may have ended, or the service be down: look again.
                with suppress(urllib.error.URLError, ConnectionError):
                    step()
            except ServiceError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if failures:
            raise failures[0]
