"""From tables of measured stars to star samples: coordinates, distances, volume, selection, errors.

    stars, report = read_stars("stars.fits", radius=4.0, luminosity=LuminosityCut(faint=14.0,
    band="grvs_mag"))
    print(report)

A selection function that has to be learned first is in `dm_map.input.learned_selection`.
"""

from __future__ import annotations

from dm_map.input.distances import ParallaxDistances
from dm_map.input.galactocentric import KM_S_PER_MAS_YR_KPC, Observables, SolarFrame
from dm_map.input.luminosity import LuminosityCut, LuminosityReport, luminosity_cut
from dm_map.input.measurement import Resampled, resample
from dm_map.input.reading import read_stars
from dm_map.input.report import InputReport
from dm_map.input.selection import (
    GivenSelection,
    LogLinearSelection,
    SelectionFunction,
    SelectionReport,
    SelectionWarning,
    select_weights,
)

__all__ = [
    "GivenSelection",
    "InputReport",
    "KM_S_PER_MAS_YR_KPC",
    "LogLinearSelection",
    "LuminosityCut",
    "LuminosityReport",
    "Observables",
    "ParallaxDistances",
    "Resampled",
    "SelectionFunction",
    "SelectionReport",
    "SelectionWarning",
    "SolarFrame",
    "luminosity_cut",
    "read_stars",
    "resample",
    "select_weights",
]
