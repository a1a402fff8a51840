"""Model-free detectors on a patch with streams whose windows are known: an upper limit to their power."""

from __future__ import annotations

import time

import numpy as np
from _blind import score_figures, with_detector
from _likelihood_judging import FALSE_ALARM, facts, is_of, member_f1
from _likelihood_parts import Job, Row
from _likelihood_skies import HiddenSky, HiddenStream

from density import Window
from streams import Candidate, LineSearchError
from streams.plane import TangentPlane
from streams.regions import COMPONENTS
from via_machinae import Config
from via_machinae.cataloguing import fiducial_stars, finder_of
from via_machinae.patch_stars import PatchStars
from via_machinae.run import Unit
from via_machinae.scoring import scores_of

__all__ = ["METHODS", "method_rows", "window_of", "window_row"]

METHODS = ("cathode", "r-anode", "anode")


def method_rows(job: Job, sky: HiddenSky) -> list[Row]:
    """One row per stream, by a detector that is told the window."""
    config = with_detector(Config(), str(job["method"]), int(job["seed"]))
    if job["quick"]:
        small = config.windows.model_copy(update={"min_stars": 200})
        flow = config.flow.model_copy(update={"epochs": 1, "layers": 2})
        nulls = config.significance.model_copy(update={"null_skies": 10})
        config = config.model_copy(update={"windows": small, "flow": flow, "significance": nulls})
    patch = PatchStars(sky.geometry, sky.table, config.detector.features, [])
    streams = sky.streams[-1:] if job["quick"] else sky.streams
    return [window_row(job, patch, sky, stream, config) for stream in streams]


def window_row(job: Job, patch: PatchStars, sky: HiddenSky, stream: HiddenStream, config: Config) -> Row:
    """Score the window that holds the stream, find lines in it."""
    start = time.perf_counter()
    unit, member = window_of(patch, stream.motion, config.windows.width), sky.member(stream)
    scores = scores_of(patch, unit, config)
    keep = fiducial_stars(patch, config)
    try:
        found = finder_of(config).find(
            sky.stars, sky.geometry.footprint, [scores], keep=keep, seed=int(job["seed"])
        )
    except LineSearchError:  # no region of the window has enough stars
        found = []
    judged = [(one, _of_stream(one, sky, member)) for one in found]
    best = min((one for one, mine in judged if mine), key=_chance, default=None)
    return {
        **facts(stream, job),
        "detected": best is not None and best.false_alarm_probability < FALSE_ALARM,
        "significance": best.line.significance if best else None,
        "contrast": None,
        "false_alarm_probability": best.false_alarm_probability if best else None,
        "f1": member_f1(best.membership.rows, best.membership.probability, member) if best else None,
        "max_sic": score_figures([(patch, [scores])], stream.source_id)["max_sic"],
        "ridge": "-",
        "ridges": "-",
        "best_false": None,
        "false_candidates": sum(
            one.false_alarm_probability < FALSE_ALARM and not _of_stream(one, sky, sky.any_member)
            for one in found
        ),
        "seconds": time.perf_counter() - start,
        "method": job["method"],
    }


def window_of(patch: PatchStars, motion: tuple[float, float], width: float) -> Unit:
    """The window centred on a proper motion, in the component where it holds fewer stars."""
    units = [
        Unit(patch.geometry.name, component, round(value - width / 2, 6), round(value + width / 2, 6))
        for component, value in zip(COMPONENTS, motion, strict=True)
    ]
    return min(
        units, key=lambda one: int(np.sum(Window(one.low, one.high).contains(patch.values(one.component))))
    )


def _chance(candidate: Candidate) -> float:
    return candidate.false_alarm_probability


def _of_stream(candidate: Candidate, sky: HiddenSky, member: np.ndarray) -> bool:
    """The likelihood search's own rule: most of the line's excess, or most of the expected members."""
    line, membership = candidate.line, candidate.membership
    rows = line.region.stars[: line.rank]
    x, y = TangentPlane(*sky.geometry.footprint.centre).project(*sky.stars.position[rows].T)
    across = x * np.sin(line.theta) - y * np.cos(line.theta) - line.offset
    inside = rows[np.abs(across) <= line.width / 2]
    excess = float(member[inside].sum() / max(line.count - line.expected, 1e-9))
    return is_of(excess, membership.rows, membership.probability, member)
