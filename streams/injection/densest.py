"""Where a patch's stars are densest in proper motion: the place where a stream is hardest to see."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from streams.injection.errors import InjectionError

__all__ = ["densest_motion"]

_BIN = 0.25
_SMOOTHING = 0.5


def densest_motion(proper_motion: Float[np.ndarray, "n 2"]) -> tuple[float, float]:
    """The peak of the stars' density in the proper-motion plane, mas/yr, to a quarter of a mas/yr.

    A histogram in steps of 0.25 mas/yr, smoothed by a Gaussian of 0.5 mas/yr.

    Raises:
        InjectionError: no star has a finite proper motion.
    """
    motion = proper_motion[np.isfinite(proper_motion).all(axis=1)]
    if not len(motion):
        raise InjectionError("no star has a finite proper motion: there is no densest place")
    low, high = np.percentile(motion, [1.0, 99.0], axis=0)
    # On multiples of the step, so that a few stars more do not move the bins.
    edges = [
        np.arange(np.floor(a / _BIN) - 1, np.ceil(b / _BIN) + 3) * _BIN
        for a, b in zip(low, high, strict=True)
    ]
    counts, *_ = np.histogram2d(*motion.T, bins=edges)
    smooth = gaussian_filter(counts, _SMOOTHING / _BIN, mode="constant")
    peak = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    first, second = (float(edge[number] + _BIN / 2) for edge, number in zip(edges, peak, strict=True))
    return first, second
