"""VOTable documents as TAP services send them, written without astropy: tests read them with it."""

from __future__ import annotations

import base64
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from astropy.table import Column, Table

__all__ = ["error_document", "results_document"]

_DATATYPES = {"i1": "short", "u1": "unsignedByte", "i2": "short", "i4": "int", "i8": "long", "f4": "float"}
_DATATYPES |= {"f8": "double", "b1": "boolean"}
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
    '<RESOURCE type="results">'
)
_TAIL = "</RESOURCE></VOTABLE>"


def results_document(table: Table, *, overflow: bool = False) -> bytes:
    """A document with `table` in BINARY2, OK before it, and OVERFLOW after it where it is not whole."""
    fields = "".join(_field(table[name]) for name in table.colnames)
    body = base64.b64encode(_rows(table).tobytes()).decode()
    text = (
        f'{_HEAD}<INFO name="QUERY_STATUS" value="OK"/><TABLE>{fields}<DATA><BINARY2>'
        f'<STREAM encoding="base64">{body}</STREAM></BINARY2></DATA></TABLE>'
    )
    after = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if overflow else ""
    return f"{text}{after}{_TAIL}".encode()


def error_document(sentence: str) -> bytes:
    """A document that says that a query failed, and why."""
    return f'{_HEAD}<INFO name="QUERY_STATUS" value="ERROR">{escape(sentence)}</INFO>{_TAIL}'.encode()


def _field(column: Column) -> str:
    unit = "" if column.unit is None else f" unit={quoteattr(column.unit.to_string('vounit'))}"
    dtype = column.dtype
    if dtype.kind in "US":
        kind = f'datatype="char" arraysize="{_width(column)}"'
    else:
        kind = f'datatype="{_DATATYPES[f"{dtype.kind}{dtype.itemsize}"]}"'
    # Outside BINARY2 a missing integer is a number of its own; there are readers that rely on it.
    null = '<VALUES null="-9999"/>' if dtype.kind == "i" and dtype.itemsize > 1 else ""
    return f"<FIELD name={quoteattr(column.name)} {kind}{unit}>{null}</FIELD>"


def _texts(column: Column) -> list[bytes]:
    gone = np.ma.getmaskarray(column)
    return [b"" if g else str(t).encode() for t, g in zip(np.asarray(column).tolist(), gone, strict=True)]


def _width(column: Column) -> int:
    return max([1, *map(len, _texts(column))])


def _rows(table: Table) -> np.ndarray:
    """The rows of BINARY2: a bit per column that says whether its value is missing, then the values."""
    masks = [np.ma.getmaskarray(table[name]) for name in table.colnames]
    flags = np.packbits(np.array(masks).T, axis=1) if masks else np.zeros((0, 0), np.uint8)
    values = [_values(table[name]) for name in table.colnames]
    layout = [("flags", np.uint8, (flags.shape[1],))]
    layout += [(f"c{i}", value.dtype) for i, value in enumerate(values)]
    rows = np.zeros(len(table), dtype=layout)
    rows["flags"] = flags
    for i, value in enumerate(values):
        rows[f"c{i}"] = value
    return rows


def _values(column: Column) -> np.ndarray:
    kind, size = column.dtype.kind, column.dtype.itemsize
    if kind == "b":
        letters = np.where(np.asarray(column), b"T", b"F")
        return np.where(np.ma.getmaskarray(column), b"?", letters).astype("S1")
    if kind in "US":
        return np.array(_texts(column), dtype=f"S{_width(column)}")
    empty = np.nan if kind == "f" else -9999
    if kind == "i" and size == 1:
        return np.asarray(column).astype(">i2")
    return np.where(np.ma.getmaskarray(column), empty, np.asarray(column)).astype(f">{kind}{size}")
