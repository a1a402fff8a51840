"""Rows of fixed length in a VOTable, taken out of the document and decoded all at once.

astropy reads a VOTable value by value, some 3 x 10^4 rows a second: for a survey, days. Gaia's columns have a
fixed length in the binary serialisations (VOTable 1.4, sections 5.3 and 5.4), so that numpy reads the rows
as they stand; astropy still reads the rest of the document. Other tables are left to astropy.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io.votable.tree import Field
from jaxtyping import Bool, Shaped

__all__ = ["BinaryRows", "decoded", "split_rows"]

_STREAM = re.compile(rb"<(BINARY2?)>\s*<STREAM\s+encoding=(?:\"base64\"|'base64')\s*>")
_END = b"</STREAM>"
_NUMBERS = {
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
}
_TRUE, _FALSE = (b"T", b"t", b"1"), (b"F", b"f", b"0")

Values = tuple[Shaped[np.ndarray, " n"], Bool[np.ndarray, " n"]]
"""The values of a column, and which of them are missing."""


@dataclass(frozen=True)
class BinaryRows:
    """A document in two parts.

    Attributes:
        frame: the document without the content of its stream.
        base64: the content of the stream.
        flagged: whether each row begins with a bit per column for a missing value (BINARY2).
    """

    frame: bytes
    base64: bytes
    flagged: bool


def split_rows(document: bytes) -> BinaryRows | None:
    """Part a document with one binary table; None where it has another form or no end of its stream."""
    begin = _STREAM.search(document)
    end = -1 if begin is None else document.find(_END, begin.end())
    if begin is None or end < 0 or document.find(b"<STREAM", end) >= 0:
        return None
    frame = document[: begin.end()] + document[end:]
    return BinaryRows(frame, document[begin.end() : end], begin.group(1) == b"BINARY2")


def decoded(rows: BinaryRows, fields: Sequence[Field]) -> list[Values] | None:
    """The columns of the table, in order; None where a column is of varying length or not a plain value.

    Raises:
        ValueError: the stream is damaged, or holds no whole number of rows.
    """
    types = [_dtype(field) for field in fields]
    if None in types:
        return None
    flags = -(-len(fields) // 8) if rows.flagged else 0
    layout = np.dtype([("flags", np.uint8, (flags,)), *((f"c{i}", kind) for i, kind in enumerate(types))])
    content = binascii.a2b_base64(
        rows.base64.translate(None, b" \r\n\t"), strict_mode=bool(rows.base64.strip())
    )
    if len(content) % layout.itemsize:
        raise ValueError(f"{len(content)} bytes are no whole number of rows of {layout.itemsize} bytes")
    table = np.frombuffer(content, layout)
    missing = np.zeros((len(table), len(fields)), dtype=bool)
    if rows.flagged:
        missing = np.unpackbits(table["flags"], axis=1)[:, : len(fields)].astype(bool)
    return [_values(table[f"c{i}"], missing[:, i], field) for i, field in enumerate(fields)]


def _dtype(field: Field) -> str | None:
    """The numpy type of one value; None for what is not decoded here."""
    size = field.arraysize
    if field.datatype == "char":
        return f"S{size or 1}" if size is None or str(size).isdigit() else None
    if size is not None:
        return None
    return "S1" if field.datatype == "boolean" else _NUMBERS.get(field.datatype)


def _values(raw: Shaped[np.ndarray, " n"], missing: Bool[np.ndarray, " n"], field: Field) -> Values:
    if field.datatype == "boolean":
        true, known = np.isin(raw, _TRUE), np.isin(raw, _TRUE + _FALSE)
        return true, missing | ~known
    if field.datatype == "char":
        return np.char.decode(raw, "utf-8", "replace") if len(raw) else raw.astype("U1"), missing
    values = raw.astype(raw.dtype.newbyteorder("="))
    null = field.values.null
    if null is not None and values.dtype.kind in "iu":
        missing = missing | (values == null)
    return values, missing
