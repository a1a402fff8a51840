"""The command `dm-map`: from a table of stars to maps of acceleration and dark matter in a run directory."""

from __future__ import annotations

__all__ = []
