"""The question put to an archive for one HEALPix pixel: columns, quality cuts, a range of source_id."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sky_patches.archive.errors import ArchiveError
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.releases import Release
from sky_patches.schema import SCHEMA

__all__ = ["ArchiveCuts", "ArchiveQuery", "CutError"]

_TEXT_LITERAL = re.compile(r"'(?:[^']|'')*'")
_COLOUR = "bp_rp"
_FIVE_PARAMETERS = 31
"""`astrometric_params_solved` of a five-parameter solution: the lowest five bits."""


class CutError(ArchiveError):
    """A quality cut that no query can be made of."""


@dataclass(frozen=True)
class ArchiveCuts:
    """Quality cuts that the archive applies, so that only the stars kept are transferred.

    A star whose value is missing fails a cut on that value. Whatever the cuts, only stars with a proper
    motion (five or more astrometric parameters) are asked for: the store holds no others.

    Attributes:
        parallax_below: keep parallax < this, mas.
        ruwe_below: keep ruwe < this.
        g: keep low < G < high, mag.
        colour: keep low < BP - RP < high, mag.
        five_parameter: keep only five-parameter solutions (astrometric_params_solved = 31).
        where: further conditions in ADQL, each put in parentheses. In DR2, columns are to be written with
            g. (main table) or r. (ruwe) before them.

    Raises:
        CutError: a number that is not finite, an empty range, or a condition that is no single expression.
    """

    parallax_below: float | None = None
    ruwe_below: float | None = None
    g: tuple[float, float] | None = None
    colour: tuple[float, float] | None = None
    five_parameter: bool = False
    where: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, limit in (("parallax_below", self.parallax_below), ("ruwe_below", self.ruwe_below)):
            if limit is not None and not math.isfinite(limit):
                raise CutError(f"{name} must be a finite number, found {limit}")
        for name, limits in (("g", self.g), ("colour", self.colour)):
            if limits is not None and not (all(map(math.isfinite, limits)) and limits[0] < limits[1]):
                raise CutError(f"{name} is a range low < high of finite numbers, found {limits}")
        for condition in self.where:
            _check_condition(condition)

    def conditions(self, release: Release) -> tuple[str, ...]:
        """The cuts as ADQL conditions on the tables of `release`."""
        found = [f"{release.column(name)} IS NOT NULL" for name in ("pmra", "pmdec")]
        if self.parallax_below is not None:
            found.append(f"{release.column('parallax')} < {float(self.parallax_below)!r}")
        if self.ruwe_below is not None:
            found.append(f"{release.column('ruwe')} < {float(self.ruwe_below)!r}")
        for name, limits in (("phot_g_mean_mag", self.g), (_COLOUR, self.colour)):
            if limits is not None:
                column = release.column(name)
                found.append(f"{column} > {float(limits[0])!r} AND {column} < {float(limits[1])!r}")
        if self.five_parameter:
            found.append(f"{release.column('astrometric_params_solved')} = {_FIVE_PARAMETERS}")
        return (*found, *(f"({condition})" for condition in self.where))


@dataclass(frozen=True)
class ArchiveQuery:
    """The query of a refresh; with a pixel it becomes ADQL.

    Attributes:
        release: where the stars are.
        columns: names in the archive; make them with `Release.columns`.
        cuts: quality cuts.
    """

    release: Release
    columns: tuple[str, ...]
    cuts: ArchiveCuts = ArchiveCuts()

    @classmethod
    def of(
        cls, release: Release, columns: Iterable[str] | None = None, cuts: ArchiveCuts | None = None
    ) -> ArchiveQuery:
        """The query for the schema's columns, or for `columns` and those that every star needs.

        Raises:
            ReleaseError: not a name of a column.
        """
        return cls(release, release.columns(columns), cuts or ArchiveCuts())

    def select(self, pixel: SkyPixel) -> str:
        """ADQL for the stars of one pixel."""
        return self._adql(self._selected, *_ids(pixel))

    def count(self, pixel: SkyPixel) -> str:
        """ADQL for their number: COUNT(*) with the same FROM and WHERE."""
        return self._adql("COUNT(*) AS n_stars", *_ids(pixel))

    @property
    def template(self) -> str:
        """ADQL of any pixel, with {low} and {high} for its range of source_id."""
        return self._adql(self._selected, "{low}", "{high}")

    @property
    def fingerprint(self) -> str:
        """Hash of what is asked: equal exactly where pixels may lie in one store side by side.

        The service is not part of it: mirrors of a release hold the same stars.
        """
        return hashlib.sha256(f"{self.release.name}\n{self.template}".encode()).hexdigest()[:16]

    @property
    def further_columns(self) -> tuple[str, ...]:
        """Columns beyond the schema's."""
        return tuple(name for name in self.columns if name not in SCHEMA)

    @property
    def _selected(self) -> str:
        return ", ".join(map(self.release.column, self.columns))

    def _adql(self, what: str, low: object, high: object) -> str:
        wanted = f"{self.release.column('source_id')} BETWEEN {low} AND {high}"
        where = " AND ".join([wanted, *self.cuts.conditions(self.release)])
        return f"SELECT {what} FROM {self.release.source} WHERE {where}"


def _ids(pixel: SkyPixel) -> tuple[int, int]:
    low, stop = pixel.source_ids
    return low, stop - 1


def _check_condition(condition: str) -> None:
    """Refuse what would reach beyond the parentheses that the condition is put in."""
    bare = _TEXT_LITERAL.sub("", condition)
    depth = 0
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            break
    if not bare.strip() or depth != 0 or "'" in bare or "--" in bare or ";" in bare:
        raise CutError(
            "a condition is one ADQL expression with balanced parentheses and quotes, without comments, "
            f"for example 'visibility_periods_used > 8'; found {condition!r}"
        )
