"""Gaia's radial-velocity sample as a question to the archive: what `dm_map` needs, and nothing else.

The refresh of `sky_patches` brings any columns and cuts into a catalogue store; this module says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from astropy.table import Table

from sky_patches import CatalogStore
from sky_patches.archive import DR2, DR3, ArchiveCuts, ArchiveQuery, Release
from via_machinae.errors import ConfigError

__all__ = ["SAMPLES", "RadialVelocitySample", "radial_velocity_stars", "sample_named"]

_MEASURED = ("ra", "dec", "parallax", "pmra", "pmdec")
_PHASE_SPACE = (
    "source_id",
    *_MEASURED,
    *(f"{name}_error" for name in _MEASURED),
    *(f"{one}_{two}_corr" for i, one in enumerate(_MEASURED) for two in _MEASURED[i + 1 :]),
    "radial_velocity",
    "radial_velocity_error",
)
_COLUMNS = (
    *_PHASE_SPACE,
    "rv_nb_transits",
    "phot_g_mean_mag",
    "phot_bp_mean_mag",
    "phot_rp_mean_mag",
    "bp_rp",
    "phot_bp_rp_excess_factor",
    "astrometric_params_solved",
    "ruwe",
    "visibility_periods_used",
)
# Not in Gaia DR2: the magnitude in the spectrometer's own band, how the velocity was measured, and what the
# parallax zero point depends on.
_SINCE_DR3 = (
    "grvs_mag",
    "grvs_mag_error",
    "rv_method_used",
    "rv_expected_sig_to_noise",
    "rv_template_teff",
    "nu_eff_used_in_astrometry",
    "pseudocolour",
    "ecl_lat",
)
_FOR_STARS = (*_PHASE_SPACE, "phot_g_mean_mag", "bp_rp", "ruwe", "grvs_mag")


@dataclass(frozen=True)
class RadialVelocitySample:
    """Stars with all six phase-space coordinates that may lie within a ball around the Sun.

    Attributes:
        radius: Of the ball, kpc; None for all distances.
        margin: Stars whose parallax is below 1/radius by up to this many standard errors come along: so many
            may
            be missing at the edge of the ball if distances are later taken from elsewhere.
        zero_point: Parallax zero point that will be subtracted later, mas; the limit moves with it.
        signal_to_noise: Least parallax over its error; None for any.
        velocity_error_below: Keep radial_velocity_error < this, km/s; None for any.

    Raises:
        ConfigError: a value that is no such limit.
    """

    radius: float | None = 4.0
    margin: float = 0.0
    zero_point: float = 0.0
    signal_to_noise: float | None = None
    velocity_error_below: float | None = None

    def __post_init__(self) -> None:
        for name in ("radius", "signal_to_noise", "velocity_error_below"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"the radial-velocity sample's {name} is positive; got {value}")
        if not (self.margin >= 0 and math.isfinite(self.margin)):
            raise ConfigError(f"the radial-velocity sample's margin is zero or more; got {self.margin}")
        if not math.isfinite(self.zero_point):
            raise ConfigError(f"the parallax zero point is a finite number of mas; got {self.zero_point}")

    def columns(self, release: Release = DR3, further: Iterable[str] = ()) -> tuple[str, ...]:
        """Columns to ask for, under the archive's names: coordinates, errors, correlations, photometry."""
        known = _COLUMNS if release.name == DR2.name else (*_COLUMNS, *_SINCE_DR3)
        return tuple(dict.fromkeys((*known, *further)))

    def cuts(self, release: Release = DR3, besides: ArchiveCuts | None = None) -> ArchiveCuts:
        """What the archive shall select on: a radial velocity, a parallax for the ball, and `besides`."""
        velocity, parallax, error = map(release.column, ("radial_velocity", "parallax", "parallax_error"))
        conditions = [f"{velocity} IS NOT NULL"]
        if self.radius is not None:
            limit = 1.0 / self.radius + self.zero_point
            reach = f" + {float(self.margin)!r} * {error}" if self.margin else ""
            conditions.append(f"{parallax}{reach} > {limit!r}")
        if self.signal_to_noise is not None:
            conditions.append(f"{parallax} > {float(self.signal_to_noise)!r} * {error}")
        if self.velocity_error_below is not None:
            conditions.append(f"{velocity}_error < {float(self.velocity_error_below)!r}")
        besides = besides or ArchiveCuts()
        return replace(besides, where=(*conditions, *besides.where))

    def query(self, release: Release = DR3, besides: ArchiveCuts | None = None) -> ArchiveQuery:
        """The whole question; with a pixel it becomes ADQL."""
        return ArchiveQuery.of(release, self.columns(release), self.cuts(release, besides))


SAMPLES = {"radial-velocity": RadialVelocitySample}
"""Named samples that a refresh can be asked for."""


def sample_named(name: str, radius: float, margin: float) -> RadialVelocitySample:
    """The sample of that name within a ball of `radius` kpc; see `RadialVelocitySample`.

    Raises:
        ConfigError: an unknown name, or a radius or margin that is none.
    """
    if name not in SAMPLES:
        raise ConfigError(f"unknown sample {name!r}; known: {', '.join(SAMPLES)}")
    return SAMPLES[name](radius=radius, margin=margin)


def radial_velocity_stars(store: CatalogStore) -> Table:
    """All stars of a store with the columns that `dm_map.input.read_stars` uses, as far as they are there.

    The other columns stay on disk: they would take three times the memory.
    """
    return store.stars([name for name in _FOR_STARS if name in store.columns])
