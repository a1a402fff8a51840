"""A patch's background: learned once, evaluated once per star, ready for other stars too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from density import FlowDensity, child_seed
from density.ordering import content_hash
from sky_patches import Footprint
from streams import StreamStars
from via_machinae.background.columns import BackgroundColumns
from via_machinae.background.errors import BackgroundError
from via_machinae.background.recipe import BackgroundRecipe
from via_machinae.patch_stars import PatchStars

__all__ = ["FEWEST_STARS", "PatchBackground", "fit_background", "fit_stars", "fold_of"]

FEWEST_STARS = 200
"""Of a background."""


@dataclass(frozen=True, eq=False)
class PatchBackground:
    """The observed density of a patch's stars, conditional on position, and its value at each of them.

    Args:
        recipe: how it was learned.
        seed: with which seed.
        columns: features and context.
        source_id: the stars it was learned from, ascending.
        log_density: ln p(features | context) of each of them: one over (mas/yr)^2, and mag^2 with photometry.
        flows: the flow; with folds one for each, which has not seen the stars of that fold.
    """

    recipe: BackgroundRecipe
    seed: int
    columns: BackgroundColumns
    source_id: Int[np.ndarray, " n"]
    log_density: Float[np.ndarray, " n"]
    flows: tuple[FlowDensity, ...]

    def log_density_of(self, stars: StreamStars) -> Float[np.ndarray, " n"]:
        """ln p(features | context) of any stars of the patch; -inf beyond the faint limit.

        Raises:
            BackgroundError: photometry is missing.
            FeatureError: a value is not finite.
        """
        return _evaluate(self.flows, self.columns, stars, self.fold(stars.source_id))

    def fold(self, source_id: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Number of the flow that speaks for each star."""
        return fold_of(source_id, len(self.flows), self.seed)

    def draw_features(
        self, context: Float[np.ndarray, "n c"], fold: Int[np.ndarray, " n"], *, seed: int
    ) -> Float[np.ndarray, "n d"]:
        """One draw of the features for each row of a context, in the order of `columns.features`."""
        drawn = np.empty((len(context), len(self.columns.features)))
        for number, flow in enumerate(self.flows):
            rows = fold == number
            drawn[rows] = flow.sample(context[rows], seed=child_seed(seed, "features", number))
        return drawn


def fit_background(
    patch: PatchStars,
    recipe: BackgroundRecipe | None = None,
    *,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> PatchBackground:
    """Learn the background of a patch from its stars.

    Args:
        patch: the stars; whatever stream they hold is learned too, as far as the flow can follow it.
        recipe: how; None: the defaults.
        seed: same seed, same stars: same background, whatever their order.
        progress: called after each epoch of each flow; `recipe.epochs * recipe.folds` times at most.

    Raises:
        BackgroundError: fewer than 200 stars, or stars beyond the recipe's faint limit.
        DensityError: a feature is constant or not finite, or the flow cannot be trained.
    """
    return fit_stars(patch.stream_stars(), patch.geometry.footprint, recipe, seed=seed, progress=progress)


def fit_stars(
    stars: StreamStars,
    footprint: Footprint,
    recipe: BackgroundRecipe | None = None,
    *,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> PatchBackground:
    """Learn the background of any stars in a footprint: an injected or a drawn sky; see `fit_background`.

    Args:
        stars: the stars, in any order; the result keeps it.
        footprint: only its centre is used.
        recipe, seed, progress: as `fit_background`.
    """
    recipe = BackgroundRecipe() if recipe is None else recipe
    if len(stars) < FEWEST_STARS:
        raise BackgroundError(f"a background needs {FEWEST_STARS} stars or more; got {len(stars)}")
    columns = BackgroundColumns.of(stars, footprint, recipe)
    fold = fold_of(stars.source_id, recipe.folds, seed)
    flows = tuple(
        _flow(stars, _training_rows(stars, fold, number, recipe, seed), columns, recipe,
              child_seed(seed, "background", number), progress)
        for number in range(recipe.folds)
    )  # fmt: skip
    log_density = _evaluate(flows, columns, stars, fold)
    return PatchBackground(recipe, seed, columns, np.array(stars.source_id), log_density, flows)


def fold_of(source_id: Int[np.ndarray, " n"], folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """Fold of each star, from its identifier alone: a star keeps its fold in any table."""
    if folds == 1:
        return np.zeros(len(source_id), dtype=np.int64)
    return (_hash(source_id, seed) % np.uint64(folds)).astype(np.int64)


def _hash(source_id: Int[np.ndarray, " n"], seed: int) -> UInt64[np.ndarray, " n"]:
    # 64-bit identifiers do not fit a float: their halves do.
    halves = np.asarray(source_id, dtype=np.int64).view(np.uint64)
    high, low = halves >> np.uint64(32), halves & np.uint64(0xFFFFFFFF)
    return content_hash(np.column_stack([high, low]).astype(float), seed=seed).view(np.uint64)


def _training_rows(
    stars: StreamStars, fold: Int[np.ndarray, " n"], number: int, recipe: BackgroundRecipe, seed: int
) -> Bool[np.ndarray, " n"]:
    """Stars outside the fold, thinned to the number that the recipe allows, whatever their order."""
    rows = np.ones(len(stars), dtype=bool) if recipe.folds == 1 else fold != number
    if rows.sum() <= recipe.most_stars:
        return rows
    rank = _hash(stars.source_id, child_seed(seed, "thinning"))
    limit = np.partition(rank[rows], recipe.most_stars - 1)[recipe.most_stars - 1]
    return rows & (rank <= limit)


def _flow(
    stars: StreamStars, rows: Bool[np.ndarray, " n"], columns: BackgroundColumns,
    recipe: BackgroundRecipe, seed: int, progress: Callable[[], None] | None,
) -> FlowDensity:  # fmt: skip
    flow = recipe.flow(*columns.bounds())
    told = None if progress is None else lambda *_: progress()
    return flow.fit(
        columns.features_of(stars)[rows], columns.context_of(stars)[rows], seed=seed, progress=told
    )


def _evaluate(
    flows: tuple[FlowDensity, ...], columns: BackgroundColumns, stars: StreamStars, fold: np.ndarray
) -> Float[np.ndarray, " n"]:
    features, context = columns.features_of(stars), columns.context_of(stars)
    log_density = np.full(len(stars), -np.inf)
    for number, flow in enumerate(flows):
        mine = fold == number
        # Values that are no numbers go on to the flow, which names them.
        beyond = np.isfinite(features).all(axis=1) & ~flow.feature_map.inside(features)
        rows = mine & ~beyond
        log_density[rows] = flow.log_prob(features[rows], context[rows])
    return log_density
