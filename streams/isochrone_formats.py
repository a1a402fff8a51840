"""Isochrone files of the PARSEC and MIST web interfaces, read from their text."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from streams.isochrones import Isochrone
from streams.ridges import RidgeError

__all__ = ["first_lines", "isochrone_format", "isochrones_of", "text_of"]

_MIST_EEPS = re.compile(r"^#\s*number of EEPs, cols\s*=", re.MULTILINE)
_EXTINCTION = re.compile(r"^#.*extinction.*?\bAv\b[^=\n]*=\s*([-+.\dEe]+)", re.MULTILINE)
_PARSEC_HEADER = re.compile(r"\[M/H\]\s*=\s*([-+.\dEe]+)")
_NO_MAGNITUDE = 50.0

# Release after release, newest first. The two BP bands of some DR2 calibrations are for stars brighter and
# fainter than G = 10.87: the stars of streams are faint.
_PARSEC_BANDS = (
    ("GmagEDR3", "G_BPmagEDR3", "G_RPmagEDR3"),
    ("Gmag", "G_BPmag", "G_RPmag"),
    ("Gmag", "G_BPftmag", "G_RPmag"),
    ("G", "G_BP", "G_RP"),
    ("Gmag", "G_BPbrmag", "G_RPmag"),
)
_MIST_BANDS = (
    ("Gaia_G_EDR3", "Gaia_BP_EDR3", "Gaia_RP_EDR3"),
    ("Gaia_G_DR2Rev", "Gaia_BP_DR2Rev", "Gaia_RP_DR2Rev"),
    ("Gaia_G_MAW", "Gaia_BP_MAWf", "Gaia_RP_MAW"),
    ("Gaia_G", "Gaia_BP", "Gaia_RP"),
)
# Main sequence, subgiants and red giants as the two models number them.
_PARSEC_PHASES = (1, 2, 3)
_MIST_PHASES = (0, 2)


def text_of(path: Path) -> str:
    """The text of a file, also of a gzipped one.

    Raises:
        RidgeError: no such file, or no text.
    """
    try:
        content = Path(path).read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RidgeError(f"{path} cannot be read as the text of an isochrone or ridge: {error}") from error


def first_lines(text: str) -> str:
    """How a file begins, for messages."""
    lines = [line[:70] for line in text.splitlines()[:3]]
    return " | ".join(lines) if lines else "nothing"


def isochrone_format(text: str) -> str | None:
    """Model whose format a text has: "PARSEC", "MIST" or None."""
    if _MIST_EEPS.search(text):
        return "MIST"
    return "PARSEC" if any(_parsec_columns(line) for line in _comments(text)) else None


def isochrones_of(text: str, where: str) -> tuple[Isochrone, ...]:
    """All isochrones of a PARSEC or MIST file, in the order of the file.

    PARSEC: tables of isochrones of the CMD web interface (versions 2 and 3), each headed by a comment line
    that names the columns. MIST: `.iso.cmd` of the web interpolator or of the packed grids. Of PARSEC's
    labels 1, 2 and 3 are kept, of MIST's phases 0 and 2: main sequence, subgiants and first giants, without
    pre-main sequence, core helium burning and all that follows.

    Args:
        text: of the file.
        where: name of the file for messages.

    Raises:
        RidgeError: neither format, no Gaia magnitudes, extinction applied, or rows that are no numbers.
    """
    model = isochrone_format(text)
    if model is None:
        raise RidgeError(
            f"{where}: expected isochrone tables of PARSEC (a comment line '# Zini MH logAge Mini ...') "
            f"or of MIST (.iso.cmd with '# number of EEPs, cols = ...'), got: {first_lines(text)}"
        )
    _refuse_extinction(text, where)
    found = tuple(_parsec(text, where) if model == "PARSEC" else _mist(text, where))
    if not found:
        raise RidgeError(
            f"{where}: no star of this {model} file is on the main sequence, subgiant or giant branch"
        )
    return found


def _refuse_extinction(text: str, where: str) -> None:
    for value in _EXTINCTION.findall(text):
        if float(value) != 0.0:
            raise RidgeError(
                f"{where}: expected magnitudes without extinction, got Av = {value}: make the isochrone "
                "again with Av = 0 (ridges are dereddened, and so are the stars)"
            )


def _comments(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.lstrip().startswith("#"))


def _parsec_columns(line: str) -> list[str]:
    """Names of the columns where a comment line of PARSEC's lists them."""
    names = line.lstrip(" #\t").split()
    masses = {"Mini", "M_ini"} & set(names)
    return names if masses and names[0] in ("Zini", "Z") else []


