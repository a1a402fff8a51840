"""The backgrounds of all windows of a scan: one pass, with or without combs and a warm start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from density.errors import TrainingError, WindowError
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.seeds import child_seed
from density.together.comb import comb_groups, comb_sidebands
from density.together.fit_together import best_device, fit_together
from density.together.stacked_rows import held_out_rows
from density.training import Progress
from density.windows import Window

__all__ = ["FittedBackgrounds", "WarmStart", "WindowBackgrounds"]


@dataclass(frozen=True)
class WarmStart:
    """Begin at one flow of all rows, and tune it on the sidebands.

    The flow of all rows has seen the signal, and the tuning must make it forget: fewer epochs save time at
    that risk, and a lower rate forgets less (`benchmarks/windows_together.py` measures it).

    Args:
        epochs: Most epochs of the tuning.
        rate: Peak learning rate of the tuning over that of the recipe.
    """

    epochs: int = 3
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.rate <= 1:
            raise TrainingError(
                f"a warm start needs epochs >= 1 and 0 < rate <= 1; got {self.epochs} and {self.rate}"
            )

    def tuning(self, flow: ConditionalFlow) -> ConditionalFlow:
        """The recipe of the tuning: that of the flow, shorter and slower."""
        return replace(flow, epochs=self.epochs, learning_rate=self.rate * flow.learning_rate)


@dataclass(frozen=True)
class WindowBackgrounds:
    """Recipe of the backgrounds p(x | m) of many windows, each interpolated from its sidebands.

    Args:
        flow: Recipe of each flow.
        comb: Let one flow leave out several windows at once; otherwise each window has its own.
        gap: Least width of the sideband between two windows of a comb; None: that of the widest window.
        warm: Begin at a flow of all rows; None: each flow starts from scratch.
        margin: Gap between windows and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        together: Most flows trained in one pass, which bounds the memory; None: all of them.
    """

    flow: ConditionalFlow = field(default_factory=ConditionalFlow)
    comb: bool = True
    gap: float | None = None
    warm: WarmStart | None = None
    margin: float = 0.0
    reach: float | None = None
    together: int | None = None

    def __post_init__(self) -> None:
        if self.together is not None and self.together < 1:
            raise TrainingError(f"expected together >= 1 or None; got {self.together}")

    def groups(self, windows: Sequence[Window]) -> tuple[tuple[Window, ...], ...]:
        """The windows of each flow."""
        if self.comb:
            return comb_groups(windows, gap=self.gap, margin=self.margin)
        return tuple((window,) for window in sorted(set(windows)))

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, " n"],
        windows: Sequence[Window],
        *,
        seed: int,
        start: FlowDensity | None = None,
        progress: Progress | None = None,
        device: str | None = None,
    ) -> FittedBackgrounds:
        """Fit the backgrounds of all windows. The order of rows and windows does not matter.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
            windows: The windows of the scan.
            seed: Root of all random streams; a flow's own depends on its windows alone.
            start: The flow of all rows, where a warm start is wanted and it exists; otherwise it is fitted.
            progress: See `fit_together`; called for the flow of all rows too.
            device: torch device to train on; None: a GPU where there is one.

        Raises:
            WindowError: no windows, or a gap, margin or reach that makes no sense.
            TrainingError: `start` without a warm start, or too few rows beside a window.
            FeatureError: a feature is constant, not finite or outside its bounds.
        """
        if not windows:
            raise WindowError("expected at least one window; got none")
        if start is not None and self.warm is None:
            raise TrainingError("got a flow to start from, but the recipe has no warm start; set warm")
        groups, passes = self.groups(windows), 0
        m = np.asarray(m, dtype=np.float64)
        if self.warm is not None and start is None:
            start = self.flow.fit(
                x, m, seed=child_seed(seed, "all rows"), progress=progress, device=device or best_device()
            )
            passes = self._passes(start, len(m))
        recipe = self.flow if self.warm is None else self.warm.tuning(self.flow)
        densities: list[FlowDensity] = []
        size = self.together or len(groups)
        for part in (groups[first : first + size] for first in range(0, len(groups), size)):
            use = np.array([self._sidebands(m, group) for group in part])
            seeds = [child_seed(seed, *map(_name, group)) for group in part]
            fitted = fit_together(
                recipe, x, m, use, seeds=seeds, start=start, progress=progress, device=device
            )
            densities += fitted
            passes += sum(map(self._passes, fitted, use.sum(axis=1).tolist()))
        return FittedBackgrounds(self, groups, tuple(densities), start, passes)

    def most_passes(self, m: Float[np.ndarray, " n"], windows: Sequence[Window]) -> int:
        """Star-passes of a fit in which no flow stops early, that of all rows included.

        Args:
            m: Resonant feature, shape (n,).
            windows: The windows of the scan.
        """
        epochs = self.flow.epochs if self.warm is None else self.warm.epochs
        total = 0 if self.warm is None else self._training_rows(len(m)) * self.flow.epochs
        for group in self.groups(windows):
            total += self._training_rows(int(self._sidebands(m, group).sum())) * epochs
        return total

    def _sidebands(self, m: np.ndarray, group: tuple[Window, ...]) -> np.ndarray:
        return comb_sidebands(m, group, margin=self.margin, reach=self.reach)

    def _training_rows(self, rows: int) -> int:
        return rows - held_out_rows(rows, self.flow.validation_fraction)

    def _passes(self, density: FlowDensity, rows: int) -> int:
        return self._training_rows(rows) * len(density.history.training_loss)


def _name(window: Window) -> str:
    """The same for equal windows, whatever type of number their edges are."""
    return f"{float(window.low)!r} {float(window.high)!r}"


@dataclass(frozen=True, eq=False)
class FittedBackgrounds(Mapping[Window, FlowDensity]):
    """The background of each window, to be looked up by the window: `Cathode(background=fitted[window])`.

    Windows of one comb share one density.

    Args:
        recipe: What it was fitted with.
        groups: The windows that each flow leaves out.
        densities: One flow per group.
        start: The flow of all rows, where the flows began at it.
        star_passes: Training rows times epochs, summed over all flows that were fitted, that of all rows
            included if it was fitted here.
    """

    recipe: WindowBackgrounds
    groups: tuple[tuple[Window, ...], ...]
    densities: tuple[FlowDensity, ...]
    start: FlowDensity | None
    star_passes: int

    def __getitem__(self, window: Window) -> FlowDensity:
        """The density that leaves out this window.

        Raises:
            KeyError: no flow was fitted for it.
        """
        for group, density in zip(self.groups, self.densities, strict=True):
            if window in group:
                return density
        raise KeyError(window)

    def __iter__(self) -> Iterator[Window]:
        return iter(sorted(window for group in self.groups for window in group))

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    @property
    def passes_per_window(self) -> float:
        """Star-passes spent on a window, on average."""
        return self.star_passes / len(self)
