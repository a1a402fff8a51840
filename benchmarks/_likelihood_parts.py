"""Jobs of a benchmark on several processes; each finished one is kept, so that a stopped run goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from reporting import Cell

from via_machinae.workers import completed, start_worker

__all__ = ["Job", "Row", "campaign_arguments", "measured"]

Job = dict[str, Cell]
"""Everything that decides the rows of a job: it names them in the file of finished ones."""
Row = dict[str, Cell]


def campaign_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every script of many jobs has: `--workers` and `--scratch`."""
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument(
        "--scratch", type=Path, default=None, metavar="FILE", help="finished jobs are kept here"
    )


def measured(
    work: Callable[[Job], list[Row]], jobs: Sequence[Job], workers: int, scratch: Path | None
) -> list[Row]:
    """Rows of all jobs, in the order of the jobs.

    Args:
        work: module-level function; called in a worker process, in this one if there is one worker.
        jobs: what is to be done.
        workers: processes.
        scratch: file of finished jobs, one JSON line each, appended as they come; None keeps nothing.
    """
    kept = _kept(scratch)
    missing = [job for job in jobs if _key(job) not in kept]
    print(f"{len(jobs)} jobs, {len(jobs) - len(missing)} of them done before", flush=True)
    for job, rows in _done(work, missing, workers):
        kept[_key(job)] = rows
        print("done:", *rows, sep="\n  ", flush=True)
        if scratch is not None:
            scratch.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("a") as file:
                # The line that a killed run has torn ends here, and an empty one is passed over.
                file.write("\n" + json.dumps({"job": job, "rows": rows}) + "\n")
    return [row for job in jobs for row in kept[_key(job)]]


def _done(
    work: Callable[[Job], list[Row]], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, list[Row]]]:
    if workers <= 1:
        start_worker()
        yield from ((job, work(job)) for job in jobs)
    elif jobs:
        # A dictionary is no key: the workers are given its text.
        texts = [json.dumps(job) for job in jobs]
        for text, future in completed(partial(_from_text, work), texts, workers):
            yield json.loads(text), future.result()


def _from_text(work: Callable[[Job], list[Row]], text: str) -> list[Row]:
    return work(json.loads(text))


def _kept(scratch: Path | None) -> dict[str, list[Row]]:
    if scratch is None or not scratch.exists():
        return {}
    found = {}
    for line in scratch.read_text().splitlines():
        try:
            part = json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that was killed
            continue
        found[_key(part["job"])] = part["rows"]
    return found


def _key(job: Mapping[str, Cell]) -> str:
    return json.dumps(job, sort_keys=True)
