"""A small sky with a bright stream on a colour-magnitude ridge, for the likelihood search."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from streams.ridges import gaia_colour_error, old_ridges

__all__ = ["DISTANCE_KPC", "SEARCH_SETTINGS", "STREAM_STARS", "sky_with_a_stream"]

STREAM_STARS, FIELD_STARS = 60, 5000
MODULUS = 15.0
DISTANCE_KPC = 10.0
STREAM_MOTION = (5.0, 3.5)
RADIUS = 5.0
SEARCH_SETTINGS = """
[run]
seed = 3
workers = 1
[search]
moduli = [15.0]
motion_limit = 7.0
motion_step = 1.0
angle_step = 6.0
widths = [1.0]
gradients = [0.0]
ridges = "old"
relearn = 1
[significance]
report_below = 0.01
max_candidates = 1
[search.background]
layers = 1
hidden = 24
epochs = 4
"""


def sky_with_a_stream(seed: int = 5, stream: int = STREAM_STARS, *, colours: bool = True) -> Table:
    """A circle of 5 deg around (150, 30): a field, and a stream 9 deg long, whose stars are the last rows."""
    rng = np.random.default_rng(seed)
    radius, angle = RADIUS * np.sqrt(rng.random(FIELD_STARS)), rng.uniform(0, 2 * np.pi, FIELD_STARS)
    along, across = rng.uniform(-4.5, 4.5, stream), rng.normal(0, 0.12, stream)
    x = np.r_[radius * np.cos(angle), along * np.cos(0.5) - across * np.sin(0.5)]
    dec = 30 + np.r_[radius * np.sin(angle), along * np.sin(0.5) + across * np.cos(0.5)]
    ridge = old_ridges()[1]
    absolute = rng.choice(ridge.absolute, 4000, p=_shares(ridge.log_luminosity))
    g = absolute + MODULUS
    g = g[(g > 16) & (g < 20)][:stream]
    bp_rp = ridge.colour(g - MODULUS) + rng.normal(0, 0.05, stream)
    bp_rp += rng.normal(0, 1, stream) * gaia_colour_error(g, bp_rp)
    number = FIELD_STARS + stream
    motion = np.r_[
        rng.normal((0.0, -1.0), 3.5, (FIELD_STARS, 2)), rng.normal(STREAM_MOTION, 0.2, (stream, 2))
    ]
    columns = {
        "source_id": 10**17 + rng.permutation(number),
        "ra": 150 + x / np.cos(np.radians(dec)),
        "dec": dec,
        "pmra": motion[:, 0],
        "pmdec": motion[:, 1],
        "pmra_error": np.full(number, 0.15),
        "pmdec_error": np.full(number, 0.15),
    }
    if colours:
        columns["phot_g_mean_mag"] = np.r_[20 - rng.exponential(1.5, FIELD_STARS), g]
        columns["bp_rp"] = np.r_[rng.normal(1.0, 0.35, FIELD_STARS), bp_rp]
    return Table(columns)


def _shares(log_luminosity: np.ndarray) -> np.ndarray:
    shares = np.exp(log_luminosity - log_luminosity.max())
    return shares / shares.sum()
