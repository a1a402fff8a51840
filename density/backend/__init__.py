"""The one place that knows normflows: conditional autoregressive flows whose density is one pass.

normflows orients its autoregressive layers for sampling; read the other way (data in, latent out) the same
layer gives the density in one pass and a sample in d passes (Papamakarios et al. 2017, arXiv 1705.07057).
Three properties of its networks are changed here, because they limit a density:

* its affine layer scales by a sigmoid, that is by 0.001 to 1.001: a density could not be narrower than the
  base in that orientation. Here ln(scale) is a smooth odd function of the network, bounded by
  `LOG_SCALE_BOUND`;
* its masks leave the first feature of each layer blind to the context. Here some hidden units see the context
  alone;
* activations are SiLU unless asked otherwise: with ReLU the gradient of the log density jumps.
"""

from __future__ import annotations

from density.backend.affine import LOG_SCALE_BOUND, ConditionalMaf
from density.backend.autoregressive import AutoregressiveFlow
from density.backend.made import ACTIVATIONS, SMOOTH_ACTIVATIONS
from density.backend.spline import ConditionalSpline

__all__ = [
    "ACTIVATIONS",
    "LOG_SCALE_BOUND",
    "SMOOTH_ACTIVATIONS",
    "AutoregressiveFlow",
    "ConditionalMaf",
    "ConditionalSpline",
]
