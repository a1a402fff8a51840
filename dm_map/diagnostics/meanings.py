"""What each check measures, and what its failure means: one entry per check, in the order of the report."""

from __future__ import annotations

from typing import NamedTuple

from dm_map.diagnostics.report import Diagnostic
from dm_map.errors import DiagnosticError

__all__ = ["MEANINGS", "Meaning", "by_p_value", "by_size"]


class Meaning(NamedTuple):
    """Of one check: its value in words, what it says of the map where it fails, and what to do."""

    measure: str
    failure: str
    remedy: str


MEANINGS: dict[str, Meaning] = {
    "two-sample": Meaning(
        "area under the ROC curve of a classifier of held-out stars against samples, 0.5: the same",
        "the density is not that of the stars; nothing derived from it can be trusted",
        "train longer or with a larger flow, and look where the classifier sees the difference",
    ),
    "Stein velocity": Meaning(
        "|<s_v>| sigma and |<(v - <v>) s_v^T> + 1| on held-out stars: relative error of the velocity scores",
        "the velocity scores are off by this share on average, and the acceleration with them, inversely",
        "train the velocity flow longer, or give it more members; check the tails of the velocities",
    ),
    "Stein position": Meaning(
        "<B s_x + grad B> sigma^2 on held-out stars as a share of the acceleration",
        "the gradient of the star density is wrong, and the acceleration is biased by this share",
        "train the position flow longer, or check the volume map and the edge of the volume",
    ),
    "smoothness": Meaning(
        "missing powers of the step in the second differences of the scores: 0 smooth, 3 jumps",
        "the scores jump: the acceleration is discontinuous and autograd misses part of its divergence,"
        " so that every density by derivatives is wrong, however good the likelihood is",
        "use smooth activations (SiLU, GELU, tanh) and no splines",
    ),
    "split halves": Meaning(
        "difference of two fits to halves of the stars, over 2: relative error of the acceleration",
        "the noise of the fit exceeds what is claimed",
        "use more stars or more members, or claim the error that is found here",
    ),
    "curl": Meaning(
        "mean tangential acceleration on circles, relative",
        "at least this share of the acceleration is not the gradient of a potential: error of the scores,"
        " or a bias such as a selection sigma^2(x) grad ln S where the dispersion varies",
        "fit a potential to the scores instead; if the curl is the same in both halves, look at the"
        " selection",
    ),
    "residual": Meaning(
        "what equation (1) leaves at its best acceleration, as a share of v . s_x",
        "no acceleration makes the density stationary: disequilibrium, a rotating pattern, a selection,"
        " or (without halves, which take it out) noise of the scores",
        "see which of continuity and the speed checks fails with it: continuity points to motion, speed"
        " to selection",
    ),
    "continuity": Meaning(
        "<v . grad psi> of the stars for ten psi(x), in units of their scatter",
        "the stars stream through the volume (div n<v> is not 0): they are not in equilibrium, rotate"
        " past a pattern (a bar: set pattern_speed), move with a wrong solar velocity, or a selection"
        " varies along their motion",
        "model the motion, or quote the acceleration with this as its systematic error",
    ),
    "continuity of scores": Meaning(
        "<v . s_x> of the density as a share of the root mean square of v . s_x",
        "the density is not stationary, whatever the potential; if the check on the stars passes, the"
        " scores are at fault",
        "compare with the continuity of the stars; more stars, more members, or a model of the motion",
    ),
    "speed of stars": Meaning(
        "weak form of equation (1) for slow and fast stars, any constant correction of a allowed, in"
        " units of scatter",
        "slow and fast stars ask for different accelerations: a selection that varies with position acts"
        " as sigma^2 grad ln S, different for each population; or disequilibrium, or velocity errors",
        "cut to a complete volume or weigh the stars with 1/S; deconvolve velocity errors",
    ),
    "speed of scores": Meaning(
        "half the difference of the accelerations from fast and from slow velocities, relative",
        "no single acceleration fits all velocities: selection, disequilibrium, or errors of the scores"
        " in the wings",
        "compare with the speed check on the stars; lower the truncation if only the wings are at fault",
    ),
    "Jeans": Meaning(
        "acceleration of Jeans' equation on the density's moments less that of equation (2), relative",
        "second moments and scores disagree: selection or disequilibrium, or wrong tails of the velocity"
        " flow",
        "look at the tails of the velocities; if they are right, at the selection",
    ),
    "north-south": Meaning(
        "difference of the accelerations at places mirrored in z = 0, over sqrt(2), relative",
        "the field is not symmetric about the plane: displaced stars, a wrong height of the Sun, a"
        " selection with z, or an error of the scores of this size",
        "refit with the height of the Sun free, or average both sides and quote the difference",
    ),
    "azimuthal": Meaning(
        "difference of the accelerations at places with equal R and z, over sqrt(2), relative",
        "the field is not axisymmetric: a bar or arms, a selection (dust) across the volume, or an error"
        " of the scores of this size",
        "do not impose axisymmetry; check the extinction and the completeness on both sides",
    ),
    "negative density": Meaning(
        "negative mass in balls as a share of all mass",
        "the acceleration needs negative mass beyond its noise: it is wrong on the scale of the balls",
        "fit a potential with positive components, or enlarge the balls",
    ),
    "field on stars": Meaning(
        "weak form of equation (1) with the field's acceleration, in units of the scatter over the stars",
        "the stars are not stationary in this field",
        "if continuity and speed pass, change the field (more components); if not, the stars are the reason",
    ),
    "field on scores": Meaning(
        "acceleration of the field less that of equation (2), relative",
        "the field and the scores disagree: the potential is too stiff, or the scores are wrong",
        "compare with the curl and the split halves: errors of the scores show there too",
    ),
}


def by_size(name: str, value: float, limit: float) -> Diagnostic:
    """A check that passes where its value does not exceed its limit."""
    meaning, passed = _meaning(name), bool(value <= limit)
    finding = f"{meaning.measure}: {value:.3g}, {'within' if passed else 'beyond'} the limit of {limit:.3g}."
    return _finished(name, value, limit, None, passed, finding)


def by_p_value(name: str, value: float, p_value: float, level: float) -> Diagnostic:
    """A check that passes where sampling alone gives so large a value often enough."""
    passed = bool(p_value >= level)
    verdict = "explains" if passed else "does not explain"
    finding = (
        f"{_meaning(name).measure}: {value:.3g}, which sampling {verdict}"
        f" (p = {p_value:.2g}, level {level:.2g})."
    )
    return _finished(name, value, level, p_value, passed, finding)


def _finished(
    name: str, value: float, limit: float, p_value: float | None, passed: bool, finding: str
) -> Diagnostic:
    meaning = _meaning(name)
    sentence = finding[0].upper() + finding[1:]
    if not passed:
        sentence += f" This means: {meaning.failure}. What to do: {meaning.remedy}."
    return Diagnostic(name, float(value), meaning.measure, float(limit), p_value, passed, sentence)


def _meaning(name: str) -> Meaning:
    if name not in MEANINGS:
        raise DiagnosticError(f"there is no check {name!r}; the checks are {', '.join(MEANINGS)}")
    return MEANINGS[name]
