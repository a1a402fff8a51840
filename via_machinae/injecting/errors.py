"""The exception of `via_machinae.injecting`."""

from __future__ import annotations

from via_machinae.errors import ViaMachinaeError

__all__ = ["InjectError"]


class InjectError(ViaMachinaeError):
    """An injection campaign that cannot be planned or continued."""
