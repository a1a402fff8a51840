"""Reading a table of stars from a file, whatever its format; every failure is a `LoadError`."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import yaml
from astropy.io.fits.verify import VerifyError
from astropy.io.votable.exceptions import VOWarning
from astropy.table import Table
from astropy.table.meta import YamlParseError, get_header_from_yaml

from sky_patches.errors import LoadError, SchemaError
from sky_patches.store.arrow_table import from_arrow

__all__ = ["FORMATS", "RawTable", "read_file"]

FORMATS: dict[str, tuple[str, ...]] = {
    "fits": (".fits", ".fit", ".fts"),
    "ecsv": (".ecsv",),
    "votable": (".vot", ".votable", ".xml"),
    "csv": (".csv", ".tsv"),
    "parquet": (".parquet", ".parq", ".pq"),
}
"""Extensions of each format; each may be followed by `.gz` (not Parquet)."""

_MAGIC = (
    (b"SIMPLE  =", "fits"),
    (b"PAR1", "parquet"),
    (b"# %ECSV", "ecsv"),
    (b"<?xml", "votable"),
    (b"<VOTABLE", "votable"),
)

# What the readers raise on damaged input. MemoryError: a damaged header may ask for an absurd allocation.
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    SyntaxError,
    zlib.error,
    pa.ArrowException,
    yaml.YAMLError,
    YamlParseError,
    VerifyError,
    VOWarning,
    ExpatError,
    AssertionError,
    ArithmeticError,
)

_NULLS = ["", "null", "NULL", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "--", "None", "\\N"]


@dataclass(frozen=True)
class RawTable:
    """A file's table before any interpretation.

    Attributes:
        table: columns as they are in the file.
        format: key of `FORMATS`.
        notes: remarks for the report, such as further tables that were not read.
    """

    table: Table
    format: str
    notes: tuple[str, ...] = ()


def read_file(path: Path) -> RawTable:
    """Read the (first) table of `path`.

    The format follows from the extension, or from the first bytes where the extension is unknown.

    Raises:
        LoadError: no such file, a directory, an empty or damaged file, an unknown format, an extension that
            contradicts the content, or a table without rows.
    """
    payload, kind = _open(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = _READERS[kind](payload, path)
        except SchemaError as error:
            raise LoadError(f"{path}: {error}") from error
        except _DAMAGED as error:
            summary = " ".join(str(error).split())[:300] or type(error).__name__
            raise LoadError(
                f"{path}: cannot be read as {kind} ({summary}); the file may be damaged or incomplete: "
                "fetch it again, or give it the extension of its real format"
            ) from error
    messages = [" ".join(str(entry.message).split()) for entry in caught]
    if any("truncated" in message for message in messages):
        raise LoadError(f"{path}: the file is cut short; fetch it again")
    if len(table) == 0 or not table.colnames:
        raise LoadError(f"{path}: the {kind} table has no rows (columns {table.colnames}); nothing to load")
    notes = tuple(message for message in messages if "table" in message.lower() and "hdu" in message.lower())
    return RawTable(table, kind, notes)


def _open(path: Path) -> tuple[io.BytesIO | Path, str]:
    """The file's content, decompressed in memory if need be (else its path), and its format."""
    if path.is_dir():
        raise LoadError(
            f"{path} is a directory; name one file, or open a catalogue store with CatalogStore.open"
        )
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
        if not head:
            raise LoadError(f"{path} is empty (0 bytes); fetch it again")
        if not head.startswith(b"\x1f\x8b"):
            return path, _format_of(path, head)
        with gzip.open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError as error:
        raise LoadError(f"{path} does not exist; check the path (working directory {Path.cwd()})") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise LoadError(f"{path} cannot be opened or decompressed: {error}; fetch it again") from error
    if not content:
        raise LoadError(f"{path} is empty once decompressed; fetch it again")
    return io.BytesIO(content), _format_of(path, content[:512])


def _format_of(path: Path, head: bytes) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    named = next((kind for kind, known in FORMATS.items() if suffixes and suffixes[-1] in known), None)
    found = next((kind for magic, kind in _MAGIC if head.lstrip().startswith(magic)), None)
    if named is None and found is None:
        known = sorted(suffix for group in FORMATS.values() for suffix in group)
        raise LoadError(
            f"{path}: unknown extension and content; supported extensions: {known}, optionally + .gz"
        )
    # Gaia's bulk files are ECSV under the name .csv.gz; any other contradiction is a mistake of the user's.
    if named is None or found is None or named == found or (named, found) == ("csv", "ecsv"):
        return found or named or ""
    raise LoadError(f"{path}: the extension says {named}, the content is {found}; rename the file")


def _read_fits(payload: io.BytesIO | Path, path: Path) -> Table:
    return Table.read(payload, format="fits", mask_invalid=False, memmap=False, character_as_bytes=False)


def _read_ecsv(payload: io.BytesIO | Path, path: Path) -> Table:
    # Gaia's bulk files write missing values as a bare null.
    return Table.read(payload, format="ecsv", engine="pyarrow", null_values=["", "null"])


def _read_votable(payload: io.BytesIO | Path, path: Path) -> Table:
    source = payload if isinstance(payload, io.BytesIO) else io.BytesIO(payload.read_bytes())
    return Table.read(source, format="votable", use_names_over_ids=True)


def _read_csv(payload: io.BytesIO | Path, path: Path) -> Table:
    text = payload.getvalue() if isinstance(payload, io.BytesIO) else payload.read_bytes()
    start = 0
    while text.startswith(b"#", start):
        start = text.find(b"\n", start) + 1
        if start == 0:
            raise ValueError("only comments, no header line")
    header = text[start : text.find(b"\n", start)].decode("utf-8")
    counts = {mark: header.count(mark) for mark in (",", "\t", ";", "|")}
    return _parse_delimited(text[start:], max(counts, key=lambda mark: counts[mark]))


def _parse_delimited(text: bytes, delimiter: str) -> Table:
    # pyarrow keeps integers exact where a column also has empty cells, and rounds decimals correctly.
    arrow = pacsv.read_csv(
        pa.BufferReader(text),
        parse_options=pacsv.ParseOptions(delimiter=delimiter),
        convert_options=pacsv.ConvertOptions(null_values=_NULLS, strings_can_be_null=True),
    )
    return from_arrow(arrow.rename_columns([name.strip() for name in arrow.column_names]))


def _read_parquet(payload: io.BytesIO | Path, path: Path) -> Table:
    if isinstance(payload, io.BytesIO):
        raise ValueError("Parquet compresses itself; remove the outer gzip")
    arrow = pq.ParquetFile(payload).read()
    table = from_arrow(arrow)
    described = (arrow.schema.metadata or {}).get(b"table_meta_yaml")
    if described:
        for entry in get_header_from_yaml(described.decode().split("\n"))["datatype"]:
            if entry.get("unit") and entry["name"] in table.colnames:
                table[entry["name"]].unit = entry["unit"]
    return table


_READERS: dict[str, Callable[[io.BytesIO | Path, Path], Table]] = {
    "fits": _read_fits,
    "ecsv": _read_ecsv,
    "votable": _read_votable,
    "csv": _read_csv,
    "parquet": _read_parquet,
}
