"""A table of stars from a file, whatever its format."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow as pa
from astropy.io.fits.verify import VerifyError
from astropy.table import Table

from dm_map.errors import SampleError

__all__ = ["read_table"]

_FORMATS = {
    "fits": (".fits", ".fit", ".fts"),
    "ecsv": (".ecsv",),
    "votable": (".vot", ".votable", ".xml"),
    "ascii.csv": (".csv",),
    "parquet": (".parquet", ".parq", ".pq"),
}

# Gaia's bulk files write missing values as a bare null.
_OPTIONS = {
    "ascii.csv": {"fill_values": [("", "0"), ("null", "0")]},
    "ecsv": {"engine": "pyarrow", "null_values": ["", "null"]},
}

# What astropy's readers raise on damaged input.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    pa.ArrowException,
    VerifyError,
)


def read_table(source: Table | Path | str) -> tuple[Table, str]:
    """The table itself, or the (first) one of a FITS, ECSV, VOTable, CSV or Parquet file.

    FITS, ECSV, VOTable and CSV may be compressed (.gz).

    Returns:
        The table and its name for messages: the path, or "the table".

    Raises:
        SampleError: no such file, a directory, an unknown extension, a damaged file, no rows.
    """
    if isinstance(source, Table):
        table, origin = source, "the table"
    else:
        table, origin = _read(Path(source)), str(source)
    if len(table) == 0 or not table.colnames:
        raise SampleError(f"{origin} has no rows (columns {table.colnames}); nothing to read")
    return table, origin


def _read(path: Path) -> Table:
    if path.is_dir():
        raise SampleError(
            f"{path} is a directory; name one file, or open a catalogue store and give the table of its stars"
        )
    if not path.exists():
        raise SampleError(f"{path} does not exist; check the path (working directory {Path.cwd()})")
    kind = _format(path)
    with warnings.catch_warnings():
        # Units that astropy does not know are told by the column that is needed, not here.
        warnings.simplefilter("ignore")
        try:
            return Table.read(path, format=kind, **_OPTIONS.get(kind, {}))
        except _DAMAGED as error:
            told = " ".join(str(error).split())[:300] or type(error).__name__
            raise SampleError(
                f"{path} cannot be read as {kind} ({told}); the file may be damaged or incomplete, or of "
                "another format than its extension says"
            ) from error


def _format(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    for kind, known in _FORMATS.items():
        if suffixes and suffixes[-1] in known:
            return kind
    every = sorted(suffix for known in _FORMATS.values() for suffix in known)
    raise SampleError(f"{path}: unknown extension; expected one of {', '.join(every)}, perhaps with .gz")
