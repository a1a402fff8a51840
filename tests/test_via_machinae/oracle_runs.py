"""Runs whose scores come from an ideal detector that knows what is hidden, and no positions: made at once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from sky_patches import CatalogStore, read_stars
from via_machinae import Config, Run, plan_run
from via_machinae.config import config_from
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import RETRAINED, Unit

__all__ = ["HiddenSky", "make_run", "two_patches"]

STREAM_STARS, CLUSTER_STARS, FIELD_STARS = 260, 90, 5500
STREAM_MOTION, CLUSTER_MOTION = (7.0, 5.0), (-6.0, 4.0)
CENTRE = (150.0, 30.0)
CLUSTER_PLACE = (0.0, 2.2)
"""East and North of the centre, deg."""
TILT = 0.15
_FIELD_SIGMA, _COLOUR = 4.0, 0.7


@dataclass(frozen=True)
class HiddenSky:
    """Six degrees around the centre, and the names of the stars of a stream and a cluster in it."""

    stars: Table
    stream: np.ndarray
    cluster: np.ndarray

    @classmethod
    def make(cls, seed: int = 11) -> HiddenSky:
        """A field, a stream eleven degrees long, and a cluster beside it."""
        rng = np.random.default_rng(seed)
        radius = 6.2 * np.sqrt(rng.random(FIELD_STARS))
        angle = rng.uniform(0, 2 * np.pi, FIELD_STARS)
        along, across = rng.uniform(-5.5, 5.5, STREAM_STARS), rng.normal(0, 0.1, STREAM_STARS)
        near = rng.normal(0, 0.04, (2, CLUSTER_STARS)) + np.array(CLUSTER_PLACE)[:, None]
        x = np.r_[radius * np.cos(angle), along * np.cos(TILT) - across * np.sin(TILT), near[0]]
        y = np.r_[radius * np.sin(angle), along * np.sin(TILT) + across * np.cos(TILT), near[1]]
        number, hidden = len(x), STREAM_STARS + CLUSTER_STARS
        motion = np.concatenate(
            [
                rng.normal((0.0, -1.0), _FIELD_SIGMA, (FIELD_STARS, 2)),
                rng.normal(STREAM_MOTION, 0.25, (STREAM_STARS, 2)),
                rng.normal(CLUSTER_MOTION, 0.25, (CLUSTER_STARS, 2)),
            ]
        )
        ids = 10**17 + rng.permutation(number)
        stars = Table(
            {
                "source_id": ids,
                "ra": CENTRE[0] + x / np.cos(np.radians(CENTRE[1] + y)),
                "dec": CENTRE[1] + y,
                "pmra": motion[:, 0],
                "pmdec": motion[:, 1],
                "phot_g_mean_mag": np.r_[20 - rng.exponential(1.5, FIELD_STARS), rng.uniform(17, 20, hidden)],
                "bp_rp": np.r_[rng.normal(1.0, 0.35, FIELD_STARS), rng.normal(_COLOUR, 0.05, hidden)],
            }
        )
        return cls(stars, ids[FIELD_STARS : FIELD_STARS + STREAM_STARS], ids[FIELD_STARS + STREAM_STARS :])

    def shuffled(self, seed: int) -> HiddenSky:
        """The same sky with its rows in another order."""
        order = np.random.default_rng(seed).permutation(len(self.stars))
        return HiddenSky(self.stars[order], self.stream, self.cluster)


def two_patches(**sections: dict[str, Any]) -> Config:
    """Two patches that overlap by half, few windows, few null skies.

    Args:
        sections: of the configuration, more keys for each.
    """
    shift = 2.0 / np.cos(np.radians(CENTRE[1]))
    base: dict[str, dict[str, Any]] = {
        "run": {"seed": 3, "workers": 2},
        "windows": {"step": 3.0, "min_stars": 250},
        "regions": {"step": 3.0},
        "significance": {"null_skies": 20},
        "detector": {"retrainings": 2},
    }
    for name, keys in sections.items():
        base[name] = {**base.get(name, {}), **keys}
    patches = [
        {"name": name, "ra": CENTRE[0] + side * shift, "dec": CENTRE[1], "radius": 4.0}
        for name, side in (("west", -1), ("east", 1))
    ]
    return config_from({**base, "patches": patches}, "test")


def make_run(directory: Path, sky: HiddenSky, config: Config) -> Run:
    """A store of the sky and a finished run of it.

    Args:
        directory: where `store` and `run` go.
        sky: the sky.
        config: of the run.
    """
    store = CatalogStore.create(directory / "store", name="hidden")
    store.append(read_stars(sky.stars).stars, provenance={"origin": "test"})
    run = plan_run(directory / "store", directory / "run", config)
    for geometry in run.geometries:
        patch = load_patch(store, geometry, config)
        for unit in run.units:
            if unit.patch == geometry.name:
                _write(run, unit, patch)
    return run


def _write(run: Run, unit: Unit, patch: PatchStars) -> None:
    motion = patch.values(unit.component)
    rows = np.flatnonzero((motion >= unit.low) & (motion < unit.high))
    trainings = np.array([_scores(patch, rows, number) for number in range(run.config.detector.retrainings)])
    arrays = {"source_id": patch.source_id[rows], "log_ratio": trainings[0].astype(np.float32)}
    if len(trainings) > 1:
        arrays[RETRAINED] = trainings[1:].astype(np.float32)
    path = run.scores_path(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def _scores(patch: PatchStars, rows: np.ndarray, training: int) -> Float[np.ndarray, " n"]:
    """The density ratio of hidden stars to field stars in motion and colour, with a training's noise."""
    motion = np.column_stack([patch.values("pmra"), patch.values("pmdec")])[rows]
    colour = patch.values("bp_rp")[rows]
    hidden = np.zeros(len(rows))
    for number, centre in ((STREAM_STARS, STREAM_MOTION), (CLUSTER_STARS, CLUSTER_MOTION)):
        hidden += number * _normal(motion - centre, 0.4).prod(axis=1) * _normal(colour - _COLOUR, 0.08)
    field = _normal(motion - np.array([0.0, -1.0]), _FIELD_SIGMA).prod(axis=1) * _normal(colour - 1.0, 0.35)
    # Of each star its own, whatever the order of the rows.
    noise = [zlib.crc32(f"{star} {training}".encode()) / 2**32 for star in patch.source_id[rows].tolist()]
    return np.log(1 + hidden / (FIELD_STARS * field + 1e-12)) + 0.3 * np.array(noise)


def _normal(x: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * (x / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
