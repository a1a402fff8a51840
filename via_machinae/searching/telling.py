"""How a candidate of the likelihood search came about, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streams.likelihood import Hypothesis
    from streams.likelihood.candidates import LikelihoodCandidate

__all__ = ["clump_sentence", "sentences"]


def sentences(
    candidate: LikelihoodCandidate, members: int, null_skies: int, left: int = 0
) -> tuple[str, ...]:
    """Line, motion, distance, stars, chance, refinement, goodness of a candidate; what it was told from.

    Args:
        candidate: what was found.
        members: stars above the membership threshold.
        null_skies: that calibrated it; 0: the patch's own maxima did.
        left: stars that the background of its fit was not learned from.
    """
    return (
        _line(candidate), _motion(candidate), _evidence(candidate), _chance(candidate, null_skies),
        _refined(candidate, members, left), candidate.goodness.sentence, *_apart(candidate),
    )  # fmt: skip


def clump_sentence(clump: Hypothesis, ra: float, dec: float) -> str:
    """Where a compact group is, deg, and how it stands out."""
    distance = "" if np.isnan(clump.modulus) else f", distance modulus {clump.modulus:.2f}"
    return (
        f"a compact group, no stream: at RA {ra:.3f}, Dec {dec:.3f} deg, {clump.significance:.1f} sigma "
        f"along a line{distance}; mask it"
    )


def _line(candidate: LikelihoodCandidate) -> str:
    one = candidate.hypothesis
    return (
        f"found by the likelihood search: a line at {np.degrees(one.theta):.1f} deg, {one.offset:.2f} "
        f"deg from the patch's centre, {one.width:.2f} deg wide (sigma), from {one.along[0]:.1f} to "
        f"{one.along[1]:.1f} deg along it"
    )


def _motion(candidate: LikelihoodCandidate) -> str:
    one = candidate.hypothesis
    motion = f"proper motion ({one.motion[0]:.2f}, {one.motion[1]:.2f}) mas/yr"
    if any(one.gradient):
        motion += f", changing by ({one.gradient[0]:.2f}, {one.gradient[1]:.2f}) mas/yr per deg along it"
    if not np.isfinite(one.modulus):
        return f"{motion}; searched by proper motion and position alone, so that it has no distance"
    return (
        f"{motion}; distance modulus {one.modulus:.2f} ({_kpc(one.modulus):.1f} kpc) on the ridge {one.ridge}"
    )


def _evidence(candidate: LikelihoodCandidate) -> str:
    one = candidate.hypothesis
    return (
        f"weights of {len(one.rows)} stars add up to {one.observed:.1f} where the background gives "
        f"{one.expected:.1f}: {one.significance:.1f} sigma, contrast {one.contrast:.1f}"
    )


def _chance(candidate: LikelihoodCandidate, null_skies: int) -> str:
    how = (
        f"by {null_skies} searched skies without streams"
        if null_skies
        else "by the patch's own lesser hypotheses"
    )
    return (
        f"a patch without streams holds one as good anywhere with probability "
        f"{candidate.false_alarm_probability:.2g} ({how})"
    )


def _refined(candidate: LikelihoodCandidate, members: int, left: int) -> str:
    fit = candidate.refined
    over = f" over a background learned without {left} stars of candidates" if left else ""
    told = f"refined{over}: {_pm(fit.stars, 1)} stars, width {_pm(fit.width, 2)} deg (sigma)"
    if fit.modulus is not None:
        told += f", distance modulus {_pm(fit.modulus, 2)} ({_kpc(fit.modulus[0]):.1f} kpc)"
    return f"{told}, {members} members; ln of the likelihood over none {fit.log_likelihood_ratio:.1f}"


def _apart(candidate: LikelihoodCandidate) -> tuple[str, ...]:
    pair = candidate.pair
    if pair is None:
        return ()
    return (
        f"one of two streams that were found as one: twice ln of the likelihood of two over one is "
        f"{pair.gain:.0f}, where {pair.price:.0f} is asked",
    )


def _pm(value: tuple[float, float], digits: int) -> str:
    error = f" +- {value[1]:.{digits}f}" if np.isfinite(value[1]) else ""
    return f"{value[0]:.{digits}f}{error}"


def _kpc(modulus: float) -> float:
    return float(10 ** (0.2 * modulus - 2.0))
