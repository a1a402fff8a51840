"""The exceptions of `dm_map`: one family, so that a caller can catch all of them at once."""

from __future__ import annotations

__all__ = ["AccelerationError", "DmMapError", "MockError"]


class DmMapError(Exception):
    """Base of every error that `dm_map` raises on purpose."""


class AccelerationError(DmMapError):
    """Accelerations cannot be determined from what was given."""


class MockError(DmMapError):
    """A mock was asked for that cannot be made."""
