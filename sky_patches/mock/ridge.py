"""The colour-magnitude ridge and luminosity function of old stars in Gaia's bands.

The ridge is one continuous sequence (main sequence, turn-off, subgiant and giant branch) written as colour
against absolute magnitude, which is single-valued for populations older than about 8 Gyr. Horizontal branch,
red clump, white dwarfs and unresolved binaries are left out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

__all__ = [
    "LUMINOSITY_RANGE",
    "absolute_magnitudes",
    "distance_modulus",
    "luminosity_count",
    "ridge_colour",
    "ridge_slope",
]

# Nodes of the ridge: rows are absolute magnitudes, columns metallicities.
_FEH = np.array([-2.2, -1.5, -0.7, 0.0])
_RIDGE = np.array(
    [
        # M_G    -2.2   -1.5   -0.7    0.0
        [-3.0, 1.450, 1.750, 2.700, 3.300],
        [-2.0, 1.220, 1.400, 1.950, 2.500],
        [-1.0, 1.080, 1.200, 1.500, 1.850],
        [0.0, 0.985, 1.075, 1.270, 1.500],
        [1.0, 0.910, 0.985, 1.140, 1.300],
        [2.0, 0.835, 0.905, 1.050, 1.190],
        [2.6, 0.760, 0.850, 1.005, 1.140],
        [3.0, 0.660, 0.780, 0.960, 1.100],
        [3.4, 0.590, 0.675, 0.870, 1.020],
        [3.8, 0.575, 0.640, 0.755, 0.890],
        [4.2, 0.597, 0.652, 0.735, 0.845],
        [4.6, 0.632, 0.683, 0.760, 0.860],
        [5.0, 0.673, 0.725, 0.810, 0.905],
        [6.0, 0.790, 0.860, 0.970, 1.090],
        [7.0, 0.950, 1.040, 1.200, 1.360],
        [8.0, 1.150, 1.270, 1.480, 1.720],
        [9.0, 1.380, 1.530, 1.750, 2.030],
        [10.0, 1.620, 1.790, 2.030, 2.330],
        [11.0, 1.880, 2.080, 2.350, 2.620],
        [12.0, 2.200, 2.400, 2.650, 2.900],
        [13.0, 2.500, 2.700, 2.950, 3.200],
        [14.0, 2.800, 3.000, 3.250, 3.500],
        [15.0, 3.100, 3.300, 3.550, 3.800],
    ]
)
_COLOUR = PchipInterpolator(_RIDGE[:, 0], _RIDGE[:, 1:], axis=0)
_SLOPE = _COLOUR.derivative()

# log10 of the stars per magnitude, relative to M_G = 4: giants, the rise at the turn-off, the main sequence.
_LOG_LUMINOSITY = np.array(
    [
        [-3.0, -2.67],
        [0.0, -1.71],
        [2.0, -1.07],
        [3.0, -0.75],
        [3.4, -0.45],
        [3.8, -0.08],
        [4.2, 0.07],
        [5.0, 0.20],
        [6.0, 0.25],
        [7.0, 0.27],
        [8.0, 0.40],
        [9.0, 0.53],
        [10.0, 0.62],
        [11.0, 0.65],
        [12.0, 0.60],
        [13.0, 0.50],
        [15.0, 0.30],
    ]
)
LUMINOSITY_RANGE = (-3.0, 15.0)
"""Brightest and faintest absolute G magnitude of the luminosity function."""

# Local density of old thin-disc stars per magnitude at M_G = 5, in stars kpc^-3 mag^-1.
_LOCAL_DENSITY = 1.15e6
_MAGNITUDES = np.linspace(*LUMINOSITY_RANGE, 3601)


def _cumulative_luminosity() -> Float[np.ndarray, " n"]:
    log_phi = PchipInterpolator(*_LOG_LUMINOSITY.T)
    phi = _LOCAL_DENSITY * 10.0 ** (log_phi(_MAGNITUDES) - log_phi(5.0))
    steps = 0.5 * (phi[1:] + phi[:-1]) * np.diff(_MAGNITUDES)
    return np.concatenate([[0.0], np.cumsum(steps)])


_CUMULATIVE = _cumulative_luminosity()


def distance_modulus(distance_kpc: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Distance modulus m - M in magnitudes of distances in kpc, shape (n,)."""
    return 5.0 * np.log10(distance_kpc) + 10.0


