"""The weak form of the Boltzmann equation: from stars to a potential with no density estimate between."""

from __future__ import annotations

from dm_map.weak.fit import WeakForm
from dm_map.weak.functions import TestFunctions, choose_functions
from dm_map.weak.result import WeakFit
from dm_map.weak.selection_terms import SelectionTerms

__all__ = ["SelectionTerms", "TestFunctions", "WeakFit", "WeakForm", "choose_functions"]
