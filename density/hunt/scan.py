"""Scan over overlapping windows: local significances, and how they are correlated under the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from density.errors import DetectorError
from density.hunt.bump import Bump, BumpHunt
from density.hunt.look_elsewhere import LookElsewhere, gaussian_look_elsewhere
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Scan", "scan_windows", "toy_significances"]


@dataclass(frozen=True, eq=False)
class Scan:
    """Bumps of all windows, and the correlation of their significances.

    Args:
        bumps: One per window.
        correlation: Under the background alone, shape (w, w).
    """

    bumps: tuple[Bump, ...]
    correlation: Float[np.ndarray, "w w"]

    @property
    def significances(self) -> Float[np.ndarray, " w"]:
        """Signed local significances, shape (w,)."""
        return np.array([bump.significance for bump in self.bumps])

    def look_elsewhere(self, *, draws: int = 20_000, seed: int = 1) -> LookElsewhere:
        """Global p-value of the largest local significance.

        Args:
            draws: Pseudo-experiments of correlated normal significances.
            seed: Their root.
        """
        return gaussian_look_elsewhere(self.significances, self.correlation, draws=draws, seed=seed)


def scan_windows(
    hunt: BumpHunt,
    m: Float[np.ndarray, " n"],
    windows: Sequence[Window],
    passes: Bool[np.ndarray, "w n"] | None = None,
) -> Scan:
    """A bump hunt in each window, every window with its own cut.

    To first order a significance is a sum over events: 1 for each in the window, less each sideband event's
    influence on the fit, over the standard deviation. Two windows' covariance is then the sum over the events
    that both kept, shared events and shared sidebands alike (Poisson), whatever cut each window made.

    Args:
        hunt: Recipe.
        m: Resonant feature of all events, shape (n,).
        windows: The windows, in ascending order.
        passes: Which events survive each window's cut, shape (w, n); None: all.

    Raises:
        DetectorError: no windows, masks that do not fit, or a fit that fails; the window is named.
    """
    m = np.asarray(m, dtype=np.float64)
    kept = np.ones((len(windows), len(m)), dtype=bool) if passes is None else np.asarray(passes, dtype=bool)
    if not len(windows) or kept.shape != (len(windows), len(m)):
        raise DetectorError(
            f"expected windows and one mask of {len(m)} events for each; got {len(windows)} windows and masks"
            f" of shape {kept.shape}"
        )
    bumps = []
    for window, mask in zip(windows, kept, strict=True):
        try:
            bumps.append(hunt.fit(m[mask], window))
        except DetectorError as error:
            raise DetectorError(f"window [{window.low:g}, {window.high:g}): {error}") from error
    rows = np.array([_event_weights(b, m) * mask for b, mask in zip(bumps, kept, strict=True)])
    covariance = rows @ rows.T
    scale = np.sqrt(np.diag(covariance))
    return Scan(tuple(bumps), covariance / np.outer(scale, scale))


def toy_significances(
    hunt: BumpHunt, m: Float[np.ndarray, " n"], windows: Sequence[Window], *, toys: int, seed: int
) -> Float[np.ndarray, "toys w"]:
    """Significances of all windows in pseudo-experiments drawn from the background-only fit.

    For one spectrum that all windows share. Each pseudo-experiment is fitted anew, window by window, so its
    largest significance has the law of the real scan's.

    Args:
        hunt: Recipe.
        m: Resonant feature of the events, shape (n,).
        windows: The windows.
        toys: Pseudo-experiments.
        seed: Root of their seeds.

    Raises:
        DetectorError: a fit fails.
    """
    null = hunt.background_only(m)
    drawn = (null.draw(seed=child_seed(seed, "toy", k)) for k in range(toys))
    return np.array([[hunt.fit(toy, window).significance for window in windows] for toy in drawn])


def _event_weights(bump: Bump, m: np.ndarray) -> np.ndarray:
    """First-order contribution of each event to observed minus expected."""
    influence = bump.background.influence(bump.lower, bump.upper, bump.window.low, bump.window.high)
    place = np.searchsorted(bump.lower, m, side="right") - 1
    beside = (place >= 0) & (m < bump.upper[place])
    return np.where(beside, -influence[place], 0.0) + bump.window.contains(m)
