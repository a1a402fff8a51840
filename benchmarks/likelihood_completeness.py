"""The completeness map of the likelihood search: how many stars a stream needs, against distance and width.

Every mock patch of 10 deg holds four streams, one at each distance, of four different widths; four patches
with the widths passed on cover the map. The streams run right across the patch on lines of their own, with
[Fe/H] = -1.5, a velocity dispersion of 3 km/s and Gaia's errors. Each moves as a star of a halo without
rotation would, whose velocity is drawn from an isotropic dispersion of 130 km/s, seen from the moving Sun;
motions above 11 mas/yr in a component (the search goes to 15) are drawn again, their share is a figure.
Gradients have random directions and sizes up to 0.2 mas/yr/deg at 5 kpc, less in proportion farther out, as
perspective gives them. Nothing of this depends on the number of stars, which counts the observed ones.

Searched is as the command does: all distances, three ridges. "half" is the number of stars at which half of
the streams have a candidate of false-alarm probability below 0.01 (the rule of likelihood.py). A bound stands
where the range of stars does not hold it. The map is drawn next to the record (--figure).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import astropy.units as u
import numpy as np
from _likelihood_half import half_point, half_point_error
from _likelihood_judging import false_candidates, stream_figures
from _likelihood_parts import Job, Row, campaign_arguments, measured
from _likelihood_skies import (
    CENTRE,
    MOTION_LIMIT,
    Field,
    background_of,
    hidden_sky,
    lines_across,
    searched,
)
from astropy.coordinates import SkyCoord
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from reporting import Cell, arguments, print_table, report

from sky_patches.mock.kinematics import heliocentric
from sky_patches.mock.populations import galactocentric_frame
from streams.injection import ModelStream
from streams.ridges import old_ridges

DISTANCES = (5.0, 9.0, 15.0, 25.0)
WIDTHS = (0.1, 0.25, 0.5, 1.0)
STARS = (20, 40, 80, 160, 320)
HALO_DISPERSION = 130.0
"""Of each velocity component of halo stars, km/s."""
GRADIENT, GRADIENT_AT = 0.2, 5.0
"""Largest gradient, mas/yr/deg, at this distance in kpc."""
_DRAWS = 200


def halo_motion(
    centre: SkyCoord, field: Field, distance: float, rng: np.random.Generator
) -> tuple[tuple[float, float], int]:
    """Proper motion in the patch frame of a halo star in the middle, and how many draws lay outside."""
    icrs = centre.icrs
    place = SkyCoord(icrs.ra, icrs.dec, distance * u.kpc).transform_to(galactocentric_frame())
    xyz = np.repeat(place.cartesian.xyz.to_value(u.kpc)[None], _DRAWS, axis=0)
    seen = heliocentric(xyz, HALO_DISPERSION * rng.normal(size=(_DRAWS, 3)))
    motion = np.column_stack(
        field.geometry.frame.project_motions(
            *(np.asarray(seen[name], dtype=float) for name in ("ra", "dec", "pmra", "pmdec"))
        )
    )
    first = int(np.argmax((np.abs(motion) < MOTION_LIMIT).all(axis=1)))
    return (float(motion[first, 0]), float(motion[first, 1])), first


def gradient(distance: float, rng: np.random.Generator) -> tuple[float, float]:
    """Change of the proper motion along and across per degree, mas/yr/deg."""
    size = rng.uniform(0.0, GRADIENT * min(GRADIENT_AT / distance, 1.0))
    turn = rng.uniform(0.0, 2 * np.pi)
    return float(size * np.cos(turn)), float(size * np.sin(turn))


def work(job: Job) -> list[Row]:
    """One row per stream of a patch."""
    seed, turn, quick = int(job["seed"]), int(job["turn"]), bool(job["quick"])
    rng = np.random.default_rng([seed, turn, 17])
    field = Field.of(CENTRE, int(job["field"]), seed)
    drawn = [halo_motion(CENTRE, field, distance, rng) for distance in DISTANCES]
    motions = [motion for motion, _ in drawn]
    places = lines_across(field, motions, rng)
    widths = np.roll(WIDTHS, turn)
    recipes = [
        ModelStream(
            width=float(width), length=30.0, distance=distance, metallicity=-1.5,
            gradient=gradient(distance, rng),
        )
        for distance, width in zip(DISTANCES, widths, strict=True)
    ]  # fmt: skip
    streams = {
        f"{recipe.distance:g} kpc, {recipe.width:g} deg": (recipe, place, motion)
        for recipe, place, motion in zip(recipes, places, motions, strict=True)
    }
    sky = hidden_sky(field, streams, int(job["stars"]), (seed, turn, int(job["stars"])))
    background, learning = background_of(sky.stars, sky.geometry, seed, quick=quick)
    ridges = old_ridges()[1:2] if quick else old_ridges()
    done = searched(sky.stars, sky.geometry, background.log_density, ridges, quick=quick)
    return [
        {
            "seed": seed, "turn": turn, "distance": recipe.distance, "width": recipe.width,
            "stars": job["stars"], **stream_figures(done, sky.member(stream)),
            "gradient": float(np.hypot(*recipe.gradient)),
            "pm_phi1_cosphi2": stream.motion[0], "pm_phi2": stream.motion[1], "drawn_again": again,
            "false_candidates": false_candidates(done, sky), "seconds": learning + done.seconds,
        }
        for recipe, stream, (_, again) in zip(recipes, sky.streams, drawn, strict=True)
    ]  # fmt: skip


def half_of(rows: Sequence[Row], seeds: Sequence[int]) -> float:
    """Half point of some rows, over seeds of which one may come several times."""
    chosen = [row for seed in seeds for row in rows if row["seed"] == seed]
    return half_point(
        np.array([float(row["stars"]) for row in chosen]), np.array([bool(row["detected"]) for row in chosen])
    )


def cells_of(rows: Sequence[Row], seed: int) -> list[Row]:
    """The map: one row per distance and width that was tried."""
    cells = []
    for distance in DISTANCES:
        for width in WIDTHS:
            mine = [row for row in rows if (row["distance"], row["width"]) == (distance, width)]
            if not mine:
                continue
            seeds = sorted({int(row["seed"]) for row in mine})
            half = half_of(mine, seeds)
            error = half_point_error(seeds, lambda s, own=mine: half_of(own, s), seed=seed)
            numbers = sorted({int(row["stars"]) for row in mine})
            bound = "more" if not np.isfinite(half) else "at most" if half <= numbers[0] else ""
            f1 = [float(row["f1"]) for row in mine if row["stars"] == numbers[-1] and row["f1"] is not None]
            cells.append(
                {
                    "distance": distance,
                    "width": width,
                    "half": float(half) if np.isfinite(half) else float(numbers[-1]),
                    "bound": bound,
                    "half_error": float(error) if np.isfinite(error) else None,
                    "trials": len(mine),
                    "detected": sum(bool(row["detected"]) for row in mine),
                    "median_f1_of_richest": float(np.median(f1)) if f1 else None,
                }
            )
    return cells


def grid(cells: Sequence[Row]) -> list[Row]:
    """The map as a table of text: a line per width."""
    found = {(cell["distance"], cell["width"]): label(cell) for cell in cells}
    return [
        {"width, deg": width, **{f"{d:g} kpc": found.get((d, width)) for d in DISTANCES}} for width in WIDTHS
    ]


def label(cell: Row) -> str:
    """Half point of a cell, with the sign of a bound."""
    return {"more": "> ", "at most": "<= "}.get(str(cell["bound"]), "") + f"{cell['half']:.0f}"


def draw(cells: Sequence[Row]) -> Figure:
    """Stars needed against distance and width; cells that were not tried stay empty."""
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    image: Float[np.ndarray, "w d"] = np.full((len(WIDTHS), len(DISTANCES)), np.nan)
    for cell in cells:
        at = WIDTHS.index(float(cell["width"])), DISTANCES.index(float(cell["distance"]))
        image[at] = float(cell["half"])
        axes.text(at[1], at[0], label(cell), ha="center", va="center", color="white", fontsize=12)
    shown = axes.imshow(
        image, origin="lower", aspect="auto", cmap="viridis_r", norm=LogNorm(min(STARS) / 2, 2 * max(STARS))
    )
    axes.set_xticks(range(len(DISTANCES)), [f"{one:g}" for one in DISTANCES])
    axes.set_yticks(range(len(WIDTHS)), [f"{one:g}" for one in WIDTHS])
    axes.set(xlabel="distance [kpc]", ylabel="width, Gaussian sigma [deg]")
    axes.set_title("observed stars of a stream that is found in half of the cases", fontsize=11)
    figure.colorbar(shown, ax=axes, label="stars")
    return figure


def write(figure: Figure, path: Path) -> Path:
    """The figure as PNG; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".png")
    os.close(handle)
    figure.savefig(temporary, dpi=160, metadata={"Software": None})
    Path(temporary).chmod(0o644)
    os.replace(temporary, path)
    return path


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """Seed by seed, so that a stopped campaign has whole maps of fewer seeds."""
    shared = {"field": options.field, "quick": options.quick}
    return [
        {"seed": seed, "turn": turn, "stars": stars, **shared}
        for seed in range(options.seed, options.seed + options.seeds)
        for turn in range(1 if options.quick else len(WIDTHS))
        for stars in options.stars
    ]


