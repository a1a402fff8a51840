"""What a survey measures of a star in one patch, told by the patch's own stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from sky_patches import SCHEMA
from streams.injection.errors import InjectionError
from streams.stars import MOTION_PER_PARALLAX_ERROR

__all__ = ["SurveyStars"]

_OWN = {
    "source_id", "ra", "dec", "pmra", "pmdec", "parallax", "phot_g_mean_mag", "phot_bp_mean_mag",
    "phot_rp_mean_mag", "bp_rp", "radial_velocity", "radial_velocity_error",
}  # fmt: skip
_NEIGHBOURS = 20
_MARGIN = 0.1
"""Mag: many times the error in G, so that the cut on the observed G is exact."""


@dataclass(frozen=True, eq=False)
class SurveyStars:
    """A patch's stars as donors of errors and quality columns.

    An injected star takes its standard errors, ruwe, and everything else that is not its own from one of the
    stars of its magnitude that the survey really has there: so depth, release and scanning law are those of
    the patch. Where a table has no proper-motion errors they follow from the parallax error, and without
    that from the magnitude (pygaia's model of the release).

    Args:
        donors: real stars of the patch, the cuts passed, with the columns of the survey's table.
        limits: brightest and faintest observed G, mag.
        release: whose error model stands in: "dr3", "dr4" or "dr5".

    Raises:
        InjectionError: no donors, or limits that are no interval.
    """

    donors: Table
    limits: tuple[float, float]
    release: str = "dr3"

    def __post_init__(self) -> None:
        if not len(self.donors):
            raise InjectionError("a survey is told by its stars: got an empty table")
        if not self.limits[0] < self.limits[1]:
            raise InjectionError(f"limits must be (bright, faint) in mag, got {self.limits}")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the schema that the survey has."""
        return tuple(name for name in self.donors.colnames if name in SCHEMA)

    @property
    def has_magnitudes(self) -> bool:
        """True if the survey lists G."""
        return "phot_g_mean_mag" in self.columns

    @property
    def true_limits(self) -> tuple[float, float]:
        """Limits of the true G that hold every star whose observed G passes."""
        return self.limits[0] - _MARGIN, self.limits[1] + _MARGIN

    def observe(self, true: Table, rng: np.random.Generator) -> Table:
        """What the survey lists of true stars.

        Args:
            true: ra, dec (deg), pmra, pmdec (mas/yr), distance (kpc), phot_g_mean_mag, bp_rp (mag), without
                errors.
            rng: of donors and errors.

        Returns:
            A table with the survey's columns but source_id, row for row as `true`.
        """
        donors = self._donors(_values(true, "phot_g_mean_mag"), rng)
        parallax = 1.0 / _values(true, "distance")
        own = {name: _values(true, name) for name in ("ra", "dec", "pmra", "pmdec", "bp_rp")}
        own |= {"phot_g_mean_mag": _values(true, "phot_g_mean_mag"), "parallax": parallax}
        error_ra, error_dec = self.motion_errors(donors, own["phot_g_mean_mag"])
        one, two = rng.normal(size=(2, len(true)))
        correlation = np.clip(self._donated("pmra_pmdec_corr", donors, 0.0), -1.0, 1.0)
        own["pmra"] = own["pmra"] + error_ra * one
        own["pmdec"] = own["pmdec"] + error_dec * (correlation * one + np.sqrt(1 - correlation**2) * two)
        own["parallax"] = parallax + self._parallax_error(donors, own) * rng.normal(size=len(true))
        self._add_photometric_noise(own, rng)
        return self._listed(own, donors)

    def dress(self, stars: Table, rng: np.random.Generator) -> Table:
        """Real stars (whose values carry noise of their own) with the survey's columns; no noise is added."""
        own = {
            name: _values(stars, name)
            for name in ("ra", "dec", "pmra", "pmdec", "parallax", "bp_rp", "phot_g_mean_mag")
        }
        return self._listed(own, self._donors(own["phot_g_mean_mag"], rng))

    def motion_errors(
        self, donors: Int[np.ndarray, " n"], g: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Standard errors of pmra and pmdec, mas/yr, of stars of magnitude `g` with these donors.

        Raises:
            InjectionError: the survey has neither errors nor magnitudes.
        """
        if {"pmra_error", "pmdec_error"} <= set(self.columns):
            return self._donated("pmra_error", donors, 0.0), self._donated("pmdec_error", donors, 0.0)
        if "parallax_error" in self.columns:
            error = MOTION_PER_PARALLAX_ERROR * self._donated("parallax_error", donors, 0.0)
            return error, error
        model = self._model(g)
        return model["pmra"], model["pmdec"]

    def _parallax_error(self, donors: np.ndarray, own: dict[str, np.ndarray]) -> np.ndarray:
        if "parallax_error" in self.columns:
            return self._donated("parallax_error", donors, 0.0)
        return (
            self._model(own["phot_g_mean_mag"])["parallax"] if self.has_magnitudes else np.zeros(len(donors))
        )

    def _model(self, g: np.ndarray) -> dict[str, np.ndarray]:
        if not self.has_magnitudes:
            raise InjectionError(
                f"this survey tells no errors: its columns are {list(self.columns)}; it needs pmra_error and "
                "pmdec_error, parallax_error, or phot_g_mean_mag"
            )
        from sky_patches.mock import GaiaErrors

        return GaiaErrors(self.release).astrometric(g)

    def _add_photometric_noise(self, own: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        if not self.has_magnitudes:
            return
        from sky_patches.mock import GaiaErrors

        errors, g, colour = GaiaErrors(self.release), own["phot_g_mean_mag"], own["bp_rp"]
        own["phot_g_mean_mag"] = g + errors.photometric("g", g) * rng.normal(size=len(g))
        own["bp_rp"] = colour + errors.colour(g, colour) * rng.normal(size=len(g))

    def _donors(self, g: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For each star the row of a donor of about its magnitude; any donor without magnitudes."""
        if not self.has_magnitudes or not np.isfinite(g).all():
            return rng.integers(len(self.donors), size=len(g))
        magnitudes = _values(self.donors, "phot_g_mean_mag")
        order = np.argsort(magnitudes)
        nearest = np.searchsorted(magnitudes[order], g) + rng.integers(-_NEIGHBOURS, _NEIGHBOURS, size=len(g))
        return order[np.clip(nearest, 0, len(order) - 1)]

    def _donated(self, name: str, donors: np.ndarray, absent: float) -> np.ndarray:
        """A donor's value; where the survey lacks it, `absent`."""
        if name not in self.columns:
            return np.full(len(donors), absent)
        return np.nan_to_num(_values(self.donors, name)[donors], nan=absent)

    def _listed(self, own: dict[str, np.ndarray], donors: np.ndarray) -> Table:
        """The survey's columns: own values, magnitudes in BP and RP that fit them, the rest donated."""
        g, colour = own["phot_g_mean_mag"], own["bp_rp"]
        # G - RP against BP - RP of Gaia's stars, as in `sky_patches.mock.GaiaErrors.colour`.
        red = g - (0.037 + 0.604 * colour - 0.062 * colour**2)
        own = {**own, "phot_rp_mean_mag": red, "phot_bp_mean_mag": red + colour}
        table = Table()
        for name in self.columns:
            if name == "source_id":
                continue
            if name in _OWN:
                values = own.get(name, np.full(len(donors), np.nan))
            else:
                values = _values(self.donors, name)[donors]
            table[name] = values
            table[name].unit = SCHEMA[name].unit
        return table


def _values(table: Table, name: str) -> np.ndarray:
    """A column as float64; NaN where the table has none."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return np.asarray(table[name], dtype=float)
