"""Windows of the resonant feature, and the sidebands beside them."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite

import numpy as np
from jaxtyping import Bool, Float

from density.errors import WindowError

__all__ = ["Window", "window_grid"]


@dataclass(frozen=True, order=True)
class Window:
    """Half-open interval [low, high) of the resonant feature: the signal region.

    Args:
        low: Lower edge, inside the window; the unit of the resonant feature.
        high: Upper edge, outside the window.

    Raises:
        WindowError: an edge is not finite, or the window is empty.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise WindowError(f"a window needs finite edges with low < high; got [{self.low}, {self.high})")

    @property
    def centre(self) -> float:
        """Middle of the window."""
        return 0.5 * (self.low + self.high)

    @property
    def width(self) -> float:
        """high - low."""
        return self.high - self.low

    def contains(self, m: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which values lie in [low, high); NaN lies nowhere.

        Args:
            m: Resonant feature, shape (n,).
        """
        m = np.asarray(m)
        return (m >= self.low) & (m < self.high)

    def sidebands(
        self, m: Float[np.ndarray, " n"], *, margin: float = 0.0, reach: float | None = None
    ) -> Bool[np.ndarray, " n"]:
        """Which values lie beside the window, in [low - reach, low - margin) or [high + margin, high +
        reach).

        Args:
            m: Resonant feature, shape (n,).
            margin: Gap left between window and sidebands, so that the wings of a signal stay out of them.
            reach: Outer edge of the sidebands, measured from the window's edges; None: the whole complement.

        Returns:
            Mask, shape (n,); False for NaN.

        Raises:
            WindowError: negative margin, or a reach that does not exceed it.
        """
        if not margin >= 0:
            raise WindowError(f"the margin of the sidebands must not be negative; got {margin}")
        if reach is not None and not reach > margin:
            raise WindowError(f"the reach of the sidebands must exceed their margin {margin}; got {reach}")
        m = np.asarray(m)
        outer = np.inf if reach is None else reach
        below = (m >= self.low - outer) & (m < self.low - margin)
        above = (m >= self.high + margin) & (m < self.high + outer)
        return below | above


def window_grid(low: float, high: float, width: float, step: float) -> tuple[Window, ...]:
    """Windows of equal width, stepped over [low, high], all of them inside it.

    Args:
        low: Lower edge of the first window.
        high: No window reaches beyond this.
        width: Width of each window.
        step: Distance between neighbouring windows.

    Returns:
        Windows in ascending order; each edge is `low` plus a multiple of `step`, not an accumulated sum.

    Raises:
        WindowError: width or step is not positive, or not one window fits.
    """
    if not (width > 0 and step > 0):
        raise WindowError(f"windows need a positive width and step; got width {width}, step {step}")
    # A relative tolerance keeps the last window when the division falls a rounding error short.
    last = floor((high - low - width) / step + 1e-9)
    if not last >= 0:
        raise WindowError(f"no window of width {width} fits into [{low}, {high}]; widen the range")
    return tuple(Window(low + k * step, low + k * step + width) for k in range(last + 1))
