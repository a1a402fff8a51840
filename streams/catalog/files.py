"""A table as ECSV, FITS and Parquet: each tells units, UCDs and meanings, and all are equal."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable.tree import VOTableFile
from astropy.table import Column, Table
from astropy.table.meta import get_yaml_from_table
from astropy.units import Unit
from pyarrow import csv

from streams.errors import CatalogError

__all__ = ["FORMATS", "one_line", "read_table", "write_table"]

FORMATS = ("ecsv", "fits", "parquet")
_CARD = 70
_SCHEMA_CARD = "VMSCHEMA"


def one_line(provenance: Mapping[str, Any]) -> str:
    """JSON without a single space: FITS cuts it into cards and strips the blanks at their ends."""
    return json.dumps(dict(provenance), sort_keys=True, separators=(",", ":")).replace(" ", "\\u0020")


def write_table(table: Table, path: Path, *, every_format: bool = True) -> Path:
    """Write a table, whole or not at all, in the format of the file's ending.

    Args:
        table: columns of text, whole numbers, reals or flags, without masked values; for FITS `table.meta`
            holds `schema` (a number) and `provenance` (`one_line`).
        path: ends in .ecsv, .fits or .parquet.
        every_format: refuse in any format the texts that FITS cannot hold, so that none is written where one
            cannot be; false for a table that never becomes FITS.

    Raises:
        CatalogError: a text that FITS cannot hold: not ASCII, with control characters, or ending in a blank.
    """
    writers: dict[str, Callable[[Table, Path], None]] = {
        ".ecsv": _write_ecsv, ".fits": _write_fits, ".parquet": _write_parquet,
    }  # fmt: skip
    if every_format:
        _check_texts(table)
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        writers[path.suffix](table, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_table(path: Path) -> Table:
    """Read a table that `write_table` wrote; plain columns, what is empty is "" or NaN.

    Raises:
        OSError, ValueError, LookupError, TypeError: the file is absent or damaged (what the readers raise).
    """
    readers: dict[str, Callable[[Path], Table]] = {
        ".ecsv": _read_ecsv, ".fits": _read_fits, ".parquet": _read_parquet,
    }  # fmt: skip
    return _plain(readers[path.suffix](path))


def _check_texts(table: Table) -> None:
    for name, column in table.columns.items():
        texts = set(np.asarray(column).tolist()) if column.dtype.kind == "U" else set()
        wrong = sorted(
            text for text in texts if not (text.isascii() and text.isprintable()) or text[-1:] == " "
        )
        if wrong:
            raise CatalogError(
                f"the column {name!r} of a catalogue holds plain ASCII texts that do not end in a blank, got "
                f"{wrong[0]!r}: take other names (of patches, for example)"
            )


def _plain(table: Table) -> Table:
    """Without masks: readers mask empty texts and NaN."""
    columns = []
    for column in table.columns.values():
        values = np.ma.asarray(column)
        # A column of empty texts alone may come back as anything.
        empty = {"U": "", "f": np.nan}.get(values.dtype.kind)
        plain = np.array(values.filled(empty)) if np.ma.is_masked(values) else np.array(values.data)
        # ECSV and Parquet leave out an empty description.
        said = column.description or ""
        fresh = Column(plain, name=column.name, unit=column.unit, description=said)
        fresh.meta["ucd"] = column.meta["ucd"]
        columns.append(fresh)
    return Table(columns, meta=dict(table.meta), copy=False)


def _write_ecsv(table: Table, path: Path) -> None:
    """ECSV with commas: astropy's header, and the rows by column, which is ten times faster than by row."""
    header = io.StringIO()
    table[:0].write(header, format="ascii.ecsv", delimiter=",")
    rows = pa.table({name: _cells(np.asarray(table[name])) for name in table.colnames})
    with path.open("wb") as file:
        file.write(header.getvalue().encode())
        csv.write_csv(rows, file, csv.WriteOptions(include_header=False))


def _cells(values: np.ndarray) -> pa.Array:
    """The values as ECSV wants them; reals are written with as many digits as bring them back."""
    if values.dtype.kind == "b":
        values = np.where(values, "True", "False")
    return pa.array(values.tolist(), type=pa.string()) if values.dtype.kind == "U" else pa.array(values)


