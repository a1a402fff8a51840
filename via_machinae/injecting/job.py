"""The job behind `inject`: a campaign with progress, its tables and its figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streams.injection import InjectionError, MovedMembers, read_members
from via_machinae.figures import save_figure
from via_machinae.injecting.campaign import outcomes, run_campaign
from via_machinae.injecting.directory import InjectionDirectory
from via_machinae.injecting.drawing import draw_completeness
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.grid import InjectionGrid
from via_machinae.injecting.summary import Summary, summarise
from via_machinae.run import Run, atomic_path
from via_machinae.terminal import console, progress_bar, show_table

__all__ = ["inject_job", "motions_of", "write_summary"]


def inject_job(
    run_path: Path,
    out: Path,
    grid: InjectionGrid,
    *,
    workers: int,
    members: Path | None = None,
    all_windows: bool = False,
    fresh_null: bool = False,
) -> Summary:
    """Inject streams into the patches of a finished run; a second call continues.

    Args:
        run_path: the run; it is only read.
        out: directory of the campaign.
        grid: what is injected.
        workers: processes.
        members: list of real stream members, for streams of that kind.
        all_windows: score every window anew.
        fresh_null: draw null skies for every stream.

    Raises:
        InjectError: the run is not finished, the directory is another campaign's, or the list of members is
            missing.
        RunError: no run there, or a unit failed.
        StreamsError: the list of members cannot be read, or lacks a stream.
    """
    run = Run.open(run_path)
    listed = _members(grid, members)
    directory = InjectionDirectory.begin(
        out, run, grid, all_windows=all_windows, fresh_null=fresh_null, members=listed
    )
    units = directory.units()
    finished = len(units) - len(directory.pending())
    console.print(
        f"{len(grid.cells)} kinds of stream x {grid.repeats} into {len(run.geometries)} patch(es) of "
        f"{run.path}: {len(units)} trials"
    )
    if finished:
        console.print(f"continuing: {finished} trials are done already")
    with progress_bar("injecting", len(units), finished) as step:
        run_campaign(directory, workers, lambda _: step())
    summary = write_summary(directory)
    _show(summary)
    console.print(f"tables and figure: {directory.path}")
    return summary


def write_summary(directory: InjectionDirectory) -> Summary:
    """Write the tables and the figure of what is done."""
    summary = summarise(outcomes(directory))
    parts = {"trials": summary.trials, "summary": summary.cells, "limits": summary.limits}
    for name, table in parts.items():
        with atomic_path(directory.path / f"{name}.ecsv") as temporary:
            table.write(temporary)
    what = {"model": "model streams", "members": "members of real streams", "spray": "particle spray"}
    title = (
        f"{'scattered stars (control)' if directory.grid.shuffled else what[directory.grid.kind]} injected"
    )
    figure = draw_completeness(summary, f"{title}: {len(summary.trials)} trials")
    save_figure(figure, directory.path / "completeness.png")
    return summary


def motions_of(texts: Sequence[str]) -> tuple[tuple[float, float], ...]:
    """Proper motions as they are written on the command line, "PM1,PM2".

    Raises:
        InjectError: a text is not two numbers.
    """
    motions = []
    for text in texts:
        try:
            first, second = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InjectError(f"a proper motion is written PM1,PM2 in mas/yr, got {text!r}") from error
        motions.append((first, second))
    return tuple(motions)


def _members(grid: InjectionGrid, members: Path | None) -> str:
    """The list of members, once it is known to hold the streams with enough stars."""
    if grid.kind != "members":
        return ""
    if members is None:
        raise InjectError("real members are moved: give their list with --members-list FILE")
    table = read_members(members)
    for stream in grid.streams:
        available = MovedMembers(table, stream, length=grid.length).available
        if max(grid.stars) > available:
            raise InjectionError(
                f"stream {stream} has {available} members, {max(grid.stars)} stars were asked for: "
                "ask for fewer, or take another stream"
            )
    return str(members.resolve())


def _show(summary: Summary) -> None:
    columns = ("streams", "stars", "trials", "found", "fraction", "68 %", "F1", "track bias", "false")
    rows = [
        (
            str(row["label"]), int(row["asked_stars"]), int(row["trials"]), int(row["recovered"]),
            round(float(row["fraction"]), 2), f"{row['fraction_low']:.2f} to {row['fraction_high']:.2f}",
            round(float(row["f1"]), 2), round(float(row["track_bias"]), 3), int(row["false_candidates"]),
        )
        for row in summary.cells
    ]  # fmt: skip
    show_table("Recovered of the injected streams (track bias in deg)", columns, rows)
    for row in summary.limits:
        console.print(f"{row['label']}: {_told(row)}")
    unmade = int(np.sum(summary.cells["unmade"]))
    if unmade:
        console.print(
            f"{unmade} streams could not be made where they were to go; see 'problem' in trials.ecsv"
        )


def _told(row: object) -> str:
    if row["reached"] != "yes":
        return f"half recovered: {row['reached']}"
    text = f"half recovered at {row['half_stars']:.0f} stars ({row['half_stars_low']:.0f} to "
    text += f"{row['half_stars_high']:.0f}), {row['half_stars_per_deg2']:.1f} stars/deg2"
    if np.isfinite(row["half_surface_brightness"]):
        text += f", {row['half_surface_brightness']:.1f} mag/arcsec2 in G"
    return text
