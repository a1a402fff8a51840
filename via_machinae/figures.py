"""Figures: one per candidate, and the sky of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streams import EntryTrack, StreamCatalog
from via_machinae.patch_stars import PatchStars
from via_machinae.run import atomic_path

__all__ = ["COLOURS", "draw_candidate", "draw_sky", "save_figure"]

COLOURS = ("#d1495b", "#00798c", "#edae49", "#6a4c93", "#2e933c", "#8d6b48")
_FIELD = {"s": 1.0, "color": "0.75", "linewidths": 0, "rasterized": True}


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return path


def draw_candidate(catalog: StreamCatalog, name: str, patch: PatchStars) -> Figure:
    """Sky, proper motions, colour-magnitude diagram and profile across the track of one candidate.

    Args:
        catalog: the catalogue.
        name: candidate.
        patch: the patch in which it was found.
    """
    row = catalog.candidates[catalog.candidates["name"] == name][0]
    member = np.isin(patch.source_id, catalog.member_ids(name))
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.subplots(2, 2)
    _sky(axes[0, 0], patch, member)
    _motions(axes[0, 1], patch, member)
    if {"bp_rp", "phot_g_mean_mag"} <= set(patch.features):
        _colour_magnitude(axes[1, 0], patch, member)
    else:
        axes[1, 0].text(0.5, 0.5, "no photometry in this table", ha="center", transform=axes[1, 0].transAxes)
        axes[1, 0].set_axis_off()
    _profile(axes[1, 1], patch, catalog.track(name))
    figure.suptitle(
        f"{name} in patch {row['patch']}: {row['members']} members, "
        f"local significance {row['significance']:.1f} sigma, "
        f"false-alarm probability {row['false_alarm_probability']:.1g}"
    )
    return figure


def _sky(axes: Axes, patch: PatchStars, member: np.ndarray) -> None:
    x, y = patch.values("phi1"), patch.values("phi2")
    axes.scatter(x, y, **_FIELD)
    axes.scatter(x[member], y[member], s=6, color=COLOURS[0], label="members")
    axes.plot(*patch.geometry.footprint.boundary(200), color="0.4", lw=0.8)
    axes.set(xlabel="phi1 [deg]", ylabel="phi2 [deg]", aspect=_aspect(patch), title="sky (patch frame)")
    axes.invert_xaxis()
    axes.legend(loc="upper right")


def _aspect(patch: PatchStars) -> str:
    """True proportions, but for a strip, which would be lost on the page."""
    sides = [float(np.ptp(edge)) for edge in patch.geometry.footprint.boundary(200)]
    return "equal" if max(sides) < 3 * min(sides) else "auto"


def _motions(axes: Axes, patch: PatchStars, member: np.ndarray) -> None:
    x, y = patch.values("pm_phi1_cosphi2"), patch.values("pm_phi2")
    axes.scatter(x, y, **_FIELD)
    axes.scatter(x[member], y[member], s=6, color=COLOURS[0])
    axes.set_xlim(*np.percentile(x, [0.5, 99.5]))
    axes.set_ylim(*np.percentile(y, [0.5, 99.5]))
    axes.set(xlabel="pm_phi1 cos(phi2) [mas/yr]", ylabel="pm_phi2 [mas/yr]", title="proper motion")


def _colour_magnitude(axes: Axes, patch: PatchStars, member: np.ndarray) -> None:
    x, y = patch.values("bp_rp"), patch.values("phot_g_mean_mag")
    axes.scatter(x, y, **_FIELD)
    axes.scatter(x[member], y[member], s=6, color=COLOURS[0])
    axes.set_xlim(*np.percentile(x, [0.2, 99.8]))
    axes.set(xlabel="BP - RP [mag]", ylabel="G [mag]", title="colour and magnitude")
    axes.invert_yaxis()


def _profile(axes: Axes, patch: PatchStars, track: EntryTrack) -> None:
    """Stars of the candidate's proper motion across its track: members or not, so that the eye can judge."""
    stars = track.frame.project(patch.table[["ra", "dec", "pmra", "pmdec"]])
    phi1, phi2, along, beside = (
        np.asarray(stars[name], dtype=float) for name in ("phi1", "phi2", "pm_phi1_cosphi2", "pm_phi2")
    )
    motion = np.hypot(
        along - np.polyval(track.pm_phi1[::-1], phi1), beside - np.polyval(track.pm_phi2[::-1], phi1)
    )
    near = (motion < max(1.0, 3 * track.pm_spread)) & (phi1 > track.phi1_low) & (phi1 < track.phi1_high)
    across = phi2 - np.polyval(track.phi2[::-1], phi1)
    reach = min(20 * track.width, float(np.abs(across).max()))
    axes.hist(
        across[near], bins=40, range=(-reach, reach), color=COLOURS[1], histtype="stepfilled", alpha=0.7
    )
    axes.axvline(0.0, color="0.3", lw=0.8)
    axes.set(
        xlabel="distance from the track [deg]", ylabel="stars",
        title="all stars near its proper motion, across the track",
    )  # fmt: skip


def draw_sky(
    catalog: StreamCatalog, patch: PatchStars, truth: Mapping[str, np.ndarray] | None = None
) -> Figure:
    """All passing candidates of a patch, on the sky and in proper motion; beside them the truth if given.

    Args:
        catalog: the catalogue.
        patch: the patch.
        truth: source_id of the members of each true stream.
    """
    passing = catalog.candidates[catalog.candidates["passes"] & _in_patch(catalog, patch.geometry.name)]
    found = {str(name): catalog.member_ids(str(name)) for name in passing["name"]}
    rows = [("stars that went in", {}), ("candidates found, blind", found)]
    if truth is not None:
        rows.append(("the hidden streams", dict(truth)))
    figure = Figure(figsize=(4.6 * len(rows), 9), layout="constrained")
    axes = figure.subplots(2, len(rows), squeeze=False)
    for column, (title, groups) in enumerate(rows):
        _panel(axes[0, column], patch, ("phi1", "phi2"), groups, title)
        _panel(axes[1, column], patch, ("pm_phi1_cosphi2", "pm_phi2"), groups, None)
    return figure


def _in_patch(catalog: StreamCatalog, patch: str) -> np.ndarray:
    """Candidates that were found in a patch, alone or with others."""
    return np.array([patch in str(names).split(",") for names in catalog.candidates["patches"]], dtype=bool)


def _panel(
    axes: Axes, patch: PatchStars, names: tuple[str, str], groups: Mapping[str, np.ndarray], title: str | None
) -> None:
    x, y = (patch.values(name) for name in names)
    axes.scatter(x, y, **_FIELD)
    for number, (label, ids) in enumerate(groups.items()):
        member = np.isin(patch.source_id, ids)
        axes.scatter(x[member], y[member], s=5, color=COLOURS[number % len(COLOURS)], label=label)
    if title is not None:
        axes.set(title=title, aspect=_aspect(patch))
        axes.set(xlabel="phi1 [deg]", ylabel="phi2 [deg]")
        axes.invert_xaxis()
    else:
        axes.set(xlabel="pm_phi1 cos(phi2) [mas/yr]", ylabel="pm_phi2 [mas/yr]")
        axes.set_xlim(*np.percentile(x, [0.5, 99.5]))
        axes.set_ylim(*np.percentile(y, [0.5, 99.5]))
    if groups:
        axes.legend(loc="upper right", fontsize=8, markerscale=2)
