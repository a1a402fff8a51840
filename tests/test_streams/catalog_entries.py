"""Made-up candidates for tests of the catalogue: a stream along a great circle, in any place."""

from __future__ import annotations

import numpy as np

from sky_patches import PatchFrame
from streams.catalog import CatalogEntry, EntryEvidence, EntryPopulation, EntryTrack
from streams.members import MEMBER_COLUMNS, MemberStars


def make_track(ra0=150.0, dec0=30.0, angle=40.0, **changes) -> EntryTrack:
    """A track through (ra0, dec0) whose pole lies in the direction `angle`, deg, North to East."""
    frame = PatchFrame.offset(ra0, dec0, angle)
    pole_ra, pole_dec = (float(value) for value in frame.unproject(0.0, 90.0))
    values = {
        "pole_ra": pole_ra, "pole_dec": pole_dec, "ra0": ra0, "dec0": dec0, "phi1_low": -6.0,
        "phi1_high": 5.0,
        "phi2": (0.2, 0.01, -0.02), "pm_phi1": (-7.0, 0.1, 0.003), "pm_phi2": (2.5, -0.05, 0.0),
        "phi2_error": (0.02, 0.004, 0.001), "pm_phi1_error": (0.05, 0.01, 0.002),
        "pm_phi2_error": (0.03, 0.02, np.nan), "phi1_middle": 0.0, "pole_error": 0.3, "width": 0.21,
        "width_error": 0.02, "length": 9.9, "pm_spread": 0.15,
    }  # fmt: skip
    return EntryTrack(**{**values, **changes})


def make_members(track: EntryTrack, stars: int, seed: int) -> MemberStars:
    """Stars along the track, in random order; parallaxes are missing."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=stars) for name in MEMBER_COLUMNS}
    phi1 = rng.uniform(-6, 5, stars)
    values["ra"], values["dec"], values["pmra"], values["pmdec"] = track.at(phi1)
    values["probability"] = rng.uniform(0.01, 1.0, stars)
    values["source_id"] = rng.permutation(stars).astype(np.int64) + seed * 10**6
    values["parallax"] = values["parallax_error"] = np.full(stars, np.nan)
    return MemberStars(**values)


def make_entry(label="north/0", *, seed=0, stars=50, track=None, **changes) -> CatalogEntry:
    """A candidate; changes to the evidence, the population, or the entry itself by name."""
    track = make_track() if track is None else track
    members = make_members(track, stars, seed)
    evidence = {
        "significance": 8.0, "false_alarm_probability": 1e-5, "false_discovery_rate": 1e-4, "passes": True,
        "contrast": 9.0, "stability": 0.8, "independent_stars": 70, "line_stars": 60, "line_expected": 12.5,
        "regions": 9, "components": ("pm_phi1_cosphi2", "pm_phi2"),
        "search": ("anomaly",),
    }  # fmt: skip
    population = {
        "stars": members.stars, "stars_error": 5.0, "surface_density": 12.0, "surface_brightness": 33.1,
        "bp_rp": 0.8, "bp_rp_spread": 0.1, "phot_g_mean_mag": 19.2, "phot_g_mean_mag_spread": 0.7,
        "distance": 9.0, "distance_low": 8.1, "distance_high": 10.2, "distance_open": False,
        "ridge": "old, poor",
    }  # fmt: skip
    entry = {"patches": (label.split("/")[0],), "flags": ("edge",)}
    for name, value in changes.items():
        group = next(group for group in (evidence, population, entry) if name in group or group is entry)
        group[name] = value
    patch = np.full(stars, entry["patches"][0])
    return CatalogEntry(
        label, evidence=EntryEvidence(**evidence), track=track, population=EntryPopulation(**population),
        members=members, member_patch=patch, **entry,
    )  # fmt: skip