def _blend(nodes: Float[np.ndarray, "n k"], feh: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Linear in [Fe/H] between the node columns; the end segments continue outside."""
    left = np.clip(np.searchsorted(_FEH, feh) - 1, 0, len(_FEH) - 2)
    weight = (feh - _FEH[left]) / (_FEH[left + 1] - _FEH[left])
    rows = np.arange(len(feh))
    return (1.0 - weight) * nodes[rows, left] + weight * nodes[rows, left + 1]


def ridge_colour(
    absolute_g: Float[np.ndarray, " n"], feh: Float[np.ndarray, " n"] | float
) -> Float[np.ndarray, " n"]:
    """Dereddened BP-RP of the ridge of an old population.

    A monotone cubic (continuous first derivative, no overshoot) in M_G through a table of nodes, linear in
    [Fe/H]. The nodes are approximate, not a fit and not an isochrone: they imitate the shape of the sequences
    of globular and old open clusters in Gaia (M 92, M 5, 47 Tuc, NGC 188; Gaia Collaboration, Babusiaux et
    al. 2018, A&A 616, A10) and of nearby dwarfs, and may be off by 0.05 mag, more on the upper giant branch.
    Only the -2.2 column has been compared with data: for 1 < M_G < 5 it follows the median colour of the GD-1
    members of Ibata et al. (2024, ApJ 967, 89), at distances of 8 to 11 kpc, to 0.03 mag.

    Args:
        absolute_g: absolute G magnitudes, shape (n,), from -3 to 15.
        feh: [Fe/H] in dex, shape (n,) or one number; the table spans -2.2 to 0, beyond it the colour is
            extrapolated linearly.

    Returns:
        BP-RP in magnitudes, shape (n,).
    """
    metallicity = np.broadcast_to(np.asarray(feh, dtype=np.float64), absolute_g.shape)
    return _blend(_COLOUR(absolute_g), metallicity)


def ridge_slope(
    absolute_g: Float[np.ndarray, " n"], feh: Float[np.ndarray, " n"] | float
) -> Float[np.ndarray, " n"]:
    """Derivative of `ridge_colour` with respect to M_G (dimensionless), shape (n,); continuous in M_G."""
    metallicity = np.broadcast_to(np.asarray(feh, dtype=np.float64), absolute_g.shape)
    return _blend(_SLOPE(absolute_g), metallicity)


def luminosity_count(absolute_g: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Stars per kpc^3 brighter than M_G, where the thin disc has its density at the Sun.

    An approximate shape for an old population, the same for all metallicities: giants rise as 10^(0.32 M_G),
    then the step at the turn-off and a main sequence like that of the solar neighbourhood (cf. Jahreiss &
    Wielen 1997, ESA SP-402, 675). The normalisation, 1.15e-3 stars pc^-3 mag^-1 at M_G = 5, is set by a
    count: it gives the 840 stars per square degree that Gaia DR2 has at (l, b) = (200, 45) deg with parallax
    < 1 mas and parallax error < 0.6 mas (which stands in for G < 20.2). The true local density is higher;
    young stars near the plane are in it, which a single exponential disc would carry up to a kiloparsec.

    Args:
        absolute_g: absolute G magnitudes, of any shape; outside `LUMINOSITY_RANGE` the count is constant.

    Returns:
        Cumulative number density in kpc^-3, of the same shape.
    """
    return np.interp(absolute_g, _MAGNITUDES, _CUMULATIVE)


def absolute_magnitudes(
    brightest: Float[np.ndarray, " n"], faintest: Float[np.ndarray, " n"], rng: np.random.Generator
) -> Float[np.ndarray, " n"]:
    """Draw M_G from the luminosity function between two limits, by its inverse cumulative distribution.

    Args:
        brightest: bright limits in M_G, shape (n,).
        faintest: faint limits in M_G, shape (n,); each interval must overlap `LUMINOSITY_RANGE`.
        rng: source of randomness.

    Returns:
        Absolute G magnitudes, shape (n,).
    """
    low, high = luminosity_count(brightest), luminosity_count(faintest)
    drawn = np.interp(low + (high - low) * rng.random(len(low)), _CUMULATIVE, _MAGNITUDES)
    return np.clip(drawn, brightest, faintest)  # rounding of the inverse only
