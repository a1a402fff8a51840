"""How far a fitted stream lies from the GD-1 tracks of Tavangar & Price-Whelan (2025, 2502.13236)."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from jaxtyping import Float
from reporting import Cell
from scipy.interpolate import CubicSpline

from sky_patches import PatchGeometry
from streams.likelihood.refinement import RefinedStream
from streams.plane import TangentPlane

__all__ = ["offsets_of"]

_HALF = 4.5
"""Half of the stretch that is compared, deg."""


def offsets_of(refined: RefinedStream, geometry: PatchGeometry, tracks: Path) -> dict[str, Cell]:
    """Mean and largest offset of the fitted track from the reference, over the strip.

    The reference is given at nodes 10 deg apart. "phi2_offset", "phi2_worst" ... are against straight pieces
    between them, as in `gd1.py`, "phi2_spline_offset" ... against a natural cubic spline: the two differ by
    up to 0.1 mas/yr, and nothing tells which is nearer to the truth.

    Args:
        refined: the stream.
        geometry: of its patch.
        tracks: folder of the reference.
    """
    along, values = _in_the_stream_frame(refined, geometry)
    row: dict[str, Cell] = {}
    for name, value in values.items():
        track = Table.read(tracks / f"{name}_track.fits")
        nodes, known = np.asarray(track["phi1"], dtype=float), np.asarray(track[name], dtype=float)
        straight = value - np.interp(along, nodes, known)
        smooth = value - CubicSpline(nodes, known, bc_type="natural")(along)
        for how, offset in (("", straight), ("_spline", smooth)):
            row[f"{name}{how}_offset"] = float(offset.mean())
            row[f"{name}{how}_worst"] = float(np.abs(offset).max())
    return row


def _in_the_stream_frame(
    refined: RefinedStream, geometry: PatchGeometry
) -> tuple[Float[np.ndarray, " n"], dict[str, Float[np.ndarray, " n"]]]:
    """phi1 of Koposov et al. (2010) along the fitted track, and phi2 and the proper motions there."""
    from gala.coordinates import GD1Koposov10

    s = np.linspace(-_HALF, _HALF, 19)
    phi1, phi2 = TangentPlane(*geometry.footprint.centre).unproject(*refined.model.points(s))
    motion, _ = refined.proper_motion(s)
    inside = geometry.footprint.contains(phi1, phi2)
    ra, dec = geometry.frame.unproject(phi1, phi2)
    pmra, pmdec = geometry.frame.unproject_motions(phi1, phi2, *motion.T)
    speed = u.mas / u.yr
    icrs = SkyCoord(ra * u.deg, dec * u.deg, pm_ra_cosdec=pmra * speed, pm_dec=pmdec * speed)[inside]
    sky = icrs.transform_to(GD1Koposov10())
    return sky.phi1.wrap_at(180 * u.deg).deg, {
        "phi2": sky.phi2.deg,
        "pm1": sky.pm_phi1_cosphi2.to_value(speed),
        "pm2": sky.pm_phi2.to_value(speed),
    }
