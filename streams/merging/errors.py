"""The exception of merging."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["MergingError"]


class MergingError(StreamsError):
    """Streams, scores or logs that cannot be merged or read."""