def _blocks(text: str) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Comments, column names and rows of each table; the last comment line before the rows has the names."""
    comments: list[str] = []
    rows: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            if rows:
                yield comments, comments[-1].lstrip(" #\t").split(), rows
                comments, rows = [], []
            comments.append(line)
        elif line.strip():
            rows.append(line)
    if rows and comments:
        yield comments, comments[-1].lstrip(" #\t").split(), rows


def _numbers(rows: list[str], columns: list[str], where: str) -> Float[np.ndarray, "n k"]:
    wrong = next((row for row in rows if len(row.split()) != len(columns)), None)
    if wrong is not None:
        raise RidgeError(
            f"{where}: expected {len(columns)} values in a row, got {len(wrong.split())}: {wrong[:70]!r}; "
            "the file may have been cut short"
        )
    try:
        return np.array([row.split() for row in rows], dtype=float)
    except ValueError as error:
        raise RidgeError(f"{where}: a row holds something that is no number ({error})") from error


def _column(columns: list[str], names: tuple[str, ...], where: str) -> int:
    """Index of the first of these names that the file has."""
    for name in names:
        if name in columns:
            return columns.index(name)
    raise RidgeError(f"{where}: expected a column {' or '.join(names)}, got {columns}")


def _bands(columns: list[str], known: tuple[tuple[str, str, str], ...], where: str) -> list[int]:
    """Indices of G, BP and RP."""
    for bands in known:
        if set(bands) <= set(columns):
            return [columns.index(name) for name in bands]
    # The set that comes closest says best what is missing.
    nearest = max(known, key=lambda bands: len(set(bands) & set(columns)))
    missing = [name for name in nearest if name not in columns]
    raise RidgeError(
        f"{where}: expected Gaia magnitudes such as {', '.join(known[0])} or {', '.join(known[1])}; "
        f"{', '.join(missing)} missing, got {columns}: choose Gaia as the photometric system"
    )


def _parsec(text: str, where: str) -> Iterator[Isochrone]:
    for comments, columns, rows in _blocks(text):
        table = _numbers(rows, columns, where)
        ages = _parsec_age(table, columns, where)
        metals = _parsec_metallicity(table, columns, comments)
        label = table[:, _column(columns, ("label", "stage"), where)]
        mass = table[:, _column(columns, ("Mini", "M_ini"), where)]
        count = table[:, columns.index("int_IMF")] if "int_IMF" in columns else None
        magnitudes = table[:, _bands(columns, _PARSEC_BANDS, where)]
        for metal, age in dict.fromkeys(zip(metals.tolist(), ages.tolist(), strict=True)):
            rows_of = np.flatnonzero((metals == metal) & (ages == age))
            kept = rows_of[_kept(label[rows_of], _PARSEC_PHASES, magnitudes[rows_of])]
            if len(kept):
                counted = None if count is None else count[kept]
                yield _isochrone("PARSEC", metal, age, mass[kept], magnitudes[kept], kept, counted)


def _parsec_age(table: np.ndarray, columns: list[str], where: str) -> Float[np.ndarray, " n"]:
    """Ages in Gyr."""
    index = _column(columns, ("logAge", "log(age/yr)", "Age"), where)
    values = table[:, index]
    return values / 1e9 if columns[index] == "Age" else 10.0 ** (values - 9.0)


def _parsec_metallicity(
    table: np.ndarray, columns: list[str], comments: list[str]
) -> Float[np.ndarray, " n"]:
    """[M/H]: a column, in the heading of old versions, or from Z by PARSEC's solar value, 0.0152."""
    if "MH" in columns:
        return table[:, columns.index("MH")]
    headed = [match for line in comments if (match := _PARSEC_HEADER.search(line))]
    if headed:
        return np.full(len(table), float(headed[-1].group(1)))
    return np.round(np.log10(table[:, 0] / 0.0152), 4)


def _mist(text: str, where: str) -> Iterator[Isochrone]:
    heading = _mist_metallicity(text)
    for _, columns, rows in _blocks(text):
        table = _numbers(rows, columns, where)
        index = _column(columns, ("log10_isochrone_age_yr", "isochrone_age_yr"), where)
        first = float(table[0, index])
        age = 10.0 ** (first - 9.0) if columns[index].startswith("log10") else first / 1e9
        metal = heading
        if metal is None:
            metal = float(table[0, _column(columns, ("[Fe/H]_init",), where)])
        phase = table[:, _column(columns, ("phase",), where)]
        mass = table[:, _column(columns, ("initial_mass",), where)]
        magnitudes = table[:, _bands(columns, _MIST_BANDS, where)]
        kept = np.flatnonzero(_kept(phase, _MIST_PHASES, magnitudes))
        if len(kept):
            yield _isochrone("MIST", metal, age, mass[kept], magnitudes[kept], kept, None)


def _mist_metallicity(text: str) -> float | None:
    """[Fe/H] of the heading: the line after the one that names it."""
    lines = list(_comments(text))
    for names, values in pairwise(lines):
        words = names.lstrip("# ").split()
        if "[Fe/H]" in words and "Yinit" in words:
            return float(values.lstrip("# ").split()[words.index("[Fe/H]")])
    return None


def _kept(
    phase: Float[np.ndarray, " n"], wanted: tuple[int, ...], magnitudes: Float[np.ndarray, "n 3"]
) -> Bool[np.ndarray, " n"]:
    """Rows of the wanted phases whose magnitudes are magnitudes and no stand-ins."""
    real = np.isfinite(magnitudes).all(axis=1) & (np.abs(magnitudes) < _NO_MAGNITUDE).all(axis=1)
    return np.isin(np.round(phase), wanted) & real


def _isochrone(
    model: str,
    metallicity: float,
    age: float,
    mass: Float[np.ndarray, " n"],
    magnitudes: Float[np.ndarray, "n 3"],
    rows: Int[np.ndarray, " n"],
    cumulated: Float[np.ndarray, " n"] | None,
) -> Isochrone:
    follows = np.append(False, np.diff(rows) == 1)
    g, bp, rp = magnitudes.T
    return Isochrone(model, metallicity, age, mass, g, bp - rp, follows, cumulated)
