"""Colour-magnitude ridges of old populations: where the stars of a stream lie at a given distance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from streams.errors import StreamsError

__all__ = [
    "FINE_METALLICITIES",
    "INTRINSIC_COLOUR_SPREAD",
    "METALLICITIES",
    "Ridge",
    "RidgeError",
    "gaia_colour_error",
    "old_ridges",
]

METALLICITIES = (-2.2, -1.5, -0.7)
"""[Fe/H] of the built-in ridges."""
FINE_METALLICITIES = (-2.2, -1.85, -1.5, -1.1, -0.7)
"""The same with those half-way: giants of -1.1 lie 0.1 mag from either neighbour, too far for a distance."""
INTRINSIC_COLOUR_SPREAD = 0.05
"""Sigma of BP-RP about a ridge beyond the errors, mag (unresolved binaries, metallicities, dust):
what the GD-1 members of Ibata et al. (2024, ApJ 967, 89) show within 20 deg of their stream."""
_STEP = 0.05
_BLUEST, _REDDEST = 0.0, 5.0


class RidgeError(StreamsError):
    """A colour-magnitude ridge, or limits, that make no sense."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """One sequence in colour and absolute magnitude, with the number of stars along it.

    Args:
        name: for example "[Fe/H] = -1.5".
        absolute: absolute G magnitudes of the nodes, strictly growing.
        bp_rp: dereddened BP-RP of the nodes, mag.
        log_luminosity: natural log of the stars per magnitude at the nodes; the scale is free.

    Raises:
        RidgeError: nodes that are not finite, not of one length, or not in order of magnitude.
    """

    name: str
    absolute: Float[np.ndarray, " k"]
    bp_rp: Float[np.ndarray, " k"]
    log_luminosity: Float[np.ndarray, " k"]

    def __post_init__(self) -> None:
        nodes = (self.absolute, self.bp_rp, self.log_luminosity)
        lengths = [len(values) for values in nodes]
        if len(set(lengths)) != 1 or lengths[0] < 2:
            raise RidgeError(f"ridge {self.name!r}: expected three columns of one length >= 2, got {lengths}")
        if not all(np.isfinite(values).all() for values in nodes):
            raise RidgeError(f"ridge {self.name!r}: its nodes must be finite numbers")
        if not (np.diff(self.absolute) > 0).all():
            raise RidgeError(
                f"ridge {self.name!r}: absolute magnitudes must grow from node to node; cut an isochrone to "
                "main sequence, turn-off, subgiants and giants, and sort it by M_G"
            )

    def colour(self, absolute: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."]:
        """BP-RP at absolute G magnitudes, linear between the nodes; NaN outside them."""
        return np.asarray(np.interp(absolute, self.absolute, self.bp_rp, left=np.nan, right=np.nan))

    def log_luminosity_density(
        self,
        magnitude: Float[np.ndarray, "..."] | float,
        modulus: Float[np.ndarray, "..."] | float,
        limits: tuple[float, float],
    ) -> Float[np.ndarray, "..."]:
        """Log of the density in G (per mag) of the stars that a survey with these limits sees.

        Args:
            magnitude: apparent G.
            modulus: distance modulus; broadcasts with `magnitude`.
            limits: brightest and faintest G; between them the density integrates to one.

        Returns:
            -inf outside the limits and outside the nodes, and where the ridge lies outside the limits.

        Raises:
            RidgeError: the limits are not in order.
        """
        if not limits[0] < limits[1]:
            raise RidgeError(f"expected a brighter and a fainter limit in G, got {limits}")
        absolute = np.asarray(magnitude) - modulus
        shape = np.interp(absolute, self.absolute, self.log_luminosity, left=-np.inf, right=-np.inf)
        bright, faint = (np.asarray(limit - np.asarray(modulus)) for limit in limits)
        visible = self._count(faint) - self._count(bright)
        inside = (magnitude >= limits[0]) & (magnitude <= limits[1]) & (visible > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(inside, shape - np.log(visible), -np.inf)

    def log_density(
        self,
        colour: Float[np.ndarray, "..."] | float,
        magnitude: Float[np.ndarray, "..."] | float,
        modulus: Float[np.ndarray, "..."] | float,
        colour_error: Float[np.ndarray, "..."] | float,
        limits: tuple[float, float],
    ) -> Float[np.ndarray, "..."]:
        """Log density in (BP-RP, G), per mag^2, of a stream at a distance modulus; arguments broadcast.

        Gaussian in colour about the ridge, of sigma `colour_error` and `INTRINSIC_COLOUR_SPREAD` together;
        in G the luminosity function (errors of G are a hundredth of a magnitude and are left out).

        Raises:
            RidgeError: the limits are not in order.
        """
        light = self.log_luminosity_density(magnitude, modulus, limits)
        variance = np.asarray(colour_error) ** 2 + INTRINSIC_COLOUR_SPREAD**2
        residual = np.nan_to_num(colour - self.colour(np.asarray(magnitude) - modulus))
        return np.asarray(light - 0.5 * (residual**2 / variance + np.log(2.0 * np.pi * variance)))

    def _count(self, absolute: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Stars brighter than M_G: the exact integral of exp(linear) from node to node."""
        light, step = np.exp(self.log_luminosity), np.diff(self.absolute)
        slope = np.diff(self.log_luminosity)
        flat = np.abs(slope) < 1e-9
        area = step * np.where(flat, light[:-1], np.diff(light) / np.where(flat, 1.0, slope))
        cumulated = np.concatenate([[0.0], np.cumsum(area)])
        at = np.clip(absolute, self.absolute[0], self.absolute[-1])
        left = np.clip(np.searchsorted(self.absolute, at, side="right") - 1, 0, len(step) - 1)
        share = (at - self.absolute[left]) / step[left]
        rise = slope[left] * share
        part = share * step[left] * light[left] * np.where(
            np.abs(rise) < 1e-9, 1.0, np.expm1(rise) / np.where(np.abs(rise) < 1e-9, 1.0, rise)
        )  # fmt: skip
        return np.asarray(cumulated[left] + part)


