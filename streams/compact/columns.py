"""The columns of the second catalogue: compact objects, and their stars."""

from __future__ import annotations

from typing import Any

from astropy.table import Column

from streams.catalog.schema import ColumnSpec

__all__ = ["COMPACT_COLUMNS", "COMPACT_MEMBER_COLUMNS", "COMPACT_SCHEMA"]

COMPACT_SCHEMA = 1
"""Number of this layout; files of another one are refused."""


class _Count(ColumnSpec):
    """A whole number of 32 bits."""

    def column(self, values: Any) -> Column:
        return super().column(values).astype("i4")


COMPACT_COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec("name", "text", "", "meta.id;meta.main", "over-density, ranked by false-alarm probability"),
    _Count("rank", "integer", "", "meta.number", "1 is the most significant of the run"),
    ColumnSpec("patch", "text", "", "meta.id", "patch it was found in"),
    ColumnSpec("known", "text", "", "meta.id.cross", "known object at this place; empty where there is none"),
    ColumnSpec("significance", "real", "", "stat.snr", "local significance of its best disc, sigma"),
    ColumnSpec(
        "false_alarm_probability", "real", "", "stat.probability", "of such a disc in a patch without any"
    ),
    ColumnSpec("passes", "flag", "", "meta.code", "compact, and false_alarm_probability below the threshold"),
    ColumnSpec("elongated", "flag", "", "meta.code", "too flat for a cluster or galaxy: a piece of a stream"),
    ColumnSpec("extended", "flag", "", "meta.code", "broader than the discs that were looked for"),
    ColumnSpec("unexplained", "flag", "", "meta.code", "the fit found too few stars for any object"),
    ColumnSpec("scale", "real", "arcmin", "phys.angSize", "radius of its best disc"),
    _Count("disc_stars", "integer", "", "meta.number", "stars in that disc beside the central one"),
    ColumnSpec("disc_expected", "real", "", "meta.number", "background stars expected there"),
    ColumnSpec(
        "stars", "real", "", "meta.number", "expected number of stars, sum of membership probabilities"
    ),
    _Count(
        "members", "integer", "", "meta.number", "stars above the membership threshold, outskirts left out"
    ),
    _Count("regions", "integer", "", "meta.number", "regions of interest merged into the candidate"),
    ColumnSpec("components", "text", "", "meta.note", "resonant components of those regions"),
    ColumnSpec("ra", "real", "deg", "pos.eq.ra;meta.main", "centre, ICRS"),
    ColumnSpec("dec", "real", "deg", "pos.eq.dec;meta.main", "centre, ICRS"),
    ColumnSpec("phi1", "real", "deg", "pos", "centre, patch frame"),
    ColumnSpec("phi2", "real", "deg", "pos", "centre, patch frame"),
    ColumnSpec(
        "half_number_radius", "real", "arcmin", "phys.angSize", "of a circle of the fitted ellipse's area"
    ),
    ColumnSpec("half_number_radius_error", "real", "arcmin", "stat.error;phys.angSize", "standard error"),
    ColumnSpec("axis_ratio", "real", "", "phys.size.axisRatio", "minor over major axis"),
    ColumnSpec("axis_ratio_error", "real", "", "stat.error;phys.size.axisRatio", "standard error"),
    ColumnSpec(
        "position_angle",
        "real",
        "deg",
        "pos.posAng",
        "of the major axis in the patch frame, phi1 towards phi2",
    ),
    ColumnSpec(
        "mask_radius", "real", "deg", "phys.angSize", "of the hole that hides it from the line finder"
    ),
    ColumnSpec("pmra", "real", "mas / yr", "pos.pm;pos.eq.ra", "at the centre, with cos(dec)"),
    ColumnSpec("pmdec", "real", "mas / yr", "pos.pm;pos.eq.dec", "at the centre"),
    ColumnSpec(
        "pm_error", "real", "mas / yr", "stat.error;pos.pm", "standard error, mean of the two components"
    ),
    ColumnSpec("pm_spread", "real", "mas / yr", "stat.stdev;pos.pm", "intrinsic sigma of each component"),
    ColumnSpec("parallax", "real", "mas", "pos.parallax", "mean; NaN where the stars have none"),
    ColumnSpec(
        "parallax_error", "real", "mas", "stat.error;pos.parallax", "standard error, without systematics"
    ),
)
"""One row for each object."""

COMPACT_MEMBER_COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec("source_id", "integer", "", "meta.id;meta.main", "Gaia source identifier"),
    ColumnSpec("object", "text", "", "meta.id.parent", "over-density"),
    ColumnSpec("probability", "real", "", "stat.probability", "membership probability"),
    ColumnSpec("outskirts", "flag", "", "meta.code", "further from the centre than the largest disc"),
    ColumnSpec("distance", "real", "arcmin", "pos.angDistance", "from the centre"),
    ColumnSpec("ra", "real", "deg", "pos.eq.ra;meta.main", "ICRS"),
    ColumnSpec("dec", "real", "deg", "pos.eq.dec;meta.main", "ICRS"),
    ColumnSpec("pmra", "real", "mas / yr", "pos.pm;pos.eq.ra", "with cos(dec)"),
    ColumnSpec("pmdec", "real", "mas / yr", "pos.pm;pos.eq.dec", ""),
    ColumnSpec("parallax", "real", "mas", "pos.parallax", "NaN where there is none"),
    ColumnSpec("parallax_error", "real", "mas", "stat.error;pos.parallax", ""),
)
"""One row for each star of an object."""
