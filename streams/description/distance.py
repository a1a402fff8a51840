"""Distance of a stream from the place of its members in colour and magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from streams.kernel import KernelDensity
from streams.members import MemberStars
from streams.ridges import FINE_METALLICITIES, INTRINSIC_COLOUR_SPREAD, Ridge, gaia_colour_error, old_ridges

__all__ = ["MODULI", "DistanceEstimate", "distance_by_ridge"]

MODULI = np.round(np.arange(13.0, 20.0001, 0.1), 10)
"""Distance moduli that are tried: 4 to 100 kpc."""
COLOUR_SHIFT = 0.03
"""Sigma of the common error of a ridge's colour, mag: the built-in ridges are approximate, dust reddens."""
LEAST_PROBABILITY = 0.1
"""Stars below it say next to nothing about the distance, and are many."""
LEAST_STARS = 5.0
LEAST_GAIN = 5.0
"""Log-likelihood by which a stream with a ridge must beat one without, or the distance is open."""
LEAST_SHARE = 0.6
"""Share of the members that must lie on the best ridge, or the distance is open."""
RIDGE_ERROR = 0.1
"""Sigma of the modulus, mag, that stays however many stars there are: ridges are approximate, and
metallicities lie between them."""
LEAST_PAIRING = 3.0
"""Sigma by which the ridge must fit the members better than it does with their colours shuffled."""
LARGEST_GAP = 0.3
"""Moduli that fit, further apart than this with none between that does, are several solutions."""
WIDEST = 1.5
"""Width of the 95 % range in modulus above which a distance is open: a factor of two."""
_OFF_RIDGE = 0.1
"""Where the fit of the share off the ridge starts: horizontal branch, blue stragglers, binaries."""
_ROUNDS = 8
_SHUFFLES, _COARSE, _SHUFFLED = 16, 3, 0.5
_DROP_68, _DROP_95 = 0.5, 1.92
_LEAST_BACKGROUND = 20.0


@dataclass(frozen=True)
class DistanceEstimate:
    """Distance modulus by isochrone ridge.

    Args:
        modulus: of the highest likelihood, mag; NaN where there is no photometry to say.
        low, high: 68 % range of the modulus.
        distance_kpc: of `modulus`.
        range_kpc: 95 % range of the distance; everything that was tried where nothing is known.
        ridge: name of the best ridge; empty where there is none.
        open: the data leave the distance open: too few stars, no ridge in them, several solutions, a range
            that reaches the end of what was tried or is wider than a factor of two.
        reason: why it is open; empty where it is not.
        stars: members with photometry, the sum of their probabilities.
        on_ridge: share of them on the best ridge.
        pairing: sigma by which the best ridge gains more than with the members' colours shuffled.
        moduli, log_likelihood: the profile over ridges and colour shifts, relative to its highest value.
    """

    modulus: float
    low: float
    high: float
    distance_kpc: float
    range_kpc: tuple[float, float]
    ridge: str
    open: bool
    reason: str
    stars: float
    on_ridge: float
    pairing: float
    moduli: tuple[float, ...]
    log_likelihood: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal estimate."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DistanceEstimate:
        """The estimate that `to_dict` described."""
        return cls(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        )


def distance_by_ridge(
    members: MemberStars,
    ridges: Sequence[Ridge] | None = None,
    background: MemberStars | None = None,
    *,
    colour_error: Float[np.ndarray, " n"] | None = None,
    limits: tuple[float, float] | None = None,
    moduli: Float[np.ndarray, " m"] = MODULI,
    seed: int = 0,
) -> DistanceEstimate:
    """Profile likelihood of the distance modulus, over ridges and a common colour shift.

    A star of membership probability p has in (BP-RP, G) the density

        p a ridge(colour - shift, G; modulus) + (1 - p a) background(colour, G),

    with the background measured by kernels (`KernelDensity`, no star counts for itself) on the stars that
    are not members, weighted by 1 - p, and on `background`. The share a of members that lie on the ridge
    (horizontal branch, blue stragglers and binaries do not) and the shift are fitted at each modulus, the
    shift with a Gaussian prior of sigma COLOUR_SHIFT. Ranges are where the profile is at most 0.5 (68 %) and
    1.92 (95 %) below its top (Wilks 1938), from the first to the last such modulus, so they enclose a second
    solution.

    Args:
        members: with probabilities; those without photometry are left out, and not counted in `stars`.
        ridges: default `old_ridges(FINE_METALLICITIES)`.
        background: stars of the field; their probability of membership is taken from the list.
        colour_error: standard error of each member's BP-RP, mag; default `gaia_colour_error`.
        limits: brightest and faintest G of the survey's cuts; default those of all the given stars.
        moduli: tried, growing evenly.
        seed: of the shuffled colours, the control that tells a ridge from a clump in colour and magnitude.
    """
    moduli = np.asarray(moduli, dtype=float)
    measured = _measured(members) & (members.probability >= LEAST_PROBABILITY)
    order = np.flatnonzero(measured)[np.argsort(members.source_id[measured], kind="stable")]
    stars = members.take(order)
    if stars.stars < LEAST_STARS:
        return _unknown(moduli, stars.stars)
    everything = members if background is None else MemberStars.concatenate([members, background])
    everything = everything.take(_measured(everything))
    if limits is None:
        limits = (float(everything.phot_g_mean_mag.min()), float(everything.phot_g_mean_mag.max()) + 1e-6)
    if colour_error is None:
        error = gaia_colour_error(stars.phot_g_mean_mag, stars.bp_rp)
    else:
        error = colour_error[order]
    field = _log_background(stars, everything)
    problem = _Photometry(stars, error, field, limits, moduli)
    return problem.estimate(old_ridges(FINE_METALLICITIES) if ridges is None else tuple(ridges), seed)


