"""The exception of the diagnostics, of the family of `dm_map.errors`."""

from __future__ import annotations

from dm_map.errors import DmMapError

__all__ = ["DiagnosticError"]


class DiagnosticError(DmMapError):
    """The checks cannot be made with what was given."""