def _read_ecsv(path: Path) -> Table:
    """Astropy's header, and the rows by column."""
    with path.open(encoding="utf-8") as file:
        notes = []
        # The first line that is no comment names the columns.
        while (line := file.readline()).startswith("#"):
            notes.append(line)
    header = Table.read("".join((*notes, line)), format="ascii.ecsv")
    rows = csv.read_csv(
        path,
        read_options=csv.ReadOptions(skip_rows=len(notes)),
        parse_options=csv.ParseOptions(delimiter="," if "# delimiter: ','\n" in notes else " "),
        convert_options=csv.ConvertOptions(
            column_types={name: _arrow_type(header[name].dtype) for name in header.colnames}
        ),
    )
    return Table(
        [_filled(header[name], rows[name]) for name in header.colnames], meta=header.meta, copy=False
    )


def _arrow_type(dtype: np.dtype) -> pa.DataType:
    return pa.string() if dtype.kind == "U" else pa.from_numpy_dtype(dtype)


def _filled(empty: Column, values: pa.ChunkedArray) -> Column:
    """The column of the header with the values in it."""
    text = empty.dtype.kind == "U"
    array = np.array(values.to_pylist(), dtype="U") if text else values.to_numpy()
    column = Column(array, name=empty.name, unit=empty.unit, description=empty.description)
    column.meta = dict(empty.meta)
    return column


def _write_fits(table: Table, path: Path) -> None:
    """One binary table with TUNITn, TUCDn and TCOMMn cards, provenance in COMMENT cards."""
    hdu = fits.BinTableHDU(_bytes(table), name=path.stem.strip(".").removesuffix(".tmp").upper())
    for number, column in enumerate(table.columns.values(), start=1):
        if column.unit is not None:
            hdu.header[f"TUNIT{number}"] = column.unit.to_string("fits")
        hdu.header[f"TUCD{number}"] = column.meta["ucd"]
        hdu.header[f"TCOMM{number}"] = column.description
    hdu.header[_SCHEMA_CARD] = (table.meta["schema"], "layout of this catalogue")
    text = table.meta["provenance"]
    for start in range(0, len(text), _CARD):
        hdu.header.add_comment(text[start : start + _CARD])
    hdu.writeto(path, overwrite=True)


def _bytes(table: Table) -> np.ndarray:
    """The rows as FITS keeps them: texts in ASCII."""
    columns = {name: np.asarray(table[name]) for name in table.colnames}
    encoded = [
        np.char.encode(values, "ascii") if values.dtype.kind == "U" else values for values in columns.values()
    ]
    return np.rec.fromarrays(encoded, names=list(columns))


def _read_fits(path: Path) -> Table:
    with fits.open(path) as file:
        header = file[1].header
        columns = []
        for number, name in enumerate(file[1].columns.names, start=1):
            values = np.array(file[1].data[name])
            column = Column(
                values.astype(values.dtype.newbyteorder("=")), name=name, description=header[f"TCOMM{number}"]
            )
            if f"TUNIT{number}" in header:
                column.unit = Unit(header[f"TUNIT{number}"], format="fits")
            column.meta["ucd"] = header[f"TUCD{number}"]
            columns.append(column)
        meta = {"schema": header[_SCHEMA_CARD], "provenance": "".join(map(str, header["COMMENT"]))}
    return Table(columns, meta=meta)


def _write_parquet(table: Table, path: Path) -> None:
    """Parquet that astropy opens with units (its YAML), other readers too (fields, IVOA's VOTable header)."""
    arrays, fields = [], []
    notes = {"table_meta_yaml": "\n".join(get_yaml_from_table(table))}
    for name, column in table.columns.items():
        values = np.asarray(column)
        text = values.dtype.kind == "U"
        arrays.append(pa.array(values.tolist(), type=pa.string()) if text else pa.array(values))
        unit = "" if column.unit is None else column.unit.to_string("vounit")
        told = {"unit": unit, "ucd": column.meta["ucd"], "description": column.description}
        fields.append(pa.field(name, arrays[-1].type, metadata=told))
        if text:
            notes[f"table::len::{name}"] = str(max(values.dtype.itemsize // 4, 1))
    notes |= {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": _votable(table)}
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=notes)), path)


def _votable(table: Table) -> str:
    """The header of the table as a VOTable without rows (IVOA note "Parquet in the VO", type 1)."""
    file = io.BytesIO()
    VOTableFile.from_table(table[:0]).to_xml(file)
    return file.getvalue().decode()


def _read_parquet(path: Path) -> Table:
    return Table.read(path, format="parquet")