@lru_cache(maxsize=8)
def old_ridges(metallicities: tuple[float, ...] = METALLICITIES) -> tuple[Ridge, ...]:
    """Ridges of old populations, by default of [Fe/H] = -2.2, -1.5 and -0.7, from M_G = -3 to 15.

    They are the table of `sky_patches.mock.ridge_colour`, whose docstring names its sources (Gaia
    Collaboration, Babusiaux et al. 2018, A&A 616, A10, for the shapes), and the luminosity function of
    `sky_patches.mock.luminosity_count`, one for all three. Approximate sequences, not isochrones: colours may
    be off by 0.05 mag, more on the upper giant branch; no horizontal branch, blue stragglers or binaries.
    Other metallicities are linear between the columns of the table.
    """
    # The mock sky brings pygaia along: only who asks for a ridge needs it.
    from sky_patches.mock import luminosity_count, ridge_colour
    from sky_patches.mock.ridge import LUMINOSITY_RANGE

    absolute = np.arange(LUMINOSITY_RANGE[0], LUMINOSITY_RANGE[1] + 0.5 * _STEP, _STEP)
    edges = np.clip([absolute - _STEP / 2, absolute + _STEP / 2], *LUMINOSITY_RANGE)
    luminosity = np.log(np.diff(luminosity_count(edges), axis=0)[0] / np.diff(edges, axis=0)[0])
    return tuple(
        Ridge(f"[Fe/H] = {feh}", absolute, ridge_colour(absolute, feh), luminosity) for feh in metallicities
    )


def gaia_colour_error(
    magnitude: Float[np.ndarray, " n"], bp_rp: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Standard errors of BP-RP (mag) that Gaia DR3 has at G and BP-RP, where a table lists none.

    The model of `sky_patches.mock.GaiaErrors.colour` (pygaia's performance formulae).
    """
    from sky_patches.mock import GaiaErrors

    return GaiaErrors().colour(magnitude, np.clip(bp_rp, _BLUEST, _REDDEST))
