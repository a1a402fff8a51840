"""The exception of `streams.injection`."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["InjectionError"]


class InjectionError(StreamsError):
    """A stream that cannot be made, or cannot be put where it was asked to go."""
