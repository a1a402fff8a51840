"""The columns of the catalogue: name, unit, kind, UCD and meaning of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

__all__ = [
    "CANDIDATE_COLUMNS",
    "CATALOG_SCHEMA",
    "HYPOTHESIS_COLUMNS",
    "LIKELIHOOD_STREAM_COLUMNS",
    "MEMBER_LIST_COLUMNS",
    "PATCH_MEMBER_COLUMNS",
    "PATCH_STREAM_COLUMNS",
    "ColumnSpec",
    "table_of",
]

CATALOG_SCHEMA = 2
"""Number of this layout; files of another one are refused."""

Kind = Literal["text", "integer", "real", "flag"]
_DTYPES: dict[str, str] = {"text": "U", "integer": "i8", "real": "f8", "flag": "bool"}


@dataclass(frozen=True)
class ColumnSpec:
    """One column.

    Args:
        name: as in every file.
        kind: text, integer (64 bit), real (64 bit; NaN: not known) or flag.
        unit: astropy's spelling; empty for a number without one, and for text.
        ucd: IVOA UCD1+ (https://www.ivoa.net/documents/UCD1+/).
        description: one line.
    """

    name: str
    kind: Kind
    unit: str
    ucd: str
    description: str

    def column(self, values: Any) -> Column:
        """The values with all that is known about them."""
        unit = u.Unit(self.unit) if self.unit else None
        array = np.array(values, dtype=_DTYPES[self.kind])
        column = Column(array, name=self.name, unit=unit, description=self.description)
        column.meta["ucd"] = self.ucd
        return column


def table_of(columns: Sequence[ColumnSpec], values: Mapping[str, Any]) -> Table:
    """A table of exactly these columns.

    Args:
        columns: which, in this order.
        values: arrays or lists of one length, one for each column; more are left out.
    """
    return Table([column.column(values[column.name]) for column in columns], copy=False)


def _coefficients(name: str, unit: str, ucd: str, what: str) -> list[ColumnSpec]:
    """Polynomial coefficients c0, c1, c2 in phi1 (deg) with their standard errors."""
    units = [str(u.Unit(unit) / u.deg**power) for power in (0, 1, 2)]
    found = []
    for power, power_unit in enumerate(units):
        text = f"{what}: coefficient of phi1^{power}, candidate's frame"
        found.append(ColumnSpec(f"{name}_c{power}", "real", power_unit, f"stat.fit.param;{ucd}", text))
        found.append(
            ColumnSpec(
                f"{name}_c{power}_error", "real", power_unit, f"stat.error;stat.fit.param;{ucd}",
                f"standard error of {name}_c{power}",
            )
        )  # fmt: skip
    return found


CANDIDATE_COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec("name", "text", "", "meta.id;meta.main", "candidate, named by its rank"),
    ColumnSpec("rank", "integer", "", "stat.rank", "1 is the most trustworthy of the run"),
    ColumnSpec("patch", "text", "", "meta.id.parent", "patch of its strongest evidence"),
    ColumnSpec("patches", "text", "", "meta.id.parent", "all patches it was found in, by commas"),
    ColumnSpec("search", "text", "", "meta.note", "searches that found it: anomaly, likelihood"),
    ColumnSpec("passes", "flag", "", "meta.code.status", "it passes the run's threshold"),
    ColumnSpec("significance", "real", "", "stat.snr", "local significance, sigma, before look-elsewhere"),
    ColumnSpec("contrast", "real", "", "stat.value", "local: excess of its line over sqrt(expected)"),
    ColumnSpec(
        "false_alarm_probability",
        "real",
        "",
        "stat.probability",
        "of as good evidence in a stream-free patch",
    ),
    ColumnSpec(
        "false_discovery_rate", "real", "", "stat.probability", "share of false ones in the list down to here"
    ),
    ColumnSpec("stability", "real", "", "stat.value", "share of the retrainings in which it returns"),
    ColumnSpec("independent_stars", "integer", "", "meta.number", "stars in its evidence, each once"),
    ColumnSpec("line_stars", "integer", "", "meta.number", "stars in the strip of the best line"),
    ColumnSpec("line_expected", "real", "", "meta.number", "background stars expected in that strip"),
    ColumnSpec("regions", "integer", "", "meta.number", "regions of interest merged into the candidate"),
    ColumnSpec("components", "text", "", "meta.note", "resonant components of those regions"),
    ColumnSpec("flags", "text", "", "meta.code.qual", "artefact flags, by commas; empty is none"),
    ColumnSpec("ra", "real", "deg", "pos.eq.ra;meta.main", "track at its middle, ICRS"),
    ColumnSpec("dec", "real", "deg", "pos.eq.dec;meta.main", "track at its middle, ICRS"),
    ColumnSpec("l", "real", "deg", "pos.galactic.lon", "track at its middle, Galactic longitude"),
    ColumnSpec("b", "real", "deg", "pos.galactic.lat", "track at its middle, Galactic latitude"),
    ColumnSpec(
        "position_angle", "real", "deg", "pos.posAng", "of the track at its middle, from North to East"
    ),
    ColumnSpec("pmra", "real", "mas / yr", "pos.pm;pos.eq.ra", "at the middle, with cos(dec), as observed"),
    ColumnSpec("pmra_error", "real", "mas / yr", "stat.error;pos.pm;pos.eq.ra", "standard error of pmra"),
    ColumnSpec("pmdec", "real", "mas / yr", "pos.pm;pos.eq.dec", "at the middle, as observed"),
    ColumnSpec("pmdec_error", "real", "mas / yr", "stat.error;pos.pm;pos.eq.dec", "standard error of pmdec"),
    ColumnSpec("pm_spread", "real", "mas / yr", "stat.stdev;pos.pm", "intrinsic sigma of each component"),
    ColumnSpec("width", "real", "deg", "phys.angSize", "Gaussian sigma across the track"),
    ColumnSpec("width_error", "real", "deg", "stat.error;phys.angSize", "standard error of width"),
    ColumnSpec("length", "real", "deg", "phys.angSize", "along the track, 5th to 95th percentile of members"),
    ColumnSpec("stars", "real", "", "meta.number", "expected stars, sum of membership probabilities"),
    ColumnSpec("stars_error", "real", "", "stat.error", "standard error of stars"),
    ColumnSpec("members", "integer", "", "meta.number", "stars above the membership threshold"),
    ColumnSpec("surface_density", "real", "1 / deg2", "src.density", "stream stars per area of the track"),
    ColumnSpec("surface_brightness", "real", "mag / arcsec2", "phot.mag.sb", "G light of the stream stars"),
    ColumnSpec("bp_rp", "real", "mag", "phot.color;em.opt;stat.mean", "mean BP-RP of the members"),
    ColumnSpec("bp_rp_spread", "real", "mag", "stat.stdev;phot.color;em.opt", "standard deviation"),
    ColumnSpec("phot_g_mean_mag", "real", "mag", "phot.mag;em.opt;stat.mean", "mean G of the members"),
    ColumnSpec("phot_g_mean_mag_spread", "real", "mag", "stat.stdev;phot.mag;em.opt", "standard deviation"),
    ColumnSpec("distance", "real", "kpc", "pos.distance", "by the isochrone ridge, from the Sun"),
    ColumnSpec("distance_low", "real", "kpc", "pos.distance;stat.min", "lower end of its 95 % range"),
    ColumnSpec("distance_high", "real", "kpc", "pos.distance;stat.max", "upper end of its 95 % range"),
    ColumnSpec("distance_open", "flag", "", "meta.code.qual", "the data leave the distance open"),
    ColumnSpec("ridge", "text", "", "meta.note", "ridge of the best distance"),
    ColumnSpec("match", "text", "", "meta.id.cross", "best known stream, where compared"),
    ColumnSpec("verdict", "text", "", "meta.code.class", "rediscovered, new or ambiguous, where compared"),
    ColumnSpec("pole_ra", "real", "deg", "pos.eq.ra", "pole of its great circle, phi2 = 90 deg, ICRS"),
    ColumnSpec("pole_dec", "real", "deg", "pos.eq.dec", "pole of its great circle, phi2 = 90 deg, ICRS"),
    ColumnSpec("pole_error", "real", "deg", "stat.error;pos.eq", "standard error of the pole"),
    ColumnSpec("ra0", "real", "deg", "pos.eq.ra", "origin of its frame, phi1 = phi2 = 0, ICRS"),
    ColumnSpec("dec0", "real", "deg", "pos.eq.dec", "origin of its frame, phi1 = phi2 = 0, ICRS"),
    ColumnSpec("phi1_low", "real", "deg", "pos", "first end of the track, candidate's frame"),
    ColumnSpec("phi1_middle", "real", "deg", "pos", "middle of the track, candidate's frame"),
    ColumnSpec("phi1_high", "real", "deg", "pos", "last end of the track, candidate's frame"),
    *_coefficients("phi2", "deg", "pos", "track"),
    *_coefficients("pm_phi1", "mas / yr", "pos.pm", "pm_phi1_cosphi2"),
    *_coefficients("pm_phi2", "mas / yr", "pos.pm", "pm_phi2"),
)
"""One row for each candidate. The candidate's frame is the great circle with this pole and origin."""

_SHARED = (
    "name", "rank", "patch", "significance", "contrast", "false_alarm_probability", "passes", "stability",
    "line_stars", "line_expected", "regions", "components", "stars", "members", "ra", "dec", "pmra", "pmdec",
    "pm_spread", "width", "length",
)  # fmt: skip

_GAIA: tuple[ColumnSpec, ...] = (
    ColumnSpec("ra", "real", "deg", "pos.eq.ra;meta.main", "ICRS, at the epoch of the survey"),
    ColumnSpec("dec", "real", "deg", "pos.eq.dec;meta.main", "ICRS, at the epoch of the survey"),
    ColumnSpec("pmra", "real", "mas / yr", "pos.pm;pos.eq.ra", "with cos(dec), as observed"),
    ColumnSpec("pmdec", "real", "mas / yr", "pos.pm;pos.eq.dec", "as observed"),
    ColumnSpec("pmra_error", "real", "mas / yr", "stat.error;pos.pm;pos.eq.ra", "standard error of pmra"),
    ColumnSpec("pmdec_error", "real", "mas / yr", "stat.error;pos.pm;pos.eq.dec", "standard error of pmdec"),
    ColumnSpec("pmra_pmdec_corr", "real", "", "stat.correlation;pos.pm;pos.eq.ra;pos.eq.dec", "of errors"),
    ColumnSpec("parallax", "real", "mas", "pos.parallax.trig", "parallax"),
    ColumnSpec("parallax_error", "real", "mas", "stat.error;pos.parallax.trig", "standard error of parallax"),
    ColumnSpec("phot_g_mean_mag", "real", "mag", "phot.mag;em.opt", "G"),
    ColumnSpec("bp_rp", "real", "mag", "phot.color;em.opt", "BP-RP"),
)


def _stars(frame: str) -> tuple[ColumnSpec, ...]:
    """Columns of member stars with phi1 and phi2 in that frame."""
    return (
        ColumnSpec("source_id", "integer", "", "meta.id;meta.main", "Gaia source identifier"),
        ColumnSpec("candidate", "text", "", "meta.id.parent", "candidate"),
        ColumnSpec("probability", "real", "", "stat.probability", "membership probability"),
        ColumnSpec("member", "flag", "", "meta.code.member", "probability above the run's threshold"),
        ColumnSpec("patch", "text", "", "meta.id.parent", "patch that the probability comes from"),
        *_GAIA,
        ColumnSpec("phi1", "real", "deg", "pos", f"longitude, {frame} frame"),
        ColumnSpec("phi2", "real", "deg", "pos", f"latitude, {frame} frame"),
        ColumnSpec("pm_phi1_cosphi2", "real", "mas / yr", "pos.pm", f"as observed, {frame} frame"),
        ColumnSpec("pm_phi2", "real", "mas / yr", "pos.pm", f"as observed, {frame} frame"),
    )


MEMBER_LIST_COLUMNS: tuple[ColumnSpec, ...] = _stars("candidate's")
"""One row for each star of a candidate, all those of noticeable probability; `member` marks the members."""

PATCH_MEMBER_COLUMNS: tuple[ColumnSpec, ...] = _stars("patch's")
"""The same for the candidates of one patch."""

PATCH_STREAM_COLUMNS: tuple[ColumnSpec, ...] = (
    *(column for column in CANDIDATE_COLUMNS if column.name in _SHARED),
    ColumnSpec("line_theta", "real", "rad", "pos.posAng", "of the best line, patch's tangent plane"),
    ColumnSpec("line_offset", "real", "deg", "pos", "of the best line from the tangent point"),
    ColumnSpec("line_width", "real", "deg", "phys.angSize", "full width of its strip"),
    ColumnSpec("line_rank", "integer", "", "meta.number", "stars of its region that were transformed"),
    ColumnSpec("phi1", "real", "deg", "pos", "track at its middle, patch's frame"),
    ColumnSpec("phi2", "real", "deg", "pos", "track at its middle, patch's frame"),
    ColumnSpec("position_angle", "real", "deg", "pos.posAng", "of the track, patch's frame, phi1 to phi2"),
    ColumnSpec("track_curvature", "real", "1 / deg", "pos", "second-order coefficient across the line"),
    ColumnSpec("pm_phi1_cosphi2", "real", "mas / yr", "pos.pm", "at the middle, patch's frame"),
    ColumnSpec("pm_phi2", "real", "mas / yr", "pos.pm", "at the middle, patch's frame"),
    ColumnSpec("pm_phi1_cosphi2_gradient", "real", "mas / (yr deg)", "pos.pm", "along the track"),
    ColumnSpec("pm_phi2_gradient", "real", "mas / (yr deg)", "pos.pm", "along the track"),
)
"""One row for each candidate of one patch, before patches are joined."""

LIKELIHOOD_STREAM_COLUMNS: tuple[ColumnSpec, ...] = (
    *PATCH_STREAM_COLUMNS,
    ColumnSpec("hypothesis", "integer", "", "meta.id.parent", "row in the table of hypotheses; -1: none"),
    ColumnSpec("stars_error", "real", "", "stat.error", "standard error of stars"),
    ColumnSpec("width_error", "real", "deg", "stat.error;phys.angSize", "standard error of width"),
    ColumnSpec("modulus", "real", "mag", "phot.mag.distMod", "refined distance modulus; NaN without a ridge"),
    ColumnSpec("modulus_error", "real", "mag", "stat.error;phot.mag.distMod", "its standard error"),
    ColumnSpec("ridge", "text", "", "meta.note", "likeliest colour-magnitude ridge"),
    ColumnSpec("log_likelihood_ratio", "real", "", "stat.likelihood", "ln of the fit over none"),
    ColumnSpec("goodness", "real", "", "stat.fit.goodness", "p-value: the members look like the fit"),
)
"""The same for a candidate of the likelihood search, which knows more."""

HYPOTHESIS_COLUMNS: tuple[ColumnSpec, ...] = (
    ColumnSpec("theta", "real", "rad", "pos.posAng", "of the line, patch's tangent plane"),
    ColumnSpec("offset", "real", "deg", "pos", "of the line from the tangent point"),
    ColumnSpec("width", "real", "deg", "phys.angSize", "Gaussian sigma across the line"),
    ColumnSpec("along_low", "real", "deg", "pos", "first end of what holds its weight, along the line"),
    ColumnSpec("along_high", "real", "deg", "pos", "last end"),
    ColumnSpec("pm_phi1_cosphi2", "real", "mas / yr", "pos.pm", "next to the centre, patch's frame"),
    ColumnSpec("pm_phi2", "real", "mas / yr", "pos.pm", "next to the centre, patch's frame"),
    ColumnSpec("pm_phi1_cosphi2_gradient", "real", "mas / (yr deg)", "pos.pm", "along the line"),
    ColumnSpec("pm_phi2_gradient", "real", "mas / (yr deg)", "pos.pm", "along the line"),
    ColumnSpec("modulus", "real", "mag", "phot.mag.distMod", "distance modulus; NaN without a ridge"),
    ColumnSpec("ridge", "text", "", "meta.note", "colour-magnitude ridge; empty without"),
    ColumnSpec("significance", "real", "", "stat.snr", "local, sigma, before look-elsewhere"),
    ColumnSpec("contrast", "real", "", "stat.value", "excess over its scatter: a plain figure"),
    ColumnSpec("observed", "real", "", "stat.value", "sum of the weights along the line"),
    ColumnSpec("expected", "real", "", "stat.value", "that the background gives"),
    ColumnSpec("false_alarm_probability", "real", "", "stat.probability", "of one as good without streams"),
    ColumnSpec("candidate", "integer", "", "meta.id", "row in the table of candidates; -1: not reported"),
)
"""Every distinct hypothesis of a patch that was looked at closely, reported or not."""
