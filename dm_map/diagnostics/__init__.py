"""Truth-free checks of accelerations from stars: one call, each with a pass mark and what a failure means."""

from __future__ import annotations

from dm_map.diagnostics.diagnose import diagnose
from dm_map.diagnostics.phase_space import Field, PhaseSpace
from dm_map.diagnostics.report import Diagnostic, DiagnosticReport
from dm_map.diagnostics.settings import DiagnosticSettings
from dm_map.errors import DiagnosticError

__all__ = [
    "Diagnostic",
    "DiagnosticError",
    "DiagnosticReport",
    "DiagnosticSettings",
    "Field",
    "PhaseSpace",
    "diagnose",
]
