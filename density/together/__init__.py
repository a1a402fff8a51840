"""Many windows at once: flows trained together in one pass, combs of windows, and warm starts."""

from __future__ import annotations

from density.together.backgrounds import FittedBackgrounds, WarmStart, WindowBackgrounds
from density.together.comb import comb_groups, comb_sidebands
from density.together.fit_together import best_device, fit_together

__all__ = [
    "FittedBackgrounds",
    "WarmStart",
    "WindowBackgrounds",
    "best_device",
    "comb_groups",
    "comb_sidebands",
    "fit_together",
]
