"""What a result of the likelihood search depends on, as one word: another word, another result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from streams.catalog import CATALOG_SCHEMA
from streams.ridges import Ridge
from via_machinae.config import Config
from via_machinae.patch_stars import PatchStars
from via_machinae.version import __version__

__all__ = ["FORMAT", "null_key", "unit_key"]

FORMAT = 1
"""Of the files of a searched patch."""


def null_key(config: Config, patch: PatchStars, ridges: Sequence[Ridge]) -> str:
    """Of a null sky: version, grid, background, seed, footprint, stars and ridges.

    Whether a ridge was asked for by one name or another does not matter.
    """
    search = config.search.model_dump(mode="json", exclude={"null_skies", "ridges", "relearn"})
    told = [FORMAT, __version__, search, config.run.seed, patch.geometry.to_dict()]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    stars = patch.stream_stars()
    for values in (stars.source_id, stars.position, stars.proper_motion, stars.proper_motion_error):
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(" ".join(stars.photometry_names).encode() + stars.photometry.tobytes())
    for ridge in ridges:
        digest.update(ridge.name.encode())
        for nodes in (ridge.absolute, ridge.bp_rp, ridge.log_luminosity):
            digest.update(np.ascontiguousarray(nodes).tobytes())
    return digest.hexdigest()


def unit_key(config: Config, patch: PatchStars, ridges: Sequence[Ridge]) -> str:
    """Of a searched patch: all of that, the null, the relearning, and what is reported how."""
    significance = config.significance
    told = [
        null_key(config, patch, ridges), CATALOG_SCHEMA, config.search.null_skies, config.search.relearn,
        significance.threshold, significance.report_below, significance.max_candidates,
        config.membership.threshold,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