def _measured(stars: MemberStars) -> Bool[np.ndarray, " n"]:
    return np.isfinite(stars.bp_rp) & np.isfinite(stars.phot_g_mean_mag)


def _log_background(stars: MemberStars, everything: MemberStars) -> Float[np.ndarray, " n"]:
    """Log density of the field in (BP-RP, G) at the members; uniform where hardly any field star is given."""
    points = np.column_stack([everything.bp_rp, everything.phot_g_mean_mag])
    weight = 1.0 - everything.probability
    uniform = -np.log(np.maximum(np.ptp(points, axis=0), 0.1)).sum()
    if weight.sum() < _LEAST_BACKGROUND:
        return np.full(len(stars), uniform)
    by = np.argsort(everything.source_id)
    rows = by[np.searchsorted(everything.source_id, stars.source_id, sorter=by)]
    smooth = KernelDensity.of(points).log_density(weight)[rows]
    # A tenth of a uniform field: kernels reach too short where single stars are.
    return np.logaddexp(np.log(0.9) + smooth, np.log(0.1) + uniform)


def _unknown(moduli: Float[np.ndarray, " m"], stars: float) -> DistanceEstimate:
    nan, tried = float("nan"), (_kpc(moduli[0]), _kpc(moduli[-1]))
    reason = f"{stars:.1f} members with colour and magnitude; {LEAST_STARS:.0f} are needed"
    return DistanceEstimate(nan, nan, nan, nan, tried, "", True, reason, float(stars), nan, nan, (), ())


