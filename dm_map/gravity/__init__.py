"""From accelerations to mass density: Poisson's equation, Gauss's theorem and Gaussian kernels.

`dm_map.gravity.autograd` (divergence and Laplacian of torch fields) is imported by name: it needs torch.
"""

from __future__ import annotations

from dm_map.gravity.flux import kernel_density, mean_density_in_ball
from dm_map.gravity.smoothing import (
    BallMean,
    GaussianKernel,
    Pointwise,
    Smoothing,
    ball_smoothed,
    kernel_smoothed,
    smoothing_from,
)
from dm_map.gravity.units import (
    GALACTIC,
    GEV_PER_CM3,
    GRAVITATIONAL_CONSTANT,
    NATURAL,
    GravityUnits,
    mass_density,
    rho_per_divergence,
)

__all__ = [
    "GALACTIC",
    "GEV_PER_CM3",
    "GRAVITATIONAL_CONSTANT",
    "NATURAL",
    "BallMean",
    "GaussianKernel",
    "GravityUnits",
    "Pointwise",
    "Smoothing",
    "ball_smoothed",
    "kernel_density",
    "kernel_smoothed",
    "mass_density",
    "mean_density_in_ball",
    "rho_per_divergence",
    "smoothing_from",
]
