"""The tables of a campaign: trials, completeness of each cell, and the limits of each group of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

from via_machinae.injecting.grid import Cell
from via_machinae.injecting.limits import binomial_interval, half_limit

__all__ = ["Summary", "summarise"]

_MOTION, _BRIGHTNESS = u.mas / u.yr, u.mag / u.arcsec**2
_UNITS: dict[str, u.UnitBase] = {
    "width": u.deg, "length": u.deg, "distance": u.kpc, "offset": _MOTION, "motion_phi1": _MOTION,
    "motion_phi2": _MOTION, "shift": u.mag, "track_bias": u.deg, "track_rms": u.deg, "width_bias": u.deg,
    "found_width": u.deg, "pm_bias_along": _MOTION, "pm_bias_across": _MOTION, "seconds": u.s,
    "stars_per_deg2": u.deg**-2, "surface_brightness": _BRIGHTNESS, "track_bias_scatter": u.deg,
    "half_stars_per_deg2": u.deg**-2, "half_surface_brightness": _BRIGHTNESS,
    "half_surface_brightness_low": _BRIGHTNESS, "half_surface_brightness_high": _BRIGHTNESS,
}  # fmt: skip
_TRIAL_NUMBERS = (
    "length", "stars_per_deg2", "surface_brightness", "significance", "false_alarm_probability", "members",
    "purity", "completeness", "f1", "found_stars", "stars_ratio", "track_bias", "track_rms", "pm_bias_along",
    "pm_bias_across", "width_bias", "windows_rescored", "false_candidates", "seconds",
)  # fmt: skip
_MEDIANS = (
    "purity", "completeness", "f1", "significance", "track_bias", "track_rms", "pm_bias_along",
    "pm_bias_across", "width_bias", "stars_ratio",
)  # fmt: skip
_DESCRIPTIONS = {
    "fraction_low": "68 % Jeffreys interval of the recovered fraction",
    "fraction_high": "68 % Jeffreys interval of the recovered fraction",
    "false_candidates": "passing candidates that are neither the injected stream nor known without it",
    "track_bias": "median offset of the found members across the true track",
    "track_rms": "rms offset of the fitted track from the true one",
    "stars_ratio": "expected number of stream stars over injected ones",
    "unmade": "streams that could not be made there; they count in no fraction",
    "surface_brightness": "mean in G within the FWHM, of the stars down to the survey's limit",
    "stars_per_deg2": "mean within the FWHM, of the stars down to the survey's limit",
    "half_stars": "stars at which half are recovered; no number where the grid does not bracket it",
}


@dataclass(frozen=True, eq=False)
class Summary:
    """What a campaign says.

    Args:
        trials: one row per unit.
        cells: one row per cell of the grid: fractions, intervals, median biases of what was recovered.
        limits: one row per group of cells: where half is recovered.
    """

    trials: Table
    cells: Table
    limits: Table


def summarise(outcomes: Sequence[dict[str, Any]]) -> Summary:
    """The tables of finished units.

    Args:
        outcomes: as `campaign.outcomes` reads them.
    """
    cells = [_cell(outcome["cell"]) for outcome in outcomes]
    distinct = list(dict.fromkeys(cells))
    groups = list(dict.fromkeys(cell.group for cell in cells))
    by_cell = [
        _cell_row(cell, [o for o, own in zip(outcomes, cells, strict=True) if own == cell])
        for cell in distinct
    ]
    by_group = [
        _limit_row(group, [o for o, own in zip(outcomes, cells, strict=True) if own.group == group])
        for group in groups
    ]
    trials = [_trial_row(cell, outcome) for cell, outcome in zip(cells, outcomes, strict=True)]
    return Summary(_table(trials), _table(by_cell), _table(by_group))


def _cell(values: dict[str, Any]) -> Cell:
    motion = values["motion"]
    return Cell(**{**values, "motion": None if motion is None else (motion[0], motion[1])})


def _axes(cell: Cell) -> dict[str, Any]:
    first, second = cell.motion or (None, None)
    return {
        "stream": -1 if cell.stream is None else cell.stream, "shift": _number(cell.shift),
        "width": _number(cell.width), "distance": _number(cell.distance), "offset": _number(cell.offset),
        "motion_phi1": _number(first), "motion_phi2": _number(second),
    }  # fmt: skip


def _trial_row(cell: Cell, outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": outcome["name"], "patch": outcome["patch"], "asked_stars": cell.stars,
        "stars": int(outcome.get("stars", 0)), **_axes(cell), "problem": outcome["problem"] or "none",
        "recovered": bool(outcome.get("recovered", False)),
        **{name: _number(outcome.get(name)) for name in _TRIAL_NUMBERS},
    }  # fmt: skip


def _cell_row(cell: Cell, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    made = [outcome for outcome in outcomes if not outcome["problem"]]
    found = [outcome for outcome in made if outcome["recovered"]]
    low, high = binomial_interval(len(found), len(made))
    return {
        "label": cell.group_label, "asked_stars": cell.stars, **_axes(cell),
        "stars": _median(made, "stars"), "trials": len(made), "recovered": len(found),
        "fraction": len(found) / len(made) if made else float("nan"),
        "fraction_low": low, "fraction_high": high, "unmade": len(outcomes) - len(made),
        "false_candidates": sum(outcome["false_candidates"] for outcome in made),
        "stars_per_deg2": _median(made, "stars_per_deg2"),
        "surface_brightness": _median(made, "surface_brightness"),
        **{name: _median(found, name) for name in _MEDIANS},
        "track_bias_scatter": _scatter(found, "track_bias"), "seconds": _median(made, "seconds"),
    }  # fmt: skip


def _limit_row(group: Cell, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    made = [outcome for outcome in outcomes if not outcome["problem"]]
    stars = np.array([outcome["stars"] for outcome in made], dtype=float)
    limit = half_limit(stars, np.array([outcome["recovered"] for outcome in made], dtype=bool))
    # Density and light go with the number of stars: what one star brings is measured on all trials.
    starry = [outcome for outcome in made if outcome["stars"] and outcome.get("stars_per_deg2")]
    density = [outcome["stars_per_deg2"] / outcome["stars"] for outcome in starry]
    lit = [outcome for outcome in starry if outcome.get("surface_brightness") is not None]
    light = [outcome["surface_brightness"] + 2.5 * np.log10(outcome["stars"]) for outcome in lit]
    one_star = float(np.median(light)) if light else float("nan")
    return {
        "label": group.group_label, **_axes(group), "trials": len(made), "reached": limit.reached,
        "half_stars": limit.stars, "half_stars_low": limit.low, "half_stars_high": limit.high,
        "slope": limit.slope,
        "half_stars_per_deg2": limit.stars * float(np.median(density)) if density else float("nan"),
        "half_surface_brightness": one_star - 2.5 * np.log10(limit.stars),
        # More stars are brighter: the fainter end of the interval belongs to fewer stars.
        "half_surface_brightness_low": one_star - 2.5 * np.log10(limit.high),
        "half_surface_brightness_high": one_star - 2.5 * np.log10(limit.low),
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for name in rows[0] if rows else ():
        table[name] = Column(
            [row[name] for row in rows], unit=_UNITS.get(name), description=_DESCRIPTIONS.get(name)
        )
    return table


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _values(outcomes: list[dict[str, Any]], name: str) -> np.ndarray:
    values = np.array([_number(outcome.get(name)) for outcome in outcomes])
    return values[np.isfinite(values)]


def _median(outcomes: list[dict[str, Any]], name: str) -> float:
    values = _values(outcomes, name)
    return float(np.median(values)) if len(values) else float("nan")


def _scatter(outcomes: list[dict[str, Any]], name: str) -> float:
    """Half of the 16 to 84 % range over the trials."""
    values = _values(outcomes, name)
    return float(np.subtract(*np.percentile(values, [84.135, 15.865]))) / 2 if len(values) else float("nan")
