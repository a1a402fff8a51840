"""Results of a TAP service: a table, and whether it is whole.

A service that stops at its row limit says so in an INFO element *after* the table, while one that says OK
stands before it already (DALI 1.1, section 4.4); so the last one counts, and readers that return a table
alone lose it.
"""

from __future__ import annotations

import gzip
import io
import struct
import threading
import warnings
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

import numpy as np
from astropy.io.votable import parse
from astropy.io.votable.exceptions import VOTableSpecError, VOWarning
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import Column, MaskedColumn, Table
from astropy.units import UnitsWarning

from sky_patches.archive.errors import IncompleteReplyError
from sky_patches.archive.votable_rows import Values, decoded, split_rows

__all__ = ["Result", "error_sentence", "read_result"]

_GZIP = b"\x1f\x8b"
_WARNINGS = threading.Lock()
_LONGEST_SENTENCE = 400


@dataclass(frozen=True)
class Result:
    """What a results document says.

    Attributes:
        table: the rows; floats without a value are NaN, other columns without one are masked.
            None where the document holds no table (an error).
        status: "OK", "OVERFLOW" or "ERROR", from the last QUERY_STATUS; "" where there is none.
        message: the text that stands with the status.
    """

    table: Table | None
    status: str
    message: str


def read_result(stream: io.IOBase) -> Result:
    """Read a results document (VOTable, gzipped or not) from its beginning.

    Raises:
        IncompleteReplyError: the document ends early, or is no VOTable.
    """
    # Filters of warnings belong to the process: two threads that change them would mix them up.
    with _WARNINGS, warnings.catch_warnings():
        # Services break the VOTable standard in small ways all the time; the rows are checked by count.
        warnings.simplefilter("ignore", VOWarning)
        warnings.simplefilter("ignore", UnitsWarning)
        return _understood(lambda: _result(_plain(stream)))


def _understood(read: Callable[[], Result]) -> Result:
    try:
        return read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IncompleteReplyError(f"the compressed reply is damaged ({_line(str(error))})") from error
    except (VOTableSpecError, ExpatError, ValueError, TypeError, IndexError, struct.error) as error:
        # What astropy's reader raises on a document that ends inside its rows differs by the place.
        raise IncompleteReplyError(f"the reply is no complete VOTable ({_line(str(error))})") from error


def _plain(stream: io.IOBase) -> bytes:
    content = stream.read()
    # ESA's archive sends VOTable as a gzip file, not as an HTTP encoding.
    return gzip.decompress(content) if content[: len(_GZIP)] == _GZIP else content


def _result(content: bytes) -> Result:
    rows = split_rows(content)
    document = parse(io.BytesIO(rows.frame if rows is not None else content), verify="ignore")
    resource = _results(document)
    status, message = _status(document, resource)
    if resource is None or not resource.tables:
        return Result(None, status, message)
    element = resource.tables[0]
    values = None if rows is None else decoded(rows, element.fields)
    if values is None and rows is not None:
        # A table whose rows only astropy can read: it needs the whole document.
        element = _results(parse(io.BytesIO(content), verify="ignore")).tables[0]
    return Result(_table(element, values), status, message)


def _results(document: VOTableFile) -> Resource | None:
    resources = list(document.resources)
    return next((r for r in resources if r.type == "results"), resources[0] if resources else None)


def _status(document: VOTableFile, resource: Resource | None) -> tuple[str, str]:
    """The gravest QUERY_STATUS of the document and its results, which is the last of them."""
    infos = [*document.infos]
    if resource is not None:
        infos += [*resource.infos, *(info for table in resource.tables for info in table.infos)]
    found = {
        (info.value or "").strip().upper(): _line(info.content or "")
        for info in infos
        if (info.name or "").upper() == "QUERY_STATUS"
    }
    status = next((grave for grave in ("ERROR", "OVERFLOW") if grave in found), "OK" if "OK" in found else "")
    return status, found.get(status, "")


def _table(element: TableElement, values: list[Values] | None) -> Table:
    """The table, from rows that were decoded, or else from those in `element`."""
    read = element.to_table(use_names_over_ids=True)
    if values is None:
        values = [(np.asarray(column), np.ma.getmaskarray(column)) for column in read.itercols()]
    columns = zip(read.itercols(), values, strict=True)
    return Table([_column(like, *found) for like, found in columns])


def _column(like: Column, values: np.ndarray, missing: np.ndarray) -> Column:
    """Floats with NaN for no value, strings as strings; masks only where a value is missing."""
    if values.dtype.kind == "f":
        values, missing = np.where(missing, np.nan, values).astype(values.dtype), np.zeros_like(missing)
    elif values.dtype.kind == "O" and values.ndim == 1:
        texts = [_text(value) for value in values.tolist()]
        missing = missing | np.array([text is None for text in texts], dtype=bool)
        values = np.array([text or "" for text in texts], dtype=str)
    about = {"name": like.name, "unit": like.unit, "description": like.description}
    return MaskedColumn(values, mask=missing, **about) if missing.any() else Column(values, **about)


def _text(value: object) -> str | None:
    if value is None or value is np.ma.masked:
        return None
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def error_sentence(body: bytes) -> tuple[str, bool]:
    """What an error document says, in one line, and whether it is a TAP error (QUERY_STATUS ERROR)."""
    text = body.decode("utf-8", errors="replace").strip()
    try:
        root = ElementTree.fromstring(text) if text.startswith("<") else None
    except ElementTree.ParseError:
        root = None
    if root is None:
        return _line(text), False
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "INFO" and element.get("name", "").upper() == "QUERY_STATUS":
            return _line("".join(element.itertext())), element.get("value", "").upper() == "ERROR"
    return _line(" ".join(root.itertext())), False


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SENTENCE else line[: _LONGEST_SENTENCE - 1] + "…"
