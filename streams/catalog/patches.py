"""Candidates of several patches side by side, before anything is joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from streams.catalog.schema import PATCH_MEMBER_COLUMNS, PATCH_STREAM_COLUMNS, ColumnSpec, table_of

__all__ = ["merged"]


def merged(patches: Sequence[tuple[Table, Table]]) -> tuple[Table, Table]:
    """All rows, ranked and named, and their members under the names.

    Ranked by false-alarm probability, then significance, then patch and place within it.

    Args:
        patches: (streams, members) of each, from `candidate_rows`.
    """
    rows = _stacked(PATCH_STREAM_COLUMNS, [streams for streams, _ in patches])
    stars = _stacked(PATCH_MEMBER_COLUMNS, [members for _, members in patches])
    place = np.concatenate([np.arange(len(streams)) for streams, _ in patches] or [np.zeros(0, dtype=int)])
    keys = (rows["false_alarm_probability"], -rows["significance"], rows["patch"], place)
    order = np.lexsort(keys[::-1])
    names = {}
    for rank, number in enumerate(order, start=1):
        names[str(rows["patch"][number]), str(place[number])] = f"VM-{rank}"
    rows = {name: values[order] for name, values in rows.items()}
    rows |= {"rank": np.arange(1, len(order) + 1), "name": list(names.values())}
    stars = {name: values[stars["member"]] for name, values in stars.items()}
    owners = zip(stars["patch"].tolist(), stars["candidate"].tolist(), strict=True)
    stars["candidate"] = [names[owner] for owner in owners]
    return table_of(PATCH_STREAM_COLUMNS, rows), table_of(PATCH_MEMBER_COLUMNS, stars)


def _stacked(columns: Sequence[ColumnSpec], tables: Sequence[Table]) -> dict[str, np.ndarray]:
    """Rows of all tables, column by column; an empty table has the columns' types."""
    tables = [table_of(columns, {column.name: [] for column in columns}), *tables]
    return {
        column.name: np.concatenate([np.asarray(table[column.name]) for table in tables])
        for column in columns
    }
