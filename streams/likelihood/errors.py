"""The exceptions of the likelihood search."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["LikelihoodError"]


class LikelihoodError(StreamsError):
    """A likelihood search that cannot be carried out on these stars, this footprint or these settings."""
