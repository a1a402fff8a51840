"""The exceptions of `dm_map`: one family, so that a caller can catch all of them at once."""

from __future__ import annotations

__all__ = [
    "AccelerationError",
    "BaryonError",
    "DiagnosticError",
    "DmMapError",
    "FlowError",
    "MockError",
    "PotentialError",
    "SampleError",
    "VolumeError",
    "WeakFormError",
]


class DmMapError(Exception):
    """Base of every error that `dm_map` raises on purpose."""


class AccelerationError(DmMapError):
    """Accelerations cannot be determined from what was given."""


class MockError(DmMapError):
    """A mock was asked for that cannot be made."""


class SampleError(DmMapError):
    """A star sample is not usable: shapes, values or errors."""


class VolumeError(DmMapError):
    """A position lies outside the volume, or the volume is not one."""


class PotentialError(DmMapError):
    """A potential cannot be made or fitted from what was given."""


class FlowError(DmMapError):
    """A phase-space density cannot be trained, loaded or evaluated."""


class WeakFormError(DmMapError):
    """The weak form of the Boltzmann equation cannot be solved for this sample."""


class BaryonError(DmMapError):
    """A baryon model is unknown or not usable."""


class DiagnosticError(DmMapError):
    """The checks cannot be made with what was given."""
