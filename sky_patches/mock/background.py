"""The stream-free sky: stars of all populations in a cone, as surveyed."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Bool, Float

from sky_patches.errors import MockError
from sky_patches.mock.cone import Cone, Sightline
from sky_patches.mock.gaia_errors import GaiaErrors, observe
from sky_patches.mock.kinematics import draw_velocities, heliocentric
from sky_patches.mock.populations import POPULATIONS, Population
from sky_patches.mock.ridge import distance_modulus, ridge_colour

__all__ = ["Survey", "draw_background", "expected_background"]

_PHOTOMETRIC_MARGIN = 0.1  # magnitudes; many times Gaia's error in G, so the observed cut is exact
_INTRINSIC_COLOUR_SPREAD = 0.02
_LARGEST_BATCH = 200_000
_GIVE_UP_AFTER = 2_000_000


@dataclass(frozen=True, slots=True)
class Survey:
    """Which observed stars enter the catalogue.

    Attributes:
        cone: where on the sky (observed positions).
        g_min: brightest observed G.
        g_max: faintest observed G.
        parallax_max: upper limit of the observed parallax in mas; None for no cut.
        errors: Gaia's error model.
    """

    cone: Cone
    g_min: float
    g_max: float
    parallax_max: float | None
    errors: GaiaErrors

    def selects(self, observed: Table) -> Bool[np.ndarray, " n"]:
        """Which rows of a table of observed stars pass all cuts."""
        g = np.asarray(observed["phot_g_mean_mag"])
        inside = self.cone.contains(np.asarray(observed["ra"]), np.asarray(observed["dec"]))
        kept = inside & (g > self.g_min) & (g < self.g_max)
        if self.parallax_max is not None:
            kept &= np.asarray(observed["parallax"]) < self.parallax_max
        return kept

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of the positions (degrees, shape (n,)) lie within the survey."""
        return self.cone.contains(ra, dec)

    def measure(self, stars: Table, rng: np.random.Generator) -> tuple[Table, Bool[np.ndarray, " n"]]:
        """What is observed of true stars, and which of them enter the catalogue."""
        observed = observe(stars, self.errors, rng)
        return observed, self.selects(observed)

    @property
    def nearest_kpc(self) -> float:
        """Distance within which no star passes the parallax cut (ten errors of the faintest star)."""
        if self.parallax_max is None:
            return 0.01
        worst = float(self.errors.astrometric(np.array([self.g_max]))["parallax"][0])
        return 1.0 / (max(self.parallax_max, 0.0) + 10.0 * worst)

    @property
    def true_limits(self) -> tuple[float, float]:
        """Limits of the true G that contain every star whose observed G passes."""
        return self.g_min - _PHOTOMETRIC_MARGIN, self.g_max + _PHOTOMETRIC_MARGIN


def _sightlines(survey: Survey) -> list[Sightline]:
    bright, faint = survey.true_limits
    return [Sightline(p, survey.cone, bright, faint, survey.nearest_kpc) for p in POPULATIONS]


def _true_stars(sightline: Sightline, n: int, rng: np.random.Generator) -> Table:
    """Draw the true stars of one population: phase space, magnitude, colour and metallicity."""
    population: Population = sightline.population
    xyz, distance, absolute = sightline.draw(n, rng)
    stars = heliocentric(xyz, draw_velocities(population, xyz, rng))
    feh = rng.normal(population.feh_mean, population.feh_spread, size=n)
    colour = ridge_colour(absolute, feh) + _INTRINSIC_COLOUR_SPREAD * rng.normal(size=n)
    stars["phot_g_mean_mag"] = (absolute + distance_modulus(distance)) * u.mag
    stars["bp_rp"] = colour * u.mag
    stars["feh"] = feh
    stars["population"] = np.full(n, population.name, dtype="U12")
    return stars


def expected_background(survey: Survey) -> dict[str, float]:
    """Stars of each population in the Galaxy, in the cone and magnitude limits, before the parallax cut.

    The counts include the 0.1 mag margin of `Survey.true_limits` and leave out stars nearer than
    `Survey.nearest_kpc`; they are as good as the local normalisation of the luminosity function (about 20 %).
    """
    return {line.population.name: line.expected() for line in _sightlines(survey)}


def draw_background(survey: Survey, n: int, rng: np.random.Generator) -> tuple[Table, Table, float]:
    """Draw exactly `n` background stars that pass the survey's cuts.

    Populations are mixed in proportion to their expected numbers; stars are drawn, observed and cut in
    batches until `n` are left, so every cut acts on observed values as in a real catalogue.

    Args:
        survey: cone, limits and errors.
        n: number of stars.
        rng: source of randomness.

    Returns:
        True stars; observed stars, in the same order; the number that the Galaxy really has in this survey.

    Raises:
        MockError: almost no star passes the cuts.
    """
    lines = _sightlines(survey)
    expected = np.array([line.expected() for line in lines])
    truth, observed, found, tried = [], [], 0, 0
    while found < n or not tried:
        passing = max(found, 1) / max(tried, 2)
        size = min(_LARGEST_BATCH, int(1.05 * (n - found) / passing) + 200)
        shares = rng.multinomial(size, expected / expected.sum())
        stars = vstack([_true_stars(line, int(k), rng) for line, k in zip(lines, shares, strict=True)])
        stars = stars[rng.permutation(size)]
        seen, kept = survey.measure(stars, rng)
        truth.append(stars[kept])
        observed.append(seen[kept])
        found, tried = found + int(kept.sum()), tried + size
        if tried > _GIVE_UP_AFTER and found < 1e-3 * tried:
            raise MockError(
                f"only {found} of {tried} background stars pass {survey}: "
                "loosen parallax_max or the magnitude limits"
            )
    real = float(expected.sum() * found / tried)
    return vstack(truth)[:n], vstack(observed)[:n], real
