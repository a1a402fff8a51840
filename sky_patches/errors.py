"""The exceptions of `sky_patches`: one family, so that a caller can catch all of them at once."""

from __future__ import annotations

__all__ = [
    "FootprintError",
    "FrameError",
    "LoadError",
    "MaskError",
    "MockError",
    "SchemaError",
    "SkyPatchesError",
    "StoreError",
    "TilingError",
]


class SkyPatchesError(Exception):
    """Base of every error that `sky_patches` raises on purpose."""


class SchemaError(SkyPatchesError):
    """A star table does not follow the schema: a column is missing, or has a wrong unit or type."""


class LoadError(SkyPatchesError):
    """A file or table of stars could not be read or understood."""


class StoreError(SkyPatchesError):
    """A catalogue store is absent, damaged, of an unknown version, or was asked for what it lacks."""


class FrameError(SkyPatchesError):
    """A coordinate frame is not defined, or a position cannot be expressed in it."""


class FootprintError(SkyPatchesError):
    """A footprint (a region of the sky) is ill-defined or empty."""


class MockError(SkyPatchesError):
    """A mock catalogue was asked for that cannot be made."""


class TilingError(SkyPatchesError):
    """A tiling of the sky, or the zones it leaves out, is ill-defined or cannot be read."""


class MaskError(SkyPatchesError):
    """A list of objects to mask cannot be read, or a mask is ill-defined."""
