"""Tables in memory that answer the few shapes of ADQL that the package sends, by way of SQLite."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Mapping

import numpy as np
from astropy.table import Column, MaskedColumn, Table

__all__ = ["StubDatabase", "StubQueryError"]


class StubQueryError(Exception):
    """The query is wrong, with the sentence that a service would give."""


class StubDatabase:
    """Astropy tables under names such as "gaiadr3.gaia_source"; types and units come back as they were.

    NaN is NULL, as in Gaia's archive, and NULL in a float column comes back as NaN.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._columns: dict[str, Column] = {}
        schemas = {name.rpartition(".")[0] for name in tables} - {"", "main"}
        for schema in sorted(schemas):
            self._connection.execute(f'ATTACH DATABASE ":memory:" AS "{schema}"')
        for name, table in tables.items():
            self._fill(name, table)

    def query(self, adql: str) -> Table:
        """The rows of a query, with the types and units of the tables that it reads."""
        try:
            with self._lock:
                cursor = self._connection.execute(_to_sqlite(adql))
                names = [description[0] for description in cursor.description or []]
                rows = cursor.fetchall()
        except (sqlite3.Error, ValueError) as error:
            raise StubQueryError(f"cannot parse the query: {error}") from error
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        return Table([self._column(name, values) for name, values in zip(names, columns, strict=True)])

    def _fill(self, name: str, table: Table) -> None:
        quoted = ".".join(f'"{part}"' for part in name.split("."))
        kinds = {"f": "REAL", "i": "INTEGER", "b": "INTEGER", "U": "TEXT", "S": "TEXT"}
        fields = ", ".join(f'"{n}" {kinds[table[n].dtype.kind]}' for n in table.colnames)
        self._connection.execute(f"CREATE TABLE {quoted} ({fields})")
        marks = ", ".join("?" * len(table.colnames))
        rows = zip(*(_sql_values(table[n]) for n in table.colnames), strict=True)
        self._connection.executemany(f"INSERT INTO {quoted} VALUES ({marks})", rows)
        if "source_id" in table.colnames:
            schema, _, bare = name.rpartition(".")
            index = f'"{schema}".by_id_{bare}' if schema else f"by_id_{bare}"
            self._connection.execute(f'CREATE INDEX {index} ON "{bare}" (source_id)')
        self._columns |= {n: table[n] for n in table.colnames}

    def _column(self, name: str, values: tuple) -> Column:
        like = self._columns.get(name)
        unit = None if like is None else like.unit
        missing = np.array([value is None for value in values], dtype=bool)
        if like is None:
            dtype = np.dtype(float if any(isinstance(v, float) for v in values) else np.int64)
        else:
            dtype = np.dtype("U1") if like.dtype.kind in "US" else like.dtype
        filler = {"f": np.nan, "U": ""}.get(dtype.kind, 0)
        filled = [filler if value is None else value for value in values]
        data = np.array(filled, dtype=str if filled and dtype.kind == "U" else dtype)
        return MaskedColumn(data, mask=missing & (dtype.kind != "f"), name=name, unit=unit)


def _sql_values(column: Column) -> list:
    values = np.asarray(column).tolist()
    missing = np.ma.getmaskarray(column)
    if column.dtype.kind == "f":
        missing = missing | np.isnan(np.asarray(column))
    return [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]


def _to_sqlite(adql: str) -> str:
    text = " ".join(adql.split())
    if not re.match(r"SELECT\s", text, re.IGNORECASE):
        raise ValueError(f"expected SELECT, got {text[:20]!r}")
    top = re.match(r"SELECT\s+TOP\s+(\d+)\s+(.*)", text, re.IGNORECASE)
    return f"SELECT {top.group(2)} LIMIT {top.group(1)}" if top else text
