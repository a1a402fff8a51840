"""Astropy tables to Arrow tables and back, bit for bit, with unit, description and UCD beside each column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Bool, Int64

from sky_patches.errors import SchemaError
from sky_patches.schema import SCHEMA

__all__ = ["arrow_field", "from_arrow", "plain_array", "plain_values", "to_arrow"]


def to_arrow(table: Table) -> pa.Table:
    """An Arrow table with the columns of `table`; masked values become nulls, NaN stays NaN.

    Raises:
        SchemaError: a column that Arrow cannot hold (several dimensions, coordinates, mixed objects).
    """
    arrays = [_to_array(name, table[name]) for name in table.colnames]
    fields = [
        arrow_field(name, array.type, unit=_unit_text(table[name]), description=table[name].info.description)
        for name, array in zip(table.colnames, arrays, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def arrow_field(name: str, kind: pa.DataType, *, unit: str | None, description: str | None) -> pa.Field:
    """An Arrow field whose metadata carries unit, description and, for a column of the schema, the UCD."""
    spec = SCHEMA.get(name)
    entries = {
        "unit": unit,
        "description": description or (spec.description if spec else None),
        "ucd": spec.ucd if spec else None,
    }
    return pa.field(name, kind, metadata={key: value for key, value in entries.items() if value})


def plain_array(values: Bool[np.ndarray, " n"] | Int64[np.ndarray, " n"]) -> pa.Array:
    """Booleans or 64-bit integers as an Arrow array without nulls.

    `pyarrow.array` would do, but it loads pandas to ask whether that made the values.
    """
    if values.dtype == bool:
        bits = pa.py_buffer(np.packbits(values, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, bits])
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def plain_values(column: pa.ChunkedArray) -> np.ndarray:
    """The values of a column of numbers without nulls; not to be written to.

    `column.to_numpy()` would do, but it loads pandas, which takes half a second and 60 MB.
    """
    pieces = [np.from_dlpack(chunk) for chunk in column.chunks if len(chunk)]
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.zeros(0, column.type.to_pandas_dtype())


def from_arrow(arrow: pa.Table) -> Table:
    """The astropy table of an Arrow table; null floats become NaN, other nulls are masked."""
    table = Table()
    schema, columns = arrow.schema, arrow.columns[::-1]
    # Each Arrow column goes as soon as it is converted, so that a large table is not held twice.
    del arrow
    for field in schema:
        chunks = columns.pop()
        metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        column = _to_column(chunks)
        column.unit = metadata.get("unit")
        column.description = metadata.get("description")
        if field.name in table.colnames:
            raise SchemaError(f"two columns are called {field.name!r}; names must be unique")
        table.add_column(column, name=field.name, copy=False)
    return table


def _unit_text(column: Column) -> str | None:
    unit = column.info.unit
    return None if unit is None or str(unit) == "" else str(unit)


def _to_array(name: str, column: Column) -> pa.Array:
    if not isinstance(column, Column) or column.ndim != 1:
        shape = getattr(column, "shape", "?")
        raise SchemaError(
            f"column {name!r}: expected a plain column of shape (n,), found {type(column).__name__} {shape}"
        )
    mask = np.array(column.mask, dtype=bool) if isinstance(column, MaskedColumn) else None
    values = np.asarray(column.data if mask is None else column.data.data)
    try:
        if values.dtype.kind in "OUS":
            return pa.array(
                [value.decode() if isinstance(value, bytes) else value for value in values.tolist()],
                mask=mask,
            )
        native = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("="), copy=False)
        return pa.array(native, mask=mask, from_pandas=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(f"column {name!r} of type {values.dtype} cannot be stored: {error}") from error


def _to_column(chunks: pa.ChunkedArray) -> Column:
    if pa.types.is_dictionary(chunks.type):
        chunks = chunks.cast(chunks.type.value_type)
    kind = chunks.type
    if chunks.null_count == 0 and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return Column(_writeable(plain_values(chunks)))
    if pa.types.is_floating(kind):
        return Column(_writeable(chunks.to_numpy()))
    missing = np.asarray(chunks.is_null().to_numpy(), dtype=bool)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        filled = chunks.fill_null(False if pa.types.is_boolean(kind) else 0) if missing.any() else chunks
        values = _writeable(filled.to_numpy())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = np.array([value or "" for value in chunks.to_pylist()], dtype=str)
    elif pa.types.is_null(kind):
        return Column(np.full(len(chunks), np.nan))
    else:
        values = _writeable(chunks.to_numpy())
    return MaskedColumn(values, mask=missing) if missing.any() else Column(values)


def _writeable(values: np.ndarray) -> np.ndarray:
    return values if values.flags.writeable else values.copy()
