"""How well a list of members agrees with another list: purity, completeness, F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """Counts of two member lists and what follows from them.

    Args:
        found: stars in the list under test.
        reference: stars in the reference list (which may be incomplete itself).
        common: stars in both.
    """

    found: int
    reference: int
    common: int

    @property
    def purity(self) -> float:
        """Share of the found stars that are in the reference; 0 if none was found."""
        return self.common / self.found if self.found else 0.0

    @property
    def completeness(self) -> float:
        """Share of the reference that was found; 0 for an empty reference."""
        return self.common / self.reference if self.reference else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of purity and completeness."""
        total = self.found + self.reference
        return 2 * self.common / total if total else 0.0


def agreement(found: Int[np.ndarray, " n"], reference: Int[np.ndarray, " m"]) -> Agreement:
    """Compare two lists of source_id; a star named twice counts once."""
    found, reference = np.unique(found), np.unique(reference)
    return Agreement(len(found), len(reference), len(np.intersect1d(found, reference, assume_unique=True)))
