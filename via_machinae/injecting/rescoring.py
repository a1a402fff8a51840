"""The scores of a patch with injected stars: windows that hold some anew, the others as the run has them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from streams import WindowScores
from via_machinae.injecting.field import Field
from via_machinae.patch_stars import PatchStars
from via_machinae.scoring import scores_of

__all__ = ["rescored", "touched"]


def touched(field: Field, patch: PatchStars, injected: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " units"]:
    """Which windows of the run hold an injected star."""
    rows = np.searchsorted(patch.source_id, injected)
    held = []
    for unit in field.units:
        m = patch.values(unit.component)[rows]
        held.append(bool(((m >= unit.low) & (m < unit.high)).any()))
    return np.array(held, dtype=bool)


def rescored(
    field: Field, patch: PatchStars, injected: Int[np.ndarray, " n"], *, all_windows: bool
) -> list[list[WindowScores]]:
    """Scores of every window, by each training, as rows of the patch with the injected stars in it.

    Windows without an injected star keep the run's scores: none of their stars has changed, only their
    sidebands have gained a few, a share of the sideband that is the stream's share of the patch or less.
    Windows are those of the run: none is added where the injected stars would make one large enough.

    Args:
        field: the patch of the run.
        patch: the same with injected stars.
        injected: their source_id.
        all_windows: score every window anew.

    Raises:
        DensityError: a model could not be trained.
    """
    anew = touched(field, patch, injected) | all_windows
    return [
        [
            scores_of(patch, unit, field.run.config, retraining=number)
            if again
            else _kept(window, field, patch)
            for unit, window, again in zip(field.units, windows, anew, strict=True)
        ]
        for number, windows in enumerate(field.trainings)
    ]


def _kept(window: WindowScores, field: Field, patch: PatchStars) -> WindowScores:
    """The run's scores, as rows of the larger table."""
    rows = np.searchsorted(patch.source_id, field.patch.source_id[window.rows])
    return WindowScores(window.component, window.low, window.high, rows, window.log_ratio)
