"""Exceptions of the description of candidates."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["DescriptionError"]


class DescriptionError(StreamsError):
    """Member stars that cannot be described."""
