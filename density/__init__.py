"""Unit-free statistics: conditional densities by normalizing flows, windows, and resonant anomaly detectors.

from density import Anode, Bounds, ConditionalFlow, Window

fitted = Anode().fit(x, m, Window(-3.0, 3.0), seed=1)
scores = fitted.out_of_fold
"""

from __future__ import annotations

from density.bounds import AtLeast, AtMost, Bound, Bounds, InBall, Interval, Unbounded
from density.classifiers import BoostedTrees, Classifier, FittedBoostedTrees, FittedClassifier
from density.column_maps import Affine, Asinh, Ball, ColumnMap, Edge, LogitBox
from density.detectors.anode import Anode, FittedAnode
from density.detectors.cathode import Cathode, FittedCathode
from density.detectors.contract import Detector, FittedDetector
from density.detectors.crossfit import cross_fit, folds_of
from density.errors import DensityError, DetectorError, FeatureError, TrainingError, WindowError
from density.feature_maps import Block, FeatureMap, choose_feature_map
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.seeds import child_seed
from density.training import TrainingHistory
from density.windows import Window, window_grid

__all__ = [
    "Affine",
    "Anode",
    "Asinh",
    "AtLeast",
    "AtMost",
    "Ball",
    "Block",
    "BoostedTrees",
    "Bound",
    "Bounds",
    "Cathode",
    "Classifier",
    "ColumnMap",
    "ConditionalFlow",
    "DensityError",
    "Detector",
    "DetectorError",
    "Edge",
    "FeatureError",
    "FeatureMap",
    "FittedAnode",
    "FittedBoostedTrees",
    "FittedCathode",
    "FittedClassifier",
    "FittedDetector",
    "FlowDensity",
    "InBall",
    "Interval",
    "LogitBox",
    "TrainingError",
    "TrainingHistory",
    "Unbounded",
    "Window",
    "WindowError",
    "child_seed",
    "choose_feature_map",
    "cross_fit",
    "folds_of",
    "window_grid",
]
