"""Commands about a finished catalogue: why, what is known, how complete, and out to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from via_machinae.common_options import RunOption, SeedOption, WorkersOption
from via_machinae.injecting import options as injections
from via_machinae.terminal import console

__all__ = ["explain_candidate", "export", "inject", "match"]


def explain_candidate(
    run: RunOption, candidate: Annotated[str, typer.Argument(help="A candidate of its catalogue: VM-1.")]
) -> None:
    """Why a candidate is one: the regions, patches and stars behind it, and what was not merged."""
    from via_machinae import cataloguing
    from via_machinae.run import Run

    console.print(
        cataloguing.explain_candidate(Run.open(run), candidate), markup=False, highlight=False, soft_wrap=True
    )


def match(
    run: RunOption,
    streamfinder: Annotated[
        Path | None, typer.Option("--streamfinder", help="Table of STREAMFINDER's members (FITS or CSV).")
    ] = None,
    galstreams: Annotated[
        bool, typer.Option("--galstreams/--no-galstreams", help="Compare with galstreams' tracks.")
    ] = True,
) -> None:
    """Compare a catalogue with known streams: rediscovered, new, and those that were missed."""
    from via_machinae.matching import match_job
    from via_machinae.run import Run

    match_job(Run.open(run), streamfinder, galstreams)


def export(
    run: RunOption,
    out: Annotated[Path, typer.Option("--out", help="Directory of the track files.")],
    candidate: Annotated[
        list[str] | None, typer.Option("--candidate", help="Repeat; default all that pass.")
    ] = None,
) -> None:
    """Write the tracks of a catalogue in galstreams' format."""
    from streams import StreamCatalog, export_galstreams
    from via_machinae.run import Run

    catalogue = StreamCatalog.read(Run.open(run).path / "catalog")
    written = export_galstreams(catalogue, out, names=candidate or None)
    console.print(f"{len(written)} files in {out}")


def inject(
    run: RunOption,
    out: injections.OutOption,
    kind: injections.KindOption = None,
    stars: injections.StarsOption = None,
    width: injections.WidthsOption = None,
    distance: injections.DistancesOption = None,
    offset: injections.OffsetsOption = None,
    motion: injections.MotionsOption = None,
    stream: injections.StreamsOption = None,
    shift: injections.ShiftsOption = None,
    members_list: injections.MembersFileOption = None,
    repeats: injections.RepeatsOption = None,
    length: injections.LengthOption = None,
    gradient: injections.GradientOption = None,
    metallicity: injections.MetallicityOption = None,
    dispersion: injections.DispersionOption = None,
    shuffled: injections.ShuffledOption = False,
    all_windows: injections.AllWindowsOption = False,
    fresh_null: injections.FreshNullOption = False,
    seed: SeedOption = 1,
    workers: WorkersOption = None,
) -> None:
    """Put streams into a finished scan and find them again: how complete is it? Run again to continue."""
    from via_machinae.injecting import grid_of
    from via_machinae.injecting.job import inject_job, motions_of
    from via_machinae.workers import cores_at_hand

    grid = grid_of(
        kind=kind, stars=stars, widths=width, distances=distance, offsets=offset,
        motions=motions_of(motion or []), streams=stream, shifts=shift, repeats=repeats, length=length,
        gradient=gradient, metallicity=metallicity, dispersion=dispersion, shuffled=shuffled, seed=seed,
    )  # fmt: skip
    inject_job(
        run, out, grid, workers=workers or cores_at_hand(), members=members_list, all_windows=all_windows,
        fresh_null=fresh_null,
    )  # fmt: skip
