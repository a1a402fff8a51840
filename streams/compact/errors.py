"""The exceptions of the search for compact over-densities."""

from __future__ import annotations

from streams.errors import StreamsError

__all__ = ["CompactError"]


class CompactError(StreamsError):
    """A search for compact over-densities that cannot be carried out, or a catalogue of them."""
