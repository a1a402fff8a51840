"""A cut on luminosity that makes a magnitude-limited sample complete within a ball around the Sun."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dm_map.errors import SampleError

__all__ = ["LuminosityCut", "LuminosityReport", "luminosity_cut"]


@dataclass(frozen=True)
class LuminosityReport:
    """What a luminosity cut did.

    Attributes:
        band: Column of the magnitudes.
        faintest: Faintest absolute magnitude that is visible at the edge of the volume.
        brightest: Brightest absolute magnitude that is visible at the inner edge; None without a limit.
        before, kept: Numbers of stars.
        too_faint, too_bright: Stars dropped by the absolute magnitude.
        outside_limits: Stars dropped because their apparent magnitude itself is beyond the limits, so that
            they are not of the sample that the limits describe (or more extinguished than was allowed for).
        no_magnitude: Stars dropped for want of a magnitude or an extinction.
        inside_nearest: Stars kept within the inner edge, where the bright limit makes the sample incomplete.
    """

    band: str
    faintest: float
    brightest: float | None
    before: int
    kept: int
    too_faint: int
    too_bright: int
    outside_limits: int
    no_magnitude: int
    inside_nearest: int

    @property
    def loss(self) -> float:
        """Share of the stars that the cut removed."""
        return 1.0 - self.kept / self.before if self.before else 0.0

    def __str__(self) -> str:
        bright = "" if self.brightest is None else f"{self.brightest:.2f} <= "
        return (
            f"luminosity cut {bright}M({self.band}) <= {self.faintest:.2f}: {self.kept:,} of "
            f"{self.before:,} stars kept, {self.loss:.1%} lost ({self.too_faint:,} too faint, "
            f"{self.too_bright:,} too bright, {self.outside_limits:,} beyond the sample's limits, "
            f"{self.no_magnitude:,} without a magnitude)"
        )


@dataclass(frozen=True)
class LuminosityCut:
    """Keep the stars that a magnitude-limited sample would contain wherever in the ball they were.

    With distance modulus mu(d) = 5 log10(d / 10 pc), a star of absolute magnitude M is kept if

        M + mu(R) + A <= faint      and      M + mu(r) >= bright,

    for the ball's radius R, the inner edge r and the extinction allowance A (as for the Gaia sample of Lim et
    al., arXiv:2305.13358). Within r the ball cannot be complete if there is a bright limit.

    M = m - mu(d) - A_i with the star's own extinction A_i where a column gives it. Without one A_i = 0: M
    comes out too faint behind dust, so that the cut loses stars along dusty lines of sight: a selection that
    remains. Errors of the distance scatter stars across the limit.

    Attributes:
        faint: Faint limit of the sample, mag. Radial velocities of Gaia DR3 reach about G_RVS = 14
            (Katz et al. 2023, arXiv:2206.05902) and thin out before it; a limit at which the sample is still
            complete serves better.
        bright: Bright limit, mag; None for none.
        nearest: Inner edge r of the complete volume, kpc; matters with a bright limit only.
        allowance: Largest extinction A in this band within the ball, mag.
        band: Column of the apparent magnitudes; the one in which the sample is limited.
        extinction: Column of the extinctions in this band, mag; None for none.

    Raises:
        SampleError: limits that are no range, a negative allowance, or an inner edge that is not positive.
    """

    faint: float
    bright: float | None = None
    nearest: float = 0.1
    allowance: float = 0.0
    band: str = "phot_g_mean_mag"
    extinction: str | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.faint) or not (self.bright is None or -math.inf < self.bright < self.faint):
            raise SampleError(f"magnitude limits are bright < faint; got {self.bright} and {self.faint}")
        if not (self.nearest > 0 and math.isfinite(self.nearest)):
            raise SampleError(f"the inner edge is positive, kpc; got {self.nearest}")
        if not (self.allowance >= 0 and math.isfinite(self.allowance)):
            raise SampleError(f"the extinction allowance is zero or more mag; got {self.allowance}")

    def absolute_limits(self, radius: float) -> tuple[float, float]:
        """Brightest and faintest absolute magnitude that are complete in a ball of this radius (kpc).

        Raises:
            SampleError: none are, or the inner edge is not inside the ball.
        """
        if not self.nearest < radius:
            raise SampleError(
                f"the inner edge, {self.nearest:g} kpc, is inside the ball of radius {radius:g} kpc"
            )
        faintest = self.faint - self.allowance - _modulus(radius)
        brightest = -math.inf if self.bright is None else self.bright - _modulus(self.nearest)
        if not brightest < faintest:
            raise SampleError(
                f"no luminosity is complete from {self.nearest:g} to {radius:g} kpc between the limits "
                f"{self.bright} and {self.faint} mag with {self.allowance:g} mag of extinction: it would "
                f"take {brightest:.2f} <= M <= {faintest:.2f}; use a smaller ball, or a larger inner edge"
            )
        return brightest, faintest


def luminosity_cut(
    recipe: LuminosityCut,
    magnitude: Float[np.ndarray, " n"],
    distance: Float[np.ndarray, " n"],
    radius: float,
    extinction: Float[np.ndarray, " n"] | None = None,
) -> tuple[Bool[np.ndarray, " n"], LuminosityReport]:
    """Which stars to keep so that a ball around the Sun is complete, and what that costs.

    Args:
        recipe: The limits.
        magnitude: Apparent magnitudes in the recipe's band; NaN where missing.
        distance: kpc.
        radius: Of the ball, kpc.
        extinction: Of each star in this band, mag.

    Raises:
        SampleError: the limits leave nothing (see `absolute_limits`), or a distance is not positive.
    """
    if not np.all(distance > 0):
        raise SampleError(f"distances are positive; star {int(np.argmin(distance > 0))} has none")
    brightest, faintest = recipe.absolute_limits(radius)
    dimmed = np.zeros_like(magnitude) if extinction is None else extinction
    absolute = magnitude - _modulus(distance) - dimmed
    missing = ~np.isfinite(absolute)
    outside = magnitude > recipe.faint
    if recipe.bright is not None:
        outside |= magnitude < recipe.bright
    outside &= ~missing
    inside = ~(missing | outside)
    faint, bright = inside & (absolute > faintest), inside & (absolute < brightest)
    keep = inside & ~(faint | bright)
    near = 0 if recipe.bright is None else int(np.count_nonzero(keep & (distance < recipe.nearest)))
    counts = [int(np.count_nonzero(part)) for part in (keep, faint, bright, outside, missing)]
    limit = None if recipe.bright is None else brightest
    return keep, LuminosityReport(recipe.band, faintest, limit, len(magnitude), *counts, near)


def _modulus(distance: float | Float[np.ndarray, " n"]) -> float | Float[np.ndarray, " n"]:
    """Distance modulus at kpc."""
    return 5.0 * np.log10(distance) + 10.0
