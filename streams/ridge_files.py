"""Ridges from files: isochrones of PARSEC and MIST, and ridges as small tables of their own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streams.isochrone_formats import first_lines, isochrone_format, isochrones_of, text_of
from streams.isochrones import Isochrone, isochrone_ridge
from streams.ridges import Ridge, RidgeError

__all__ = ["load_ridges", "read_isochrones", "read_ridge", "write_ridge"]

_COLUMNS = {
    "absolute": ("mag", "absolute G magnitude"),
    "bp_rp": ("mag", "dereddened BP-RP of the ridge"),
    "log_luminosity": (None, "natural log of the stars per magnitude, scale free"),
}
_ECSV = "# %ECSV"


def read_isochrones(
    path: Path,
    *,
    age: float | Sequence[float] | None = None,
    metallicity: float | Sequence[float] | None = None,
    mass_function: str | None = None,
) -> tuple[Ridge, ...]:
    """Ridges of the isochrones in a PARSEC or MIST file; formats as in `isochrones_of`.

    Args:
        path: text file of the CMD web interface of PARSEC or of MIST (`.iso.cmd`), gzipped or not, with Gaia
            magnitudes and without extinction.
        age: ages wanted, Gyr; None takes all. Of what the file has, the nearest in log age is taken.
        metallicity: metallicities wanted, as the file counts them; None takes all. The nearest is taken.
        mass_function: initial mass function of the luminosity function; None takes the file's own count of
            stars (PARSEC's int_IMF), and Kroupa's where it has none (MIST). Names: `MASS_FUNCTIONS`.

    Returns:
        One ridge for each isochrone, in the order of the file; its name says metallicity and age as the file
        has them, so it tells what "nearest" came to.

    Raises:
        RidgeError: no such file, another format, no Gaia magnitudes, extinction applied, a population too
            young to have a ridge, or a wanted age that is not positive.
    """
    found = isochrones_of(text_of(path), str(path))
    found = _nearest(found, metallicity, np.array([one.metallicity for one in found]))
    if age is not None:
        wanted = np.atleast_1d(np.asarray(age, dtype=float))
        if not (wanted > 0).all():
            raise RidgeError(f"expected ages in Gyr above zero, got {age}")
        found = _nearest(found, np.log(wanted), np.log([one.age for one in found]))
    return tuple(isochrone_ridge(one, mass_function) for one in found)


def write_ridge(ridge: Ridge, path: Path) -> Path:
    """Write a ridge as an ECSV table (absolute, bp_rp, log_luminosity; its name as metadata), whole or not.

    Raises:
        RidgeError: the file does not end in .ecsv.
    """
    # Importing astropy's tables takes a second: only who reads or writes one needs it.
    from astropy.table import Column, Table

    path = Path(path)
    if path.suffix != ".ecsv":
        raise RidgeError(f"a ridge is written as .ecsv, got {path.name!r}")
    columns = [
        Column(getattr(ridge, name), name=name, unit=unit, description=said)
        for name, (unit, said) in _COLUMNS.items()
    ]
    temporary = path.with_name(f".{uuid.uuid4().hex}.ecsv")
    try:
        Table(columns, meta={"name": ridge.name}).write(temporary, format="ascii.ecsv")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_ridge(path: Path) -> Ridge:
    """Read a ridge that `write_ridge` wrote, or a table like it; without a name it has that of the file.

    Raises:
        RidgeError: no such file, no ECSV table, columns missing, or nodes that make no ridge.
    """
    text = text_of(path)
    if not text.startswith(_ECSV):
        raise RidgeError(
            f"{path}: expected an ECSV table with {', '.join(_COLUMNS)}, got: {first_lines(text)}"
        )
    return _ridge_of_table(text, Path(path))


def load_ridges(
    paths: Sequence[Path],
    *,
    age: float | Sequence[float] | None = None,
    metallicity: float | Sequence[float] | None = None,
) -> tuple[Ridge, ...]:
    """All ridges of files of any of the three kinds, recognised by what is in them; names are made unique.

    Args:
        paths: isochrones of PARSEC or MIST, and tables of `write_ridge`.
        age, metallicity: which isochrones of a file, as in `read_isochrones`; tables of ridges have neither.

    Raises:
        RidgeError: a file is of no known kind or cannot be read; the message names it.
    """
    found: list[Ridge] = []
    for path in map(Path, paths):
        text = text_of(path)
        if text.startswith(_ECSV):
            fresh: tuple[Ridge, ...] = (_ridge_of_table(text, path),)
        elif isochrone_format(text) is not None:
            fresh = read_isochrones(path, age=age, metallicity=metallicity)
        else:
            raise RidgeError(
                f"{path}: expected isochrones of PARSEC or MIST, or a ridge as ECSV table with "
                f"{', '.join(_COLUMNS)}; got: {first_lines(text)}"
            )
        for ridge in fresh:
            found.append(_with_new_name(ridge, path, {other.name for other in found}))
    return tuple(found)


def _nearest(
    isochrones: tuple[Isochrone, ...], wanted: float | Sequence[float] | np.ndarray | None, have: np.ndarray
) -> tuple[Isochrone, ...]:
    """Those with the value nearest to one of the wanted ones."""
    if wanted is None:
        return isochrones
    values = np.atleast_1d(np.asarray(wanted, dtype=float))
    if not np.isfinite(values).all():
        raise RidgeError(f"expected a metallicity or an age that is a number, got {wanted}")
    chosen = {float(have[np.argmin(np.abs(have - value))]) for value in values}
    return tuple(one for one, value in zip(isochrones, have, strict=True) if float(value) in chosen)


def _ridge_of_table(text: str, path: Path) -> Ridge:
    from astropy.table import Table

    try:
        table = Table.read(text.splitlines(), format="ascii.ecsv")
        columns = [np.asarray(np.ma.filled(table[name].data, np.nan), dtype=float) for name in _COLUMNS]
    # What astropy's reader raises for headers and rows that make no table.
    except (ValueError, KeyError, TypeError) as error:
        raise RidgeError(
            f"{path}: expected an ECSV table with {', '.join(_COLUMNS)}, which cannot be read ({error})"
        ) from error
    return Ridge(str(table.meta.get("name", path.stem)), *columns)


def _with_new_name(ridge: Ridge, path: Path, taken: set[str]) -> Ridge:
    """The same ridge; where its name is taken, with the file's name after it, and a number if need be."""
    name, number = ridge.name, 1
    while name in taken:
        name = f"{ridge.name} ({path.name})" if number == 1 else f"{ridge.name} ({path.name}, {number})"
        number += 1
    return Ridge(name, ridge.absolute, ridge.bp_rp, ridge.log_luminosity)
