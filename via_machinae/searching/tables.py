"""From what the likelihood search found in a patch to the tables and arrays that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from streams import StreamStars, candidate_rows
from streams.catalog import HYPOTHESIS_COLUMNS, LIKELIHOOD_STREAM_COLUMNS
from streams.catalog.schema import ColumnSpec, table_of
from streams.plane import TangentPlane
from via_machinae.config import Config
from via_machinae.patch_stars import PatchStars
from via_machinae.searching.patch_result import LikelihoodPatch
from via_machinae.searching.telling import clump_sentence, sentences

if TYPE_CHECKING:
    from streams.likelihood import Hypothesis
    from streams.likelihood.candidates import LikelihoodCandidate, LikelihoodFound

__all__ = ["CLUMP_COLUMNS", "result_of"]

CLUMP_COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec("clump", "flag", "", "meta.code.class", "its stars are in one place: a cluster, no stream"),
    ColumnSpec("clump_ra", "real", "deg", "pos.eq.ra", "of that place, ICRS; NaN for a line"),
    ColumnSpec("clump_dec", "real", "deg", "pos.eq.dec", "of that place, ICRS; NaN for a line"),
)
"""What the table of hypotheses says of compact groups, beside `streams.catalog.HYPOTHESIS_COLUMNS`."""


def result_of(
    found: LikelihoodFound,
    patch: PatchStars,
    stars: StreamStars,
    config: Config,
    null: Sequence[float],
    *,
    left: int = 0,
) -> LikelihoodPatch:
    """Everything that is kept of a patch.

    Args:
        found: by the search.
        patch: the patch.
        stars: its stars, in which rows are counted.
        config: of the run.
        null: best significance of each searched null sky.
        left: stars that the background of the fits was not learned from.
    """
    peaks = _peaks(found)
    places = [_place_of_clump(one, patch, stars) for one in peaks]
    streams, members = candidate_rows(
        [one.candidate for one in found.candidates], stars, patch.geometry, patch.table,
        threshold=config.significance.threshold, member_threshold=config.membership.threshold,
    )  # fmt: skip
    told = tuple(
        sentences(one, int(row["members"]), len(null), left)
        for one, row in zip(found.candidates, streams, strict=True)
    )
    clumps = tuple(clump_sentence(one, *places[_place(one, peaks)]) for one in found.clumps)
    return LikelihoodPatch(
        patch.geometry,
        _streams(streams, found.candidates, peaks),
        members,
        _hypotheses(found, peaks, places),
        told,
        clumps,
        left,
        _calibration(found, null),
        _arrays(found, peaks, stars),
    )


def _peaks(found: LikelihoodFound) -> list[Hypothesis]:
    """The hypotheses of the candidates and all other peaks, most significant first."""
    # Two streams that were found as one have the same hypothesis.
    own = list({id(one.hypothesis): one.hypothesis for one in found.candidates}.values())
    others = [peak for peak in found.result.peaks if not any(peak is one for one in own)]
    return sorted([*own, *others], key=lambda one: -one.significance)


def _place(hypothesis: Hypothesis, among: Sequence[Hypothesis]) -> int:
    return next((number for number, one in enumerate(among) if one is hypothesis), -1)


def _streams(rows: Table, candidates: Sequence[LikelihoodCandidate], peaks: Sequence[Hypothesis]) -> Table:
    """The rows of the candidates with what this search knows more."""
    moduli = [one.refined.modulus or (np.nan, np.nan) for one in candidates]
    ridges = [one.refined.density.ridge for one in candidates]
    more: dict[str, list[Any]] = {
        "contrast": [one.hypothesis.contrast for one in candidates],
        "hypothesis": [_place(one.hypothesis, peaks) for one in candidates],
        "stars_error": [one.refined.stars[1] for one in candidates],
        "width_error": [one.refined.width[1] for one in candidates],
        "modulus": [value for value, _ in moduli],
        "modulus_error": [error for _, error in moduli],
        "ridge": ["" if ridge is None else ridge.name for ridge in ridges],
        "log_likelihood_ratio": [one.refined.log_likelihood_ratio for one in candidates],
        "goodness": [one.goodness.p_value for one in candidates],
    }
    values = {name: rows[name] for name in rows.colnames} | more
    return table_of(LIKELIHOOD_STREAM_COLUMNS, values)


def _place_of_clump(hypothesis: Hypothesis, patch: PatchStars, stars: StreamStars) -> tuple[float, float]:
    """(ra, dec) in deg of the middle of a compact group; NaN of a line."""
    if hypothesis.stretch is None:
        return np.nan, np.nan
    plane = TangentPlane(*patch.geometry.footprint.centre)
    x, y = plane.project(*stars.position[hypothesis.rows].T)
    along, (first, last) = x * np.cos(hypothesis.theta) + y * np.sin(hypothesis.theta), hypothesis.stretch
    inside = (along >= first - 1e-9) & (along <= last + 1e-9)
    middle = [np.array([np.average(part[inside], weights=hypothesis.weights[inside])]) for part in (x, y)]
    ra, dec = patch.geometry.frame.unproject(*plane.unproject(*middle))
    return float(np.squeeze(ra)), float(np.squeeze(dec))


def _hypotheses(
    found: LikelihoodFound, peaks: Sequence[Hypothesis], places: Sequence[tuple[float, float]]
) -> Table:
    own = [one.hypothesis for one in found.candidates]
    values: dict[str, list[Any]] = {
        "along_low": [one.along[0] for one in peaks],
        "along_high": [one.along[1] for one in peaks],
        "pm_phi1_cosphi2": [one.motion[0] for one in peaks],
        "pm_phi2": [one.motion[1] for one in peaks],
        "pm_phi1_cosphi2_gradient": [one.gradient[0] for one in peaks],
        "pm_phi2_gradient": [one.gradient[1] for one in peaks],
        "false_alarm_probability": [found.false_alarm_probability(one.significance) for one in peaks],
        "candidate": [_place(one, own) for one in peaks],
        "clump_ra": [ra for ra, _ in places],
        "clump_dec": [dec for _, dec in places],
    }
    for name in ("theta", "offset", "width", "modulus", "ridge", "significance", "contrast", "observed",
                 "expected", "clump"):  # fmt: skip
        values[name] = [getattr(one, name) for one in peaks]
    return table_of((*HYPOTHESIS_COLUMNS, *CLUMP_COLUMNS), values)


def _calibration(found: LikelihoodFound, null: Sequence[float]) -> dict[str, Any]:
    return {
        "law": {name: np.asarray(value).tolist() for name, value in asdict(found.chance).items()},
        "null": [float(value) for value in null],
        "populations": [
            [name, None if np.isnan(modulus) else float(modulus)]
            for name, modulus in found.result.populations
        ],
    }


def _arrays(found: LikelihoodFound, peaks: Sequence[Hypothesis], stars: StreamStars) -> dict[str, np.ndarray]:
    from streams.likelihood.refinement_component import NAMES

    size = len(NAMES)
    refined = [one.refined for one in found.candidates]
    return {
        "maxima": np.asarray(found.result.maxima),
        "hypothesis_stars": np.array([len(one.rows) for one in peaks], dtype=np.int64),
        "hypothesis_id": np.concatenate(
            [stars.source_id[one.rows] for one in peaks] or [np.empty(0, np.int64)]
        ),
        "hypothesis_weight": np.concatenate([one.weights for one in peaks] or [np.empty(0)]),
        "names": np.array(NAMES),
        "parameters": np.array([one.parameters for one in refined]).reshape(-1, size),
        "covariance": np.array([one.covariance for one in refined]).reshape(-1, size, size),
    }
