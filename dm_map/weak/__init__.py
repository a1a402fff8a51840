"""The weak form of the Boltzmann equation: from stars to a potential with no density estimate between."""

from __future__ import annotations

from dm_map.weak.comparison import Comparison, compare, nested_dictionaries
from dm_map.weak.equilibrium import EquilibriumMap, equilibrium_map
from dm_map.weak.equilibrium_check import check_equilibrium, equilibrium_functions, refit
from dm_map.weak.fit import WeakForm
from dm_map.weak.functions import TestFunctions, choose_functions
from dm_map.weak.goodness import GoodnessOfFit, goodness_of_fit
from dm_map.weak.measurement import ErrorCorrection
from dm_map.weak.result import WeakFit
from dm_map.weak.selection_report import SelectionReport, selection_report, uniform_forces
from dm_map.weak.selection_terms import SelectionTerms

__all__ = [
    "Comparison",
    "EquilibriumMap",
    "ErrorCorrection",
    "GoodnessOfFit",
    "SelectionReport",
    "SelectionTerms",
    "TestFunctions",
    "WeakFit",
    "WeakForm",
    "check_equilibrium",
    "choose_functions",
    "compare",
    "equilibrium_functions",
    "equilibrium_map",
    "goodness_of_fit",
    "nested_dictionaries",
    "refit",
    "selection_report",
    "uniform_forces",
]
