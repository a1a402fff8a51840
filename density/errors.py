"""Exceptions of the package: one family, so that a caller can catch all of it at once."""

from __future__ import annotations

__all__ = ["DensityError", "DetectorError", "FeatureError", "TrainingError", "WindowError"]


class DensityError(ValueError):
    """Base of every error that `density` raises on purpose."""


class FeatureError(DensityError):
    """A feature, or a value of one, cannot be used: constant, not finite, outside its bounds, wrong shape."""


class TrainingError(DensityError):
    """A model could not be trained: the loss stayed non-finite, or there were too few rows."""


class WindowError(DensityError):
    """A window or a grid of windows makes no sense: empty, reversed, not finite."""


class DetectorError(DensityError):
    """A detector cannot be fitted to these rows and this window."""
