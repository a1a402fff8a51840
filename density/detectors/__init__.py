"""Resonant anomaly detectors behind one contract, `density.detectors.contract`: recipe, then result."""

from __future__ import annotations

from density.detectors.anode import Anode, FittedAnode
from density.detectors.cathode import Cathode, FittedCathode
from density.detectors.contract import Detector, FittedDetector

__all__ = ["Anode", "Cathode", "Detector", "FittedAnode", "FittedCathode", "FittedDetector"]
