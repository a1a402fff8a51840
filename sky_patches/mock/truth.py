"""The truth of a mock sky, kept apart from the catalogue that a scan may read."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from jaxtyping import Float, Int

from sky_patches.mock.recipe import MockStream

__all__ = ["Truth", "stream_track", "summarise_stream"]

_MOTION = u.mas / u.yr
_MEMBER_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "distance": u.kpc,
    "pmra": _MOTION,
    "pmdec": _MOTION,
    "radial_velocity": u.km / u.s,
    "phot_g_mean_mag": u.mag,
    "bp_rp": u.mag,
}
_STREAM_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "pmra": _MOTION,
    "pmdec": _MOTION,
    "pmra_spread": _MOTION,
    "pmdec_spread": _MOTION,
    "distance": u.kpc,
    "width": u.deg,
    "length": u.deg,
    "position_angle": u.deg,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What a mock sky is made of.

    Attributes:
        members: stream stars with *true* (error-free) values: source_id, stream, ra, dec, distance, pmra,
            pmdec, radial_velocity, phot_g_mean_mag, bp_rp.
        streams: one row a stream, from its true member stars: name, stars, mean ra, dec, pmra, pmdec with
            their standard deviations, median distance, width (standard deviation across the track, robust),
            length (5th to 95th percentile along the track), position_angle (east of north, of the track at
            its middle), feh.
        background: background stars with true values, and their population and feh.
        natural_background: number of background stars that the Galaxy has in this cone and survey, to about
            20 %.
    """

    members: Table
    streams: Table
    background: Table
    natural_background: float

    @property
    def thinning(self) -> float:
        """Background stars in the mock over those in the Galaxy."""
        return len(self.background) / self.natural_background

    def member_ids(self, stream: str | None = None) -> Int[np.ndarray, " n"]:
        """Identifiers of the members of one stream, or of all, in increasing order."""
        rows = self.members if stream is None else self.members[self.members["stream"] == stream]
        return np.sort(np.asarray(rows["source_id"]))

    @staticmethod
    def no_members() -> Table:
        """The table of members of a sky without streams: no rows, all columns."""
        table = Table({"source_id": np.zeros(0, np.int64), "stream": np.zeros(0, "U1")})
        for name, unit in _MEMBER_UNITS.items():
            table[name] = u.Quantity(np.zeros(0), unit)
        return table

    @staticmethod
    def no_streams() -> Table:
        """The table of streams of a sky without streams: no rows, all columns."""
        table = Table({"name": np.zeros(0, "U1"), "stars": np.zeros(0, np.int64)})
        for name, unit in _STREAM_UNITS.items():
            table[name] = u.Quantity(np.zeros(0), unit)
        table["feh"] = np.zeros(0)
        return table


def stream_track(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], float]:
    """Coordinates along and across a stream's own track, in degrees.

    The great circle through the principal axis of the positions, corrected by a parabola fitted across it:
    tracks over twenty degrees are curved by more than they are wide.

    Args:
        ra: right ascensions in degrees, shape (n,).
        dec: declinations in degrees, shape (n,).

    Returns:
        Position along, position across, each of shape (n,); position angle of the axis, east of north, 0 to
        180 deg.
    """
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    mean = sky.cartesian.mean()
    centre = SkyCoord(mean.x, mean.y, mean.z, representation_type="cartesian").spherical
    local = sky.transform_to(SkyCoord(centre.lon, centre.lat).skyoffset_frame())
    plane = np.stack([local.lon.wrap_at(180 * u.deg).deg * np.cos(local.lat.rad), local.lat.deg], axis=1)
    axis = np.linalg.svd(plane - plane.mean(axis=0), full_matrices=False)[2][0]
    along, across = plane @ axis, plane @ np.array([-axis[1], axis[0]])
    across = across - np.polyval(np.polyfit(along, across, 2), along)
    return along, across, float(np.degrees(np.arctan2(axis[0], axis[1])) % 180.0)


def summarise_stream(members: Table, stream: MockStream) -> Table:
    """One row of `Truth.streams`, measured from the true values of the member stars."""
    sky = SkyCoord(members["ra"], members["dec"]).cartesian.mean()
    centre = SkyCoord(sky.x, sky.y, sky.z, representation_type="cartesian").spherical
    along, across, angle = stream_track(np.asarray(members["ra"]), np.asarray(members["dec"]))
    pmra, pmdec = np.asarray(members["pmra"]), np.asarray(members["pmdec"])
    values = {
        "ra": centre.lon.deg,
        "dec": centre.lat.deg,
        "pmra": pmra.mean(),
        "pmdec": pmdec.mean(),
        "pmra_spread": pmra.std(),
        "pmdec_spread": pmdec.std(),
        "distance": np.median(np.asarray(members["distance"])),
        "width": np.subtract(*np.percentile(across, [84.135, 15.865])) / 2.0,
        "length": np.subtract(*np.percentile(along, [95.0, 5.0])),
        "position_angle": angle,
    }
    table = Table({"name": [stream.name], "stars": np.array([len(members)], dtype=np.int64)})
    for name, value in values.items():
        table[name] = u.Quantity([float(value)], _STREAM_UNITS[name])
    table["feh"] = [stream.metallicity]
    return table
