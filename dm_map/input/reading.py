"""From a table of measured stars to a star sample in a ball around the Sun, with an account of every row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.table import Table

from dm_map.errors import SampleError
from dm_map.input.columns import StarColumns
from dm_map.input.distances import ParallaxDistances
from dm_map.input.galactocentric import Observables, SolarFrame
from dm_map.input.luminosity import LuminosityCut, LuminosityReport, luminosity_cut
from dm_map.input.measured import (
    MeasuredDistances,
    MeasuredErrors,
    distance_notes,
    measured_distances,
    measured_errors,
)
from dm_map.input.report import InputReport, Sieve
from dm_map.input.table_file import read_table
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["read_stars"]

# Faster than any bound star near the Sun by far: such velocities come from wrong distances.
_IMPLAUSIBLE_SPEED = 1000.0


def read_stars(
    source: Table | Path | str,
    frame: SolarFrame | None = None,
    *,
    radius: float = 4.0,
    distances: ParallaxDistances | None = None,
    luminosity: LuminosityCut | None = None,
    columns: Mapping[str, str] | None = None,
    errors: bool = True,
    fewest: int = 1000,
) -> tuple[StarSample, InputReport]:
    """Read stars with six measured coordinates into a sample in a ball around the Sun.

    The columns are Gaia's: ra, dec (deg), distance (kpc) or parallax (mas), pmra with cos(dec) and pmdec
    (mas/yr), radial_velocity (km/s); each with its *_error, and the correlations (parallax_pmra_corr, ...),
    where there. Units are converted where a column declares one. Rows without a usable value are dropped, and
    counted.

    Args:
        source: An astropy Table or QTable, or the path of a FITS, ECSV, VOTable, CSV or Parquet file.
        frame: Where the Sun is and how it moves; astropy's defaults v4.0 where None.
        radius: Of the ball around the Sun, kpc.
        distances: How parallaxes become distances. None: the column of distances where there is one, else
            parallaxes by `ParallaxDistances()`. Given: parallaxes, whatever else is there.
        luminosity: Cut that makes the ball complete; None for no cut.
        columns: Name in the table by the name here, where the automatic recognition does not do.
        errors: Carry the covariance of each star, where the table has the errors of distance, proper motions
            and radial velocity (positions without errors count as exact).
        fewest: Least number of stars with which the result is of any use.

    Returns:
        The stars, in the order of the table, and the report.

    Raises:
        SampleError: an unreadable file, a column that is missing (the message has its near matches) or of a
            wrong unit, distances that are not positive, or fewer than `fewest` stars left.
    """
    if not (radius > 0 and math.isfinite(radius)):
        raise SampleError(f"the radius of the ball is positive, kpc; got {radius}")
    frame = frame or SolarFrame()
    table, origin = read_table(source)
    given, sieve = StarColumns(table, origin, dict(columns or {})), Sieve(len(table))
    measured = {name: given.values(name) for name in ("ra", "dec", "pmra", "pmdec", "radial_velocity")}
    for name, values in measured.items():
        sieve.drop(~np.isfinite(values), f"{name} is missing")
    sieve.drop(np.abs(measured["dec"]) > 90, "dec is outside [-90, 90] deg")
    far = measured_distances(given, distances, sieve)
    measured["distance"] = far.values
    found = measured_errors(given, far, sieve) if errors else MeasuredErrors(None, {}, ())
    sieve.drop(far.values >= radius, f"farther than {radius:g} kpc")
    light = _luminosity(given, luminosity, far.values, radius, sieve)
    _enough(sieve, fewest, origin)
    sample, beyond = _sample(frame, radius, measured, found, sieve)
    _enough(sieve, fewest, origin)
    notes = (*distance_notes(far, distances, sieve.kept), *found.notes, *_speed_notes(sample), *beyond)
    return sample, _report(given, far, frame, radius, sieve, sample, light, notes)


def _luminosity(
    given: StarColumns, recipe: LuminosityCut | None, distance: np.ndarray, radius: float, sieve: Sieve
) -> LuminosityReport | None:
    if recipe is None:
        return None
    rows = np.flatnonzero(sieve.kept)
    dimmed = None if recipe.extinction is None else given.values(recipe.extinction)[rows]
    keep, report = luminosity_cut(recipe, given.values(recipe.band)[rows], distance[rows], radius, dimmed)
    lost = np.zeros(len(distance), dtype=bool)
    lost[rows[~keep]] = True
    sieve.drop(lost, "luminosity cut")
    return report


def _sample(
    frame: SolarFrame, radius: float, measured: Mapping[str, np.ndarray], errors: MeasuredErrors, sieve: Sieve
) -> tuple[StarSample, tuple[str, ...]]:
    volume = Ball(frame.position, radius)

    def of(rows: np.ndarray) -> Observables:
        return Observables(**{name: measured[name][rows] for name in Observables._fields})

    rows = np.flatnonzero(sieve.kept)
    x, v = frame.phase_space(of(rows))
    # The rounding of a sum may carry a star at the very edge outside.
    inside = volume.contains(x)
    edge = np.zeros(len(measured["ra"]), dtype=bool)
    edge[rows[~inside]] = True
    sieve.drop(edge, f"farther than {radius:g} kpc")
    rows, x, v = rows[inside], x[inside], v[inside]
    if errors.values is None:
        return StarSample(x, v, volume), ()
    chosen = {pair: values[rows] for pair, values in errors.correlations.items()}
    covariance = frame.covariance(of(rows), errors.values[rows], chosen)
    fraction = np.median(errors.values[rows, 2] / measured["distance"][rows])
    note = (
        f"covariances are first order in the errors; the median fractional distance error is {fraction:.1%}"
    )
    return StarSample(x, v, volume, covariance=covariance), (note,)


def _enough(sieve: Sieve, fewest: int, origin: str) -> None:
    left = int(np.count_nonzero(sieve.kept))
    if left < max(fewest, 1):
        reasons = "; ".join(f"{count} {reason}" for reason, count in sieve.dropped.items()) or "none dropped"
        raise SampleError(
            f"{origin}: {left} stars are left, at least {max(fewest, 1)} are needed. Dropped: {reasons}. "
            "Use a larger table, or milder cuts"
        )


def _speed_notes(sample: StarSample) -> tuple[str, ...]:
    speed = np.linalg.norm(sample.v, axis=1)
    fast = int(np.count_nonzero(speed > _IMPLAUSIBLE_SPEED))
    if not fast:
        return ()
    return (
        f"{fast} stars are faster than {_IMPLAUSIBLE_SPEED:g} km/s (up to {np.max(speed):.0f} km/s) "
        "relative to the Galaxy: their distances are probably wrong; a higher parallax signal to noise "
        "removes such stars",
    )


def _report(
    given: StarColumns,
    far: MeasuredDistances,
    frame: SolarFrame,
    radius: float,
    sieve: Sieve,
    sample: StarSample,
    light: LuminosityReport | None,
    notes: tuple[str, ...],
) -> InputReport:
    depth = "parallax" if far.parallaxes else "distance"
    names = ["ra", "dec", depth, "pmra", "pmdec", "radial_velocity"]
    if sample.covariance is not None:
        names += [f"{name}_error" for name in names]
    return InputReport(
        origin=given.origin,
        rows=len(given.table),
        kept=len(sample),
        dropped=sieve.dropped,
        recognised={name: label for name in names if (label := given.label(name)) is not None},
        units_assumed=tuple(name for name in names if given.unit_assumed(name)),
        distances=far.described,
        covariance=sample.covariance is not None,
        frame=frame,
        radius=radius,
        index=np.flatnonzero(sieve.kept),
        luminosity=light,
        notes=notes,
    )
