"""Published densities of dark matter at the Sun, to stand beside a new one.

Each value is as in the abstract of the reference, in the unit in which it is stated there; the other unit
follows with 1 Msun/pc^3 = 37.96 GeV/cm^3. A range has no value, only its ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from dm_map.gravity import GEV_PER_CM3

__all__ = ["PublishedDensity", "published_densities", "published_table"]


class PublishedDensity(NamedTuple):
    """A published density of dark matter at the Sun.

    Attributes:
        authors: Short form.
        year: Year of the article.
        arxiv: Identifier.
        method: In a few words.
        value: Msun/pc^3; NaN for a range.
        low: Lower end of one standard error, or of the range, Msun/pc^3.
        high: Upper end.
        stated: As printed.
    """

    authors: str
    year: int
    arxiv: str
    method: str
    value: float
    low: float
    high: float
    stated: str


def _mass(authors: str, year: int, arxiv: str, method: str, value: float, error: float) -> PublishedDensity:
    stated = f"{value:g} +- {error:g} Msun/pc3"
    return PublishedDensity(authors, year, arxiv, method, value, value - error, value + error, stated)


def _energy(authors: str, year: int, arxiv: str, method: str, value: float, error: float) -> PublishedDensity:
    low, middle, high = ((value + step) / GEV_PER_CM3 for step in (-error, 0.0, error))
    return PublishedDensity(
        authors, year, arxiv, method, middle, low, high, f"{value:g} +- {error:g} GeV/cm3"
    )


def _range(authors: str, year: int, arxiv: str, method: str, low: float, high: float) -> PublishedDensity:
    ends = (low / GEV_PER_CM3, high / GEV_PER_CM3)
    return PublishedDensity(authors, year, arxiv, method, float("nan"), *ends, f"{low:g} to {high:g} GeV/cm3")


_REVIEW = ("de Salas & Widmark", 2021, "2012.11477")

_PUBLISHED = (
    _mass("Bovy & Tremaine", 2012, "1205.4033", "412 stars at 1 to 4 kpc, Jeans", 0.008, 0.003),
    _mass("McKee et al.", 2015, "1509.05334", "baryon census and surface density at 1.1 kpc", 0.013, 0.003),
    _energy("McMillan", 2017, "1608.00971", "mass model of the Galaxy", 0.40, 0.04),
    _mass("Buch et al.", 2019, "1808.05603", "A stars, vertical Poisson-Jeans, Gaia DR2", 0.023, 0.012),
    _range(*_REVIEW, "review: most local analyses", 0.4, 0.6),
    _range(*_REVIEW, "review: most global studies", 0.3, 0.5),
    _energy("Lim et al.", 2023, "2305.13358", "normalising flows, Boltzmann, Gaia DR3", 0.47, 0.05),
    _mass(
        "Bienaymé et al.",
        2024,
        "2406.08158",
        "vertical force up to 3.5 kpc, red giants, Gaia DR3",
        0.0128,
        0.0008,
    ),
    _mass("Söding et al.", 2025, "2506.02956", "vertical Jeans, K dwarfs, Gaia DR3", 0.0117, 0.0035),
    _mass("Kalda & Green", 2025, "2507.03742", "Deep Potential within 1 kpc, Gaia DR3", 0.007, 0.011),
)


def published_densities() -> tuple[PublishedDensity, ...]:
    """All values and ranges, by year."""
    return _PUBLISHED


def published_table() -> Table:
    """One row for each value or range: rho, low and high in Msun/pc^3 and in GeV/cm^3, with the reference."""
    table = Table(
        {name: [getattr(row, name) for row in _PUBLISHED] for name in ("authors", "year", "arxiv", "method")}
    )
    for name, field in (("rho", "value"), ("rho_low", "low"), ("rho_high", "high")):
        values = np.array([getattr(row, field) for row in _PUBLISHED])
        table[name] = values
        table[name].unit = "Msun/pc3"
        table[f"{name}_gev"] = values * GEV_PER_CM3
        table[f"{name}_gev"].unit = "GeV/cm3"
    table["stated"] = [row.stated for row in _PUBLISHED]
    return table
