"""After the score: a cut, a one-dimensional bump hunt with local p-values, and the look-elsewhere effect.

scores = score_all_rows(Cathode(), x, m, window, folds=5, seed=1)
kept = scores.cut(window.sidebands(m), efficiency=0.01).passes
bump = BumpHunt(low, high, Dijet(scale=13.0)).fit(m[kept], window)
bump.observed, bump.expected, bump.p_value
"""

from __future__ import annotations

from density.hunt.bump import Bump, BumpHunt
from density.hunt.counting import Count, on_off_significance, template_count
from density.hunt.cut import Cut, FoldScores, carried_score, score_all_rows
from density.hunt.look_elsewhere import (
    LookElsewhere,
    gaussian_look_elsewhere,
    gross_vitells,
    toy_look_elsewhere,
)
from density.hunt.scan import Scan, scan_windows, toy_significances
from density.hunt.shapes import Dijet, ExpPolynomial, SpectrumShape
from density.hunt.spectrum import Expected, FittedSpectrum, fit_spectrum

__all__ = [
    "Bump",
    "BumpHunt",
    "Count",
    "Cut",
    "Dijet",
    "Expected",
    "ExpPolynomial",
    "FittedSpectrum",
    "FoldScores",
    "LookElsewhere",
    "Scan",
    "SpectrumShape",
    "carried_score",
    "fit_spectrum",
    "gaussian_look_elsewhere",
    "gross_vitells",
    "on_off_significance",
    "scan_windows",
    "score_all_rows",
    "template_count",
    "toy_look_elsewhere",
    "toy_significances",
]