@dataclass(frozen=True, eq=False)
class _Photometry:
    """The members' photometry and what it is compared with."""

    stars: MemberStars
    error: Float[np.ndarray, " n"]
    field: Float[np.ndarray, " n"]
    limits: tuple[float, float]
    moduli: Float[np.ndarray, " m"]

    def estimate(self, ridges: tuple[Ridge, ...], seed: int) -> DistanceEstimate:
        """The profile over all ridges, and what it says."""
        profiles, shares = (np.stack(part) for part in zip(*map(self._profile, ridges), strict=True))
        profile = profiles.max(axis=0)
        at = int(profile.argmax())
        ridge = int(profiles[:, at].argmax())
        gain, share = float(profile[at]), float(shares[ridge, at])
        pairing = self._pairing(ridges[ridge], gain, seed)
        relative = profile - gain
        modulus = _peak(self.moduli, relative, at)
        low, high = _widened(modulus, _range(self.moduli, relative, _DROP_68), RIDGE_ERROR)
        widest = _widened(modulus, _range(self.moduli, relative, _DROP_95), 1.96 * RIDGE_ERROR)
        reason = _why_open(self.moduli, relative, widest, (gain, share, pairing))
        return DistanceEstimate(
            modulus, low, high, _kpc(modulus), (_kpc(widest[0]), _kpc(widest[1])),
            ridges[ridge].name, bool(reason), reason, self.stars.stars, share, pairing,
            tuple(self.moduli.tolist()), tuple(relative.tolist()),
        )  # fmt: skip

    def _profile(self, ridge: Ridge) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Log-likelihood over that of a stream without a ridge, and the share on the ridge, at each modulus.

        Colour shift and share are fitted at each modulus by expectation-maximisation.
        """
        magnitude = self.stars.phot_g_mean_mag[:, None]
        residual = self.stars.bp_rp[:, None] - np.nan_to_num(ridge.colour(magnitude - self.moduli))
        inverse = 1.0 / (self.error**2 + INTRINSIC_COLOUR_SPREAD**2)[:, None]
        light = ridge.log_luminosity_density(magnitude, self.moduli, self.limits) - self.field[:, None]
        p = self.stars.probability[:, None]
        scale = p * np.exp(light) * np.sqrt(inverse / (2.0 * np.pi))
        shift, share = np.zeros(len(self.moduli)), np.full(len(self.moduli), 1.0 - _OFF_RIDGE)
        for _ in range(_ROUNDS):
            ridge_part = share * scale * np.exp(-0.5 * inverse * (residual - shift) ** 2)
            on = ridge_part / (ridge_part + 1.0 - share * p)
            share = np.minimum(on.sum(axis=0) / p.sum(), 1.0 - 1e-6)
            information = on * inverse
            shift = (information * residual).sum(axis=0) / (information.sum(axis=0) + COLOUR_SHIFT**-2)
        ridge_part = share * scale * np.exp(-0.5 * inverse * (residual - shift) ** 2)
        total = np.log(ridge_part + 1.0 - share * p).sum(axis=0)
        return total - 0.5 * (shift / COLOUR_SHIFT) ** 2, share

    def _pairing(self, ridge: Ridge, gain: float, seed: int) -> float:
        """Gain beyond that of shuffled colours, each at its own best modulus, in sigmas of theirs."""
        rng = np.random.default_rng(seed)
        members = np.flatnonzero(self.stars.probability >= _SHUFFLED)
        gains = []
        for _ in range(_SHUFFLES):
            colours = self.stars.bp_rp.copy()
            colours[members] = colours[rng.permutation(members)]
            shuffled = replace(self, stars=replace(self.stars, bp_rp=colours), moduli=self.moduli[::_COARSE])
            gains.append(float(shuffled._profile(ridge)[0].max()))
        return (gain - float(np.mean(gains))) / max(float(np.std(gains, ddof=1)), 1.0)


def _kpc(modulus: float) -> float:
    return float(10.0 ** (0.2 * modulus - 2.0))


def _peak(moduli: Float[np.ndarray, " m"], profile: Float[np.ndarray, " m"], at: int) -> float:
    """Top of the parabola through the highest point and its neighbours."""
    if not 0 < at < len(moduli) - 1:
        return float(moduli[at])
    left, middle, right = profile[at - 1 : at + 2]
    bend = left - 2.0 * middle + right
    step = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(moduli[at] + step * (moduli[1] - moduli[0]))


def _range(
    moduli: Float[np.ndarray, " m"], profile: Float[np.ndarray, " m"], drop: float
) -> tuple[float, float]:
    """First and last modulus where the profile, linear between its points, is within `drop` of its top."""
    inside = np.flatnonzero(profile >= -drop)
    first, last = int(inside[0]), int(inside[-1])
    low, high = moduli[first], moduli[last]
    if first > 0:
        low = np.interp(-drop, profile[first - 1 : first + 1], moduli[first - 1 : first + 1])
    if last < len(moduli) - 1:
        high = np.interp(-drop, profile[last : last + 2][::-1], moduli[last : last + 2][::-1])
    return float(low), float(high)


def _widened(modulus: float, ends: tuple[float, float], error: float) -> tuple[float, float]:
    """A range with an independent error added on either side, in quadrature."""
    return (
        float(modulus - np.hypot(modulus - ends[0], error)),
        float(modulus + np.hypot(ends[1] - modulus, error)),
    )


def _why_open(
    moduli: Float[np.ndarray, " m"],
    profile: Float[np.ndarray, " m"],
    widest: tuple[float, float],
    facts: tuple[float, float, float],
) -> str:
    """Why the distance is open, or nothing; `facts` are gain, share on the ridge and pairing."""
    gain, share, pairing = facts
    if gain < LEAST_GAIN:
        return f"a ridge gains {gain:.1f} in log-likelihood; {LEAST_GAIN} are needed"
    if share < LEAST_SHARE:
        return f"{share:.2f} of the members lie on the best ridge; {LEAST_SHARE} are needed"
    if pairing < LEAST_PAIRING:
        return f"shuffled colours fit a ridge as well ({pairing:.1f} sigma; {LEAST_PAIRING} are needed)"
    if widest[0] <= moduli[0] or widest[1] >= moduli[-1]:
        return f"the 95 % range reaches the end of the moduli tried ({moduli[0]} to {moduli[-1]})"
    if widest[1] - widest[0] > WIDEST:
        return f"the 95 % range is {widest[1] - widest[0]:.2f} mag wide"
    inside = np.flatnonzero(profile >= -_DROP_95)
    if np.diff(moduli[inside]).max(initial=0.0) > LARGEST_GAP:
        return "several distances fit"
    return ""
