"""The exception of the cross-match."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["CrossMatchError"]


class CrossMatchError(StreamsError):
    """Known streams that cannot be read, or candidates that cannot be compared with them."""
