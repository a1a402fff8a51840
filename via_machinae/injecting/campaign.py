"""A campaign on all cores: null skies first, then every unit; stopped anywhere and continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from via_machinae.injecting.directory import InjectionDirectory
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.searching import prepare_null
from via_machinae.injecting.trial import inject_one
from via_machinae.workers import completed

__all__ = ["outcomes", "run_campaign"]


def run_campaign(
    directory: InjectionDirectory, workers: int, done: Callable[[dict[str, Any]], None] | None = None
) -> None:
    """Do all pending units on `workers` processes; a finished unit is on disk before `done` hears of it.

    Raises:
        RunError: a unit failed, or a worker process was killed.
    """
    pending = directory.pending()
    if not pending:
        return
    if not directory.fresh_null:
        patches = sorted({unit.patch for unit in pending})
        missing = [patch for patch in patches if not directory.null_path(patch).is_file()]
        for _, future in (
            completed(partial(prepare_null, directory.path), missing, workers) if missing else ()
        ):
            future.result()
    for _, future in completed(partial(inject_one, directory.path), pending, workers):
        outcome = future.result()
        if done is not None:
            done(outcome)


def outcomes(directory: InjectionDirectory) -> list[dict[str, Any]]:
    """What the finished units of the campaign's grid have found, in the order of the plan.

    Raises:
        InjectError: a file is damaged; the message names it.
    """
    read = []
    for unit in directory.units():
        path = directory.unit_path(unit)
        if not path.exists():
            continue
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InjectError(f"{path} cannot be read ({error}): delete it, only it is redone") from error
        if not isinstance(values, dict) or values.get("name") != unit.name:
            raise InjectError(f"{path} is not the outcome of {unit.name}: delete it, only it is redone")
        read.append(values)
    return read
