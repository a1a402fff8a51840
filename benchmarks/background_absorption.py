"""Does the learned background absorb the stream? A search over backgrounds learned with and without it.

A mock patch of 10 deg holds two streams like those of `likelihood.py` (9 kpc, width 0.25 deg, gradients): one
at the peak of the proper-motion plane ("dense"), one where its density is 3 % of that ("sparse"), of as many
observed stars each. The patch is searched, with the right ridge, over three backgrounds: "without", learned
from the field before the streams came; "with", learned from all stars, as every search does it; "relearned",
learned from those that are left when the members of what passed have gone, once
(`via_machinae.background.relearned`). A stream that did not pass stays in.

"contrast" and "significance" are those of the stream's best hypothesis (none: not among those listed), "loss"
the share of the contrast over "without" that is gone, "shift" the mean rise of ln p_background at the
stream's stars, "f1" that of the fitted candidate's members (none: not reported), "left" the number of stars,
of both streams and the field, that the relearned background was not learned from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np
from _likelihood_judging import stream_figures
from _likelihood_parts import Row
from _likelihood_skies import (
    CENTRE,
    QUICK_SEARCH,
    Field,
    HiddenSky,
    HiddenStream,
    Searched,
    hidden_sky,
    lines_across,
    motions_at,
)
from jaxtyping import Float
from likelihood import STREAM, ridges_of
from reporting import Cell, arguments, report

from streams.likelihood import SearchRecipe
from streams.likelihood.candidates import LikelihoodFound
from streams.likelihood.finder import LikelihoodSearch
from via_machinae.background import BackgroundRecipe, PatchBackground, fit_stars, relearned

__all__ = ["main", "sky_rows"]

PLACES = {"dense": 1.0, "sparse": 0.03}
"""Density of the field in the proper-motion plane, relative to its peak."""
STARS = (40, 300, 1000)


def sky_of(field: Field, stars: int, seed: int) -> HiddenSky:
    """The field with the streams; places and lines do not depend on their number of stars."""
    rng = np.random.default_rng([seed, 17])
    motions = motions_at(field, list(PLACES.values()), rng)
    places = lines_across(field, motions, rng)
    streams = {
        name: (STREAM, place, motion) for name, place, motion in zip(PLACES, places, motions, strict=True)
    }
    return hidden_sky(field, streams, stars, (seed, 19, stars))


def sky_rows(field: Field, clean: PatchBackground, stars: int, finder: LikelihoodSearch) -> list[Row]:
    """One row per stream and background.

    Args:
        field: without streams.
        clean: its background; recipe and seed of the others too.
        stars: of each stream.
        finder: the search.
    """
    sky, start = sky_of(field, stars, clean.seed), time.process_time()
    footprint = sky.geometry.footprint
    background = fit_stars(sky.stars, footprint, clean.recipe, seed=clean.seed)
    without = clean.log_density_of(sky.stars)
    found = {
        name: finder.find(sky.stars, footprint, values)
        for name, values in (("without", without), ("with", background.log_density))
    }
    better = relearned(finder, found["with"], background, sky.stars, footprint, seed=clean.seed)
    values = {"without": without, "with": background.log_density, "relearned": better.background.log_density}
    # Searched again: the contrast is that of a search over this background.
    found["relearned"] = finder.find(sky.stars, footprint, values["relearned"])
    seconds = time.process_time() - start
    rows = [row for stream in sky.streams for row in _of_stream(stream, sky, found, values)]
    return [{"stars": stars, **row, "left": better.left, "cpu_seconds": seconds} for row in rows]


def _of_stream(
    stream: HiddenStream,
    sky: HiddenSky,
    found: Mapping[str, LikelihoodFound],
    values: Mapping[str, Float[np.ndarray, " n"]],
) -> list[Row]:
    member = sky.member(stream)
    rows: list[Row] = []
    for name, one in found.items():
        figures = stream_figures(Searched(one, 0.0), member)
        rows.append(
            {
                "place": stream.name,
                "background": name,
                "contrast": figures["contrast"],
                "significance": figures["significance"],
                "loss": _loss(figures["contrast"], rows[0]["contrast"] if rows else figures["contrast"]),
                "shift": float((values[name] - values["without"])[member].mean()),
                "detected": figures["detected"],
                "f1": figures["f1"],
            }
        )
    return rows


def _loss(contrast: Cell, clean: Cell) -> float | None:
    return None if contrast is None or clean is None else 1.0 - float(contrast) / float(clean)


def figures_of(rows: list[Row]) -> dict[str, Cell]:
    """The largest loss and shift of each background."""
    figures: dict[str, Cell] = {}
    for name in ("with", "relearned"):
        mine = [row for row in rows if row["background"] == name]
        losses = [float(row["loss"]) for row in mine if row["loss"] is not None]
        figures[f"largest loss, {name}"] = max(losses, default=None)
        figures[f"largest shift, {name}"] = max(float(row["shift"]) for row in mine)
    return figures


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--field", type=int, default=100_000, help="field stars (--quick: 5,000)")
    parser.add_argument("--stars", type=int, nargs="+", default=STARS, help="of each stream (--quick: 300)")


def main() -> None:
    """Learn, search, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    recipe, search = BackgroundRecipe(), SearchRecipe()
    if options.quick:
        options.field, options.stars = 5_000, (300,)
        recipe, search = BackgroundRecipe(epochs=3), QUICK_SEARCH
    finder = LikelihoodSearch(recipe=search, ridges=ridges_of("true", options.seed))
    field = Field.of(CENTRE, options.field, options.seed)
    clean = fit_stars(field.stars, field.geometry.footprint, recipe, seed=options.seed)
    rows: list[Row] = []
    for stars in options.stars:
        rows += sky_rows(field, clean, stars, finder)
        print("done:", *rows[-6:], sep="\n  ", flush=True)
    report("background_absorption", options, rows=rows, figures=figures_of(rows))


if __name__ == "__main__":
    main()
