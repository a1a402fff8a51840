"""The data releases of Gaia: their tables, and where they keep the columns of the schema."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sky_patches.archive.errors import ArchiveError
from sky_patches.column_names import nearest
from sky_patches.schema import SCHEMA

__all__ = ["DEFAULT_COLUMNS", "DR2", "DR3", "RELEASES", "Release", "ReleaseError", "release_named"]

# Written out, and not the schema as it stands: another set of columns is another query, and a store that is
# refreshed with it is fetched anew.
DEFAULT_COLUMNS = (
    "source_id", "ra", "dec", "ra_error", "dec_error", "parallax", "parallax_error", "pmra", "pmdec",
    "pmra_error", "pmdec_error", "pmra_pmdec_corr", "phot_g_mean_mag", "phot_bp_mean_mag",
    "phot_rp_mean_mag", "bp_rp", "phot_bp_rp_excess_factor", "astrometric_params_solved", "ruwe",
    "radial_velocity", "radial_velocity_error",
)  # fmt: skip
"""What a refresh asks for unless told otherwise; every release has them, under these names."""

_TABLE = re.compile(r'[A-Za-z_][\w$]*(\.[A-Za-z_"][\w$"]*){0,2}')
_NAME = re.compile(r"[A-Za-z_]\w*")


class ReleaseError(ArchiveError):
    """A release, table or column that is not known."""


@dataclass(frozen=True)
class Release:
    """One data release, as a TAP service holds it.

    Attributes:
        name: short name, "dr2" or "dr3".
        table: table of the sources; other services may call it otherwise, see `at`.
        ruwe_table: table with `source_id` and `ruwe` where the main table lacks ruwe, else empty; it is
            joined to the left, so that a star without an entry keeps its row with ruwe empty.
        stars: number of sources with five or more astrometric parameters, from the release's own pages.
    """

    name: str
    table: str
    ruwe_table: str = ""
    stars: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for table in filter(None, (self.table, self.ruwe_table)):
            if not _TABLE.fullmatch(table):
                raise ReleaseError(
                    f"a table is named schema.table, for example gaiadr3.gaia_source; found {table!r}"
                )

    def at(self, table: str | None, ruwe_table: str | None = None) -> Release:
        """The same release under another table name, for mirrors; None keeps the name.

        Raises:
            ReleaseError: not a name of a table.
        """
        return replace(self, table=table or self.table, ruwe_table=ruwe_table or self.ruwe_table)

    @property
    def source(self) -> str:
        """What stands after FROM."""
        if not self.ruwe_table:
            return self.table
        return f"{self.table} AS g LEFT OUTER JOIN {self.ruwe_table} AS r ON g.source_id = r.source_id"

    def column(self, name: str) -> str:
        """A column of the archive as it stands in a query, for example "g.ra".

        Raises:
            ReleaseError: not a name of a column.
        """
        if not _NAME.fullmatch(name):
            raise ReleaseError(f"a column's name consists of letters, digits and _; found {name!r}")
        if not self.ruwe_table:
            return name
        return f"r.{name}" if name == "ruwe" else f"g.{name}"

    def columns(self, names: Iterable[str] | None = None) -> tuple[str, ...]:
        """Names of the columns to ask for: `DEFAULT_COLUMNS`, or those in `names`.

        The columns that every star needs come along always; names beyond the schema's are kept as further
        columns of the archive's table, under their own names.

        Raises:
            ReleaseError: not a name of a column.
        """
        if names is None:
            return DEFAULT_COLUMNS
        asked = list(dict.fromkeys(names))
        for name in asked:
            self.column(name)
        known = [name for name, spec in SCHEMA.items() if spec.required or name in asked]
        return (*known, *(name for name in asked if name not in SCHEMA))


DR2 = Release("dr2", "gaiadr2.gaia_source", "gaiadr2.ruwe", stars=1_331_909_727)
"""Gaia DR2. Its main table has no ruwe: it is joined from `gaiadr2.ruwe`."""

DR3 = Release("dr3", "gaiadr3.gaia_source", stars=1_467_744_818)
"""Gaia DR3; ruwe is in the main table."""

RELEASES = {release.name: release for release in (DR2, DR3)}
"""The known releases by name."""


def release_named(name: str) -> Release:
    """The release of that name, in any case, with or without "gaia".

    Raises:
        ReleaseError: an unknown release; the message lists the known ones.
    """
    short = name.strip().lower().removeprefix("gaia").strip(" _-")
    if short not in RELEASES:
        near = nearest(short, RELEASES)
        hint = f"; nearest: {near[0]}" if near else ""
        raise ReleaseError(f"unknown release {name!r}; known are {', '.join(RELEASES)}{hint}")
    return RELEASES[short]