def figures_of(rows: Sequence[Row]) -> dict[str, Cell]:
    """Counts over the whole map."""
    patches = {(row["seed"], row["turn"], row["stars"]): row["false_candidates"] for row in rows}
    again = {(row["seed"], row["turn"], row["distance"]): int(row["drawn_again"]) for row in rows}
    return {
        "patches": len(patches),
        "streams": len(rows),
        "false_candidates": sum(int(one) for one in patches.values()),
        "motions_drawn_again": sum(again.values()) / (sum(again.values()) + len(again)),
    }


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=5, help="maps, from --seed on (--quick: part of one)")
    parser.add_argument("--field", type=int, default=100_000, help="field stars (--quick: 5,000)")
    parser.add_argument("--stars", type=int, nargs="+", default=STARS, help="of each stream (--quick: 80)")
    parser.add_argument("--figure", type=Path, default=None, metavar="PNG", help="default: next to --json")
    campaign_arguments(parser)


def main() -> None:
    """Measure what is missing, print, draw and record: the record has the map and every stream."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if options.quick:
        options.seeds, options.field, options.stars = 1, 5_000, (80,)
    rows = measured(work, jobs_of(options), options.workers, options.scratch)
    cells = cells_of(rows, options.seed)
    path = options.figure or (options.json.with_suffix(".png") if options.json else None)
    if path is not None:
        print("wrote", write(draw(cells), path))
    report("likelihood_completeness", options, rows=[*cells], figures=figures_of(rows))
    print_table(grid(cells))


if __name__ == "__main__":
    main()
