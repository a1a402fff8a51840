"""Unit-free statistics: conditional densities by normalizing flows, windows, and resonant anomaly detectors.

from density import Anode, Bounds, ConditionalFlow, Window

fitted = Anode().fit(x, m, Window(-3.0, 3.0), seed=1)
scores = fitted.out_of_fold
"""

from __future__ import annotations

from density.bounds import AtLeast, AtMost, Bound, Bounds, InBall, Interval, Irregular, Unbounded
from density.checks.calibration import RatioCalibration, ratio_calibration
from density.checks.closure import background_closure, interpolation_closure
from density.checks.two_sample import TwoSample, two_sample_auc
from density.classifiers import BoostedTrees, Calibrated, Classifier, FittedBoostedTrees, FittedClassifier
from density.column_maps import Affine, Asinh, Ball, ColumnMap, Edge, LogitBox
from density.detectors.anode import Anode, FittedAnode
from density.detectors.autoencoder import Autoencoder, FittedAutoencoder
from density.detectors.cathode import Cathode, FittedCathode
from density.detectors.contract import ConditionalDensity, Detector, FittedDetector, LatentDensity
from density.detectors.crossfit import cross_fit, folds_of
from density.detectors.cwola import Cwola
from density.detectors.ensemble import Ensemble, FittedEnsemble
from density.detectors.feta import Feta
from density.detectors.fraction import Fraction
from density.detectors.idealised import ExactRatio, Idealised
from density.detectors.lacathode import FittedLaCathode, LaCathode
from density.detectors.ranode import FittedRAnode, RAnode
from density.detectors.residual import SignalDensity
from density.detectors.salad import Salad
from density.detectors.supervised import FittedSupervised, Supervised
from density.detectors.transport import FlowTransport
from density.errors import DensityError, DetectorError, FeatureError, TrainingError, WindowError
from density.feature_maps import Block, FeatureMap, choose_feature_map
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.hunt import Bump, BumpHunt, Dijet, ExpPolynomial, scan_windows, score_all_rows, template_count
from density.mlp import FittedMlp, Mlp
from density.quantile_map import Quantile
from density.seeds import child_seed
from density.sic import MaxSic, SicCurve, max_sic, roc_auc, sic_curve
from density.together import FittedBackgrounds, WarmStart, WindowBackgrounds, comb_groups, fit_together
from density.training import TrainingHistory
from density.windows import Window, window_grid

__all__ = [
    "Affine",
    "Anode",
    "Asinh",
    "AtLeast",
    "AtMost",
    "Autoencoder",
    "Ball",
    "Block",
    "BoostedTrees",
    "Bound",
    "Bounds",
    "Bump",
    "BumpHunt",
    "Calibrated",
    "Cathode",
    "Classifier",
    "ColumnMap",
    "ConditionalDensity",
    "ConditionalFlow",
    "Cwola",
    "DensityError",
    "Detector",
    "DetectorError",
    "Dijet",
    "Edge",
    "Ensemble",
    "ExactRatio",
    "ExpPolynomial",
    "FeatureError",
    "FeatureMap",
    "Feta",
    "FittedAnode",
    "FittedAutoencoder",
    "FittedBackgrounds",
    "FittedBoostedTrees",
    "FittedCathode",
    "FittedClassifier",
    "FittedDetector",
    "FittedEnsemble",
    "FittedLaCathode",
    "FittedMlp",
    "FittedRAnode",
    "FittedSupervised",
    "FlowDensity",
    "FlowTransport",
    "Fraction",
    "Idealised",
    "InBall",
    "Interval",
    "Irregular",
    "LaCathode",
    "LatentDensity",
    "LogitBox",
    "MaxSic",
    "Mlp",
    "Quantile",
    "RAnode",
    "RatioCalibration",
    "Salad",
    "SicCurve",
    "SignalDensity",
    "Supervised",
    "TrainingError",
    "TrainingHistory",
    "TwoSample",
    "Unbounded",
    "WarmStart",
    "Window",
    "WindowBackgrounds",
    "WindowError",
    "background_closure",
    "child_seed",
    "choose_feature_map",
    "comb_groups",
    "cross_fit",
    "fit_together",
    "folds_of",
    "interpolation_closure",
    "max_sic",
    "ratio_calibration",
    "roc_auc",
    "scan_windows",
    "score_all_rows",
    "sic_curve",
    "template_count",
    "two_sample_auc",
    "window_grid",
]
