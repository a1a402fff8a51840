"""Resonant anomaly detectors behind one contract, `density.detectors.contract`: recipe, then result.

| detector | background from | then |
|---|---|---|
| `Anode` | a flow of the sidebands | a second flow, of the window |
| `Cathode` | samples of the sidebands' flow | a classifier |
| `LaCathode` | the latent space of the sidebands' flow | a classifier, blind to m |
| `RAnode` | the sidebands' flow, frozen | a flow of the residual, and its share of the window |
| `FlowTransport` | sideband rows carried to the window's m | a classifier |
| `Cwola` | the sidebands as they are | a classifier |
| `Salad`, `Feta` | a simulation, reweighted or morphed in the sidebands | a classifier |
| `Autoencoder` | none: how badly a row is reconstructed | no log-ratio: a baseline |
| `Idealised`, `Supervised`, `ExactRatio` | truth | bounds, for benchmarks |
| `Ensemble` | several of these | mean and spread |
"""

from __future__ import annotations

from density.detectors.anode import Anode, FittedAnode
from density.detectors.autoencoder import Autoencoder, FittedAutoencoder
from density.detectors.cathode import Cathode, FittedCathode
from density.detectors.contract import ConditionalDensity, Detector, FittedDetector, LatentDensity
from density.detectors.cwola import Cwola
from density.detectors.ensemble import Ensemble, FittedEnsemble
from density.detectors.feta import Feta, FittedFeta
from density.detectors.idealised import ExactRatio, Idealised
from density.detectors.lacathode import FittedLaCathode, LaCathode
from density.detectors.ranode import FittedRAnode, RAnode
from density.detectors.salad import FittedSalad, Salad
from density.detectors.supervised import FittedSupervised, Supervised
from density.detectors.transport import FittedTransport, FlowTransport

__all__ = [
    "Anode",
    "Autoencoder",
    "Cathode",
    "ConditionalDensity",
    "Cwola",
    "Detector",
    "Ensemble",
    "ExactRatio",
    "Feta",
    "FittedAnode",
    "FittedAutoencoder",
    "FittedCathode",
    "FittedDetector",
    "FittedEnsemble",
    "FittedFeta",
    "FittedLaCathode",
    "FittedRAnode",
    "FittedSalad",
    "FittedSupervised",
    "FittedTransport",
    "FlowTransport",
    "Idealised",
    "LaCathode",
    "LatentDensity",
    "RAnode",
    "Salad",
    "Supervised",
]
