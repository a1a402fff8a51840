"""The exceptions of `via_machinae`: each says what was expected, what came and what to do."""

from __future__ import annotations

__all__ = ["ConfigError", "RunError", "ViaMachinaeError"]


class ViaMachinaeError(Exception):
    """Base of every error that `via_machinae` raises on purpose."""


class ConfigError(ViaMachinaeError):
    """A configuration that cannot be read or is not valid."""


class RunError(ViaMachinaeError):
    """A run directory that cannot be used for what was asked."""
