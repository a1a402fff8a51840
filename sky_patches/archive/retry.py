"""How long to wait for an archive, how often to ask again, and telling what is done about a failure."""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sky_patches.archive.errors import (
    ArchiveError,
    ArchiveStoppedError,
    ArchiveTimeoutError,
    ArchiveUnreachableError,
)

__all__ = ["ClientPolicy", "Patience"]

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class ClientPolicy:
    """How patient a client is. All times in seconds.

    Attributes:
        socket_timeout_s: longest silence of the service within one request.
        job_timeout_s: longest time that one job may be queued and running.
        total_timeout_s: longest time for one `count` or `fetch`, retries included.
        attempts: how often a request is sent, and how many jobs are tried, before giving up.
        backoff_s: wait after the first failure; doubles with each further one.
        longest_wait_s: no wait between two attempts is longer.
        poll_s: first wait between two looks at a job; grows to ten times this as the job goes on.
        seed: of the jitter, which spreads the attempts of many workers in time.
    """

    socket_timeout_s: float = 60.0
    job_timeout_s: float = 7200.0
    total_timeout_s: float = 6 * 3600.0
    attempts: int = 6
    backoff_s: float = 1.0
    longest_wait_s: float = 60.0
    poll_s: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("socket_timeout_s", "job_timeout_s", "total_timeout_s", "longest_wait_s", "poll_s")
        for name in (*positive, "backoff_s"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (value == 0 and name in positive):
                raise ArchiveError(f"ClientPolicy: {name} must be a positive, finite number, got {value!r}")
        if self.attempts < 1:
            raise ArchiveError(f"ClientPolicy: attempts must be at least 1, got {self.attempts!r}")


class Patience:
    """The patience left for one `count` or `fetch`: its deadline, its waits and its log.

    Args:
        policy: how patient to be.
        task: the query; with the policy's seed it fixes the jitter, whatever the other threads do.
        log: receives one line for every retry.
        stop: set from another thread, it ends every wait.
    """

    def __init__(
        self, policy: ClientPolicy, task: str, log: Callable[[str], None], stop: threading.Event
    ) -> None:
        self.policy = policy
        self.log = log
        self.job_id: str | None = None
        self._stop = stop
        self._deadline = time.monotonic() + policy.total_timeout_s
        self._random = np.random.default_rng([policy.seed, zlib.crc32(task.encode())])

    def ask(self, what: str, action: Callable[[], _Answer]) -> _Answer:
        """The answer of `action`, repeated while the service cannot be reached and attempts last.

        Raises:
            ArchiveUnreachableError: all attempts failed; the class is that of the last failure.
            ArchiveTimeoutError: the total time-out passed.
        """
        for attempt in range(1, self.policy.attempts + 1):
            self.check(what)
            try:
                return action()
            except ArchiveUnreachableError as error:
                if not error.retryable:
                    raise
                if attempt == self.policy.attempts:
                    raise type(error)(f"{what}: {error} ({attempt} attempts)") from error
                self.pause(attempt, f"{what}: {error}", "asking again", at_least=error.retry_after_s)
        raise ArchiveError(f"{what}: no attempt was made")

    def pause(self, failures: int, happened: str, next_step: str, *, at_least: float = 0.0) -> None:
        """Wait after the `failures`-th failure in a row, and tell why and what comes next."""
        doubled = self.policy.backoff_s * 2.0 ** (failures - 1)
        # Between half and the whole of it: many workers hit by one fault do not come back in one moment.
        jittered = min(doubled, self.policy.longest_wait_s) * self._random.uniform(0.5, 1.0)
        seconds = max(jittered, min(at_least, self.policy.longest_wait_s))
        limit = self.policy.attempts
        self.log(f"{happened}; {next_step} in {seconds:.2g} s (attempt {failures + 1} of {limit})")
        self.sleep(seconds, happened)

    def sleep(self, seconds: float, what: str) -> None:
        """Wait, but not beyond the deadline and not after a stop."""
        self._stop.wait(max(0.0, min(seconds, self.left_s())))
        self.check(what)

    def left_s(self) -> float:
        """Seconds until the total time-out; negative after it."""
        return self._deadline - time.monotonic()

    def check(self, what: str) -> None:
        """Raise when the time is over or the client was stopped."""
        kept = f"; job {self.job_id} is left on the service" if self.job_id else ""
        if self._stop.is_set():
            raise ArchiveStoppedError(f"stopped on request ({what}){kept}")
        if self.left_s() <= 0:
            raise ArchiveTimeoutError(
                f"no result within the total time-out of {self.policy.total_timeout_s:g} s (last: {what})"
                f"{kept}; try again later, or allow more with total_timeout_s",
                job_id=self.job_id,
            )
