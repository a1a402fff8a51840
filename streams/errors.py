"""The exceptions of `streams`: each says what was expected, what came and what to do."""

from __future__ import annotations

__all__ = ["CatalogError", "LineSearchError", "RegionError", "StreamsError"]


class StreamsError(Exception):
    """Base of every error that `streams` raises on purpose."""


class RegionError(StreamsError):
    """Scores, proper motions and stars that do not fit together."""


class LineSearchError(StreamsError):
    """A line search that cannot be carried out on this footprint or with these settings."""


class CatalogError(StreamsError):
    """A catalogue of candidates that cannot be written or read."""
