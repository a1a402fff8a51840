"""What can go wrong with a learned background."""

from __future__ import annotations

from via_machinae.errors import ViaMachinaeError

__all__ = ["BackgroundError"]


class BackgroundError(ViaMachinaeError):
    """A background that cannot be fitted to these stars, or cannot be read from a run."""
