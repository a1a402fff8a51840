"""Completeness of a finished run: streams are put into its patches, and the same chain looks for them."""

from __future__ import annotations

from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.grid import InjectionGrid, grid_of

__all__ = ["InjectError", "InjectionGrid", "grid_of"]
