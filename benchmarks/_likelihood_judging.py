"""Which stream a hypothesis or a candidate is: one rule for the likelihood search and for all detectors."""

from __future__ import annotations

import numpy as np
from _likelihood_parts import Job, Row
from _likelihood_skies import HiddenSky, HiddenStream, Searched
from jaxtyping import Bool, Float, Int

from streams.likelihood import Hypothesis
from streams.regions import COMPONENTS

__all__ = [
    "FALSE_ALARM",
    "MOST",
    "best_false",
    "excess_share",
    "facts",
    "false_candidates",
    "is_of",
    "member_f1",
    "stream_figures",
]

FALSE_ALARM = 0.01
"""A stream is detected by a candidate with a smaller false-alarm probability, per patch."""
MOST = 0.5
"""A hypothesis belongs to a stream that makes more than this share of its excess or of its members."""


def excess_share(hypothesis: Hypothesis, member: Bool[np.ndarray, " n"]) -> float:
    """Share of a hypothesis' excess that the marked stars make."""
    excess = max(hypothesis.observed - hypothesis.expected, 1e-9)
    return float(hypothesis.weights[member[hypothesis.rows]].sum() / excess)


def is_of(
    excess: float,
    rows: Int[np.ndarray, " k"],
    probability: Float[np.ndarray, " k"],
    member: Bool[np.ndarray, " n"],
) -> bool:
    """True if the marked stars make most of a candidate's excess, or of its expected members."""
    return excess > MOST or float(probability[member[rows]].sum()) > MOST * max(probability.sum(), 1e-9)


def member_f1(
    rows: Int[np.ndarray, " k"], probability: Float[np.ndarray, " k"], member: Bool[np.ndarray, " n"]
) -> float:
    """F1 of the stars that belong to a candidate rather than not."""
    chosen = rows[probability > 0.5]
    return float(2 * member[chosen].sum() / max(len(chosen) + member.sum(), 1))


def stream_figures(done: Searched, member: np.ndarray) -> Row:
    """Whether and how well a stream was found."""
    mine = [
        one
        for one in done.found.candidates
        if is_of(excess_share(one.hypothesis, member), one.refined.rows, one.refined.probability, member)
    ]
    peaks = [peak for peak in done.found.result.peaks if excess_share(peak, member) > MOST]
    best = min(mine, key=lambda one: one.false_alarm_probability, default=None)
    top = best.hypothesis if best else max(peaks, key=lambda peak: peak.significance, default=None)
    probability = done.found.false_alarm_probability(top.significance) if top else None
    return {
        "detected": best is not None and best.false_alarm_probability < FALSE_ALARM,
        "significance": top.significance if top else None,
        "contrast": float(top.contrast) if top else None,
        "false_alarm_probability": best.false_alarm_probability if best else probability,
        "f1": member_f1(best.refined.rows, best.refined.probability, member) if best else None,
        "max_sic": None,
    }


def best_false(done: Searched, sky: HiddenSky) -> float:
    """Highest contrast of a hypothesis that the streams' stars do not make."""
    member = sky.any_member
    false = [peak.contrast for peak in done.found.result.peaks if excess_share(peak, member) <= MOST]
    return float(max(false, default=0.0))


def false_candidates(done: Searched, sky: HiddenSky) -> int:
    """Candidates that pass and are not made by streams' stars."""
    member = sky.any_member
    return sum(
        one.false_alarm_probability < FALSE_ALARM
        and not is_of(excess_share(one.hypothesis, member), one.refined.rows, one.refined.probability, member)
        for one in done.found.candidates
    )


def facts(stream: HiddenStream, job: Job) -> Row:
    """What is known of a stream beforehand."""
    return {
        "seed": job["seed"], "place": stream.name, "alone": job["place"] != "together",
        "stars": job["stars"],
        **dict(zip(COMPONENTS, stream.motion, strict=True)),
    }  # fmt: skip
