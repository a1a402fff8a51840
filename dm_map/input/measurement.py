"""Measurement errors: samples as they might have been measured, for the propagation of errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dm_map.errors import SampleError
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["Resampled", "resample", "square_roots"]

# A pivot below this share of its variance is rounding: the direction has no error of its own.
_ROUNDING = 1e-12
# A pivot below minus this share is no rounding: the matrix is not a covariance.
_TOLERANCE = 1e-6
# Stars whose square roots (36 numbers each) are held at a time.
_CHUNK = 200_000


@dataclass(frozen=True, eq=False)
class Resampled:
    """One redrawn sample.

    Attributes:
        sample: The stars that are in the volume after the draw, in their order.
        left: Stars that the draw carried out of it.
        entered: Stars that it carried in: possible only where the volume is smaller than the sample's.
    """

    sample: StarSample
    left: int
    entered: int


def resample(sample: StarSample, seed: int, volume: Ball | None = None) -> Resampled:
    """Draw each star's position and velocity anew from its measurement covariance.

    The measured values contain the errors once already, the result contains them twice: what changes from the
    sample to the result estimates what the first dose did (simulation-extrapolation), and the spread over
    seeds is the error that measurement adds. Stars near the edge leave the volume, and none are known outside
    to take their place: read a larger ball than is needed and give the smaller one as `volume`.

    Args:
        sample: Stars with a covariance.
        seed: Of the draw.
        volume: Ball to cut the redrawn stars to, inside the sample's; the sample's own where None.

    Raises:
        SampleError: the sample has no covariance, one is not positive semi-definite, the volume reaches
            beyond the sample's, or no star is left.
    """
    if sample.covariance is None:
        raise SampleError(
            "the sample has no measurement covariance to draw from; read it from a table with the errors "
            "of distance or parallax, proper motions and radial velocity"
        )
    before = np.ones(len(sample), dtype=bool) if volume is None else volume.contains(sample.x)
    if volume is not None:
        # Refuses a volume that reaches beyond the sample's.
        sample.within(volume)
    target = volume or sample.volume
    drawn = _drawn(sample.x, sample.v, sample.covariance, np.random.default_rng(seed))
    after = target.contains(drawn[:, :3])
    if not after.any():
        raise SampleError(
            f"none of {len(sample)} stars is within {target.radius:g} of {target.centre} after the draw"
        )
    weights = None if sample.weights is None else sample.weights[after]
    kept = StarSample(drawn[after, :3], drawn[after, 3:], target, weights, sample.covariance[after])
    left, entered = np.count_nonzero(before & ~after), np.count_nonzero(after & ~before)
    return Resampled(kept, int(left), int(entered))


def square_roots(covariance: Float[np.ndarray, "n d d"], first: int = 0) -> Float[np.ndarray, "n d d"]:
    """Lower triangular L with L L^T = C for each matrix, zero variances and exact correlations included.

    Cholesky's recursion, all matrices at a time; a column whose pivot vanishes is zero.

    Args:
        covariance: n covariances.
        first: Number of the first star, for messages.

    Raises:
        SampleError: a matrix is not positive semi-definite; the message names the star.
    """
    root = np.zeros_like(covariance)
    for j in range(covariance.shape[-1]):
        known = root[:, j, :j]
        variance = covariance[:, j, j]
        pivot = variance - np.sum(known**2, axis=1)
        bad = np.flatnonzero((pivot < -_TOLERANCE * np.abs(variance)) | (variance < 0))
        if bad.size:
            raise SampleError(
                f"the covariance of star {first + int(bad[0])} is not positive semi-definite ({bad.size} "
                "such stars): its correlations contradict each other"
            )
        positive = pivot > _ROUNDING * variance
        root[positive, j, j] = np.sqrt(pivot[positive])
        below = covariance[:, j + 1 :, j] - np.einsum("nik,nk->ni", root[:, j + 1 :, :j], known)
        root[:, j + 1 :, j] = np.divide(
            below, root[:, j, j, None], out=np.zeros_like(below), where=positive[:, None]
        )
    return root


def _drawn(
    x: Float[np.ndarray, "n 3"],
    v: Float[np.ndarray, "n 3"],
    covariance: Float[np.ndarray, "n 6 6"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 6"]:
    drawn = np.concatenate([x, v], axis=1)
    for start in range(0, len(drawn), _CHUNK):
        part = slice(start, start + _CHUNK)
        root = square_roots(covariance[part], first=start)
        drawn[part] += np.einsum("nij,nj->ni", root, rng.standard_normal(drawn[part].shape))
    return drawn
