"""Is a background model right, and does a score mean what it says? Checks that need no labels of signal."""

from __future__ import annotations

from density.checks.calibration import RatioCalibration, ratio_calibration
from density.checks.closure import background_closure, interpolation_closure
from density.checks.two_sample import TwoSample, two_sample_auc

__all__ = [
    "RatioCalibration",
    "TwoSample",
    "background_closure",
    "interpolation_closure",
    "ratio_calibration",
    "two_sample_auc",
]
