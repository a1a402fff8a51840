"""The learned background of a patch: what the likelihood line search divides by.

background = patch_background(run, patch)
background.log_density                      # ln p(G, BP-RP, mu1, mu2 | x, y) at each star
better = relearned(search, found, background, stars, footprint, seed=1)   # without what was found
sky = sample_sky(background, patch.stream_stars(), patch.geometry.footprint, seed=1)
"""

from __future__ import annotations

from via_machinae.background.columns import BackgroundColumns
from via_machinae.background.errors import BackgroundError
from via_machinae.background.learning import FEWEST_STARS, PatchBackground, fit_background, fit_stars
from via_machinae.background.recipe import BackgroundRecipe
from via_machinae.background.relearning import PASSING, Relearned, leaving, relearn, relearned, staying
from via_machinae.background.skies import DrawnSky, sample_sky
from via_machinae.background.storage import (
    background_folder,
    background_of,
    patch_background,
    read_background,
    write_background,
)

__all__ = [
    "FEWEST_STARS",
    "PASSING",
    "BackgroundColumns",
    "BackgroundError",
    "BackgroundRecipe",
    "DrawnSky",
    "PatchBackground",
    "Relearned",
    "background_folder",
    "background_of",
    "fit_background",
    "fit_stars",
    "leaving",
    "patch_background",
    "read_background",
    "relearn",
    "relearned",
    "sample_sky",
    "staying",
    "write_background",
]
