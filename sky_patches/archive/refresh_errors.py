"""What can go wrong in a refresh, beyond what the archive client says."""

from __future__ import annotations

from sky_patches.archive.errors import ArchiveError

__all__ = ["PixelTooFullError", "RefreshError", "ReplaceNeededError"]


class RefreshError(ArchiveError):
    """A refresh that cannot be done as asked, or that had to stop."""


class ReplaceNeededError(RefreshError):
    """The store holds stars of another query; fetching all of it anew has to be allowed."""


class PixelTooFullError(RefreshError):
    """A pixel of the finest order with more stars than one query may return."""
