"""The command line `via-machinae`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from via_machinae import refresh_options as options
from via_machinae import stream_commands
from via_machinae.common_options import ConfigOption, RunOption, SeedOption, StoreOption, WorkersOption
from via_machinae.dark_matter import options as maps
from via_machinae.terminal import console, error

__all__ = ["app", "main"]

_INTERRUPTED = 130
_FAMILIES = {
    "via_machinae.errors": "ViaMachinaeError",
    "sky_patches.errors": "SkyPatchesError",
    "density.errors": "DensityError",
    "streams.errors": "StreamsError",
    "dm_map.errors": "DmMapError",
}

_ABOUT = "Find stellar streams in Gaia: stars in, a ranked catalogue of candidates out. Start with 'demo'."

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_ABOUT)


@app.command("import")
def import_(
    store: StoreOption,
    files: Annotated[
        list[Path] | None, typer.Argument(help="FITS, ECSV, VOTable, CSV(.gz) or Parquet files.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="A column under another name: ra=MyRightAscension.")
    ] = None,
    hats: Annotated[
        str | None, typer.Option("--hats", help="A HATS catalogue (directory or URL) instead of files.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", help="With --hats: a region, as for refresh.")
    ] = None,
) -> None:
    """Read star tables into a catalogue store; rejected rows are kept beside it, with the reason."""
    from via_machinae.errors import ConfigError

    if (hats is None) == (not files) or (region and hats is None):
        raise ConfigError("import takes files, or --hats with a directory or URL and perhaps a --region")
    if hats is not None:
        from via_machinae.refreshing import hats_job

        hats_job(hats, store, region or [], _renamed(column or []))
        return
    from via_machinae.ingest import import_files

    for done in import_files(files or [], store, _renamed(column or [])):
        console.print(str(done.report))
        console.print(f"  added to {store}: {done.added:,}; there already: {done.known:,}")


@app.command()
def refresh(
    store: StoreOption,
    release: options.ReleaseOption = "dr3",
    region: options.RegionsOption = None,
    tap_url: options.UrlOption = None,
    table: options.TableOption = None,
    ruwe_table: options.RuweTableOption = None,
    column: options.ColumnsOption = None,
    parallax_below: options.ParallaxOption = None,
    ruwe_below: options.RuweOption = None,
    g: options.MagnitudeOption = None,
    colour: options.ColourOption = None,
    five_parameter: options.FiveParameterOption = False,
    where: options.WhereOption = None,
    workers: options.QueriesOption = 4,
    order: options.OrderOption = 5,
    max_rows: options.MaxRowsOption = 500_000,
    older_than: options.OlderThanOption = None,
    replace: options.ReplaceOption = False,
    login: options.LoginOption = False,
    credentials: options.CredentialsOption = None,
    timeout: options.TimeoutOption = 60.0,
    poll: options.PollOption = 1.0,
    attempts: options.AttemptsOption = 6,
    dry_run: options.DryRunOption = False,
    offline: options.OfflineOption = False,
    sample: options.SampleOption = None,
    radius: options.RadiusOption = 4.0,
    margin: options.MarginOption = 0.0,
) -> None:
    """Bring stars of an archive into a store, and keep them fresh. Run again to continue."""
    from sky_patches.archive import GAIA_TAP, ArchiveCuts, ClientPolicy, RefreshSettings
    from via_machinae.refreshing import dry_run_job, range_of, refresh_job, release_of

    question = {
        "url": tap_url or GAIA_TAP,
        "cuts": ArchiveCuts(
            parallax_below=parallax_below, ruwe_below=ruwe_below, g=range_of("--g", g),
            colour=range_of("--colour", colour), five_parameter=five_parameter, where=tuple(where or ()),
        ),
        "columns": column or None,
        "settings": RefreshSettings(
            workers=workers, order=order, max_rows=max_rows, older_than_days=older_than, replace=replace,
            login=login, credentials=credentials,
        ),
        "policy": ClientPolicy(socket_timeout_s=timeout, poll_s=poll, attempts=attempts),
    }  # fmt: skip
    source = release_of(release, table, ruwe_table)
    if sample is not None:
        from via_machinae.radial_velocity import sample_named

        wanted = sample_named(sample, radius, margin)
        question["cuts"] = wanted.cuts(source, question["cuts"])
        question["columns"] = wanted.columns(source, column or ())
    if dry_run:
        dry_run_job(store, region or [], source, offline=offline, **question)
    else:
        refresh_job(store, region or [], source, **question)


@app.command()
def verify(
    store: StoreOption,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take out what is damaged, for the next refresh to fetch.")
    ] = False,
) -> None:
    """Check that a store holds what was written into it."""
    from via_machinae.refreshing import verify_job

    verify_job(store, repair=repair)


@app.command()
def tiling(
    out: Annotated[Path, typer.Option("--out", help="Table of the patches to write, ECSV.")],
    config: ConfigOption = None,
    moc: Annotated[
        Path | None, typer.Option("--moc", help="Also the sky that the patches cover, as a MOC (FITS).")
    ] = None,
) -> None:
    """Write the overlapping patches that a configuration's [tiling] section describes."""
    from via_machinae.tiling import write_patches

    console.print(write_patches(_config(config, None), out, moc))


@app.command()
def mock(
    store: StoreOption,
    seed: SeedOption = 1,
    empty: Annotated[bool, typer.Option("--empty", help="Without streams, for null tests.")] = False,
    stars: Annotated[
        float | None, typer.Option("--stars", help="A large sky of about so many stars, e.g. 1e6.")
    ] = None,
    cone: Annotated[
        tuple[float, float, float] | None,
        typer.Option("--cone", help="With --stars: only a cone, RA DEC RADIUS in deg."),
    ] = None,
    b_min: Annotated[
        float, typer.Option("--b-min", min=0, max=80, help="With --stars: least |b| of a whole sky, deg.")
    ] = 15.0,
    streams: Annotated[int, typer.Option("--streams", min=0, help="With --stars: how many to hide.")] = 4,
    clusters: Annotated[int, typer.Option("--clusters", min=0, help="Globular clusters, likewise.")] = 20,
    dwarfs: Annotated[int, typer.Option("--dwarfs", min=0, help="Dwarf galaxies, likewise.")] = 8,
    workers: WorkersOption = None,
) -> None:
    """Make a realistic mock sky with hidden streams as a store; its truth lies in STORE/truth."""
    from via_machinae.errors import ConfigError
    from via_machinae.mocking import large_mock_job, small_mock_job
    from via_machinae.workers import cores_at_hand

    if stars is None:
        if cone is not None:
            raise ConfigError("--cone needs --stars, the number of stars; without both it is the demo's sky")
        small_mock_job(store, seed, streams=not empty)
        return
    hidden = (0 if empty else streams, clusters, dwarfs)
    cores = workers or cores_at_hand()
    large_mock_job(store, seed, stars=stars, cone=cone, b_min=b_min, hidden=hidden, workers=cores)


@app.command()
def scan(
    store: StoreOption, run: RunOption, config: ConfigOption = None, workers: WorkersOption = None
) -> None:
    """Scan all patches of a store for streams and make the catalogue. Run again to continue."""
    # Before the heavy imports: a mistyped key is told at once.
    settings = _config(config, workers)
    from via_machinae.jobs import catalogue_job, scan_job

    catalogue_job(scan_job(store, run, settings), settings)


@app.command()
def search(
    store: StoreOption, run: RunOption, config: ConfigOption = None, workers: WorkersOption = None
) -> None:
    """Search all patches by likelihood over a learned background: streams of forty stars. No scan needed."""
    settings = _config(config, workers)
    from via_machinae.searching.job import search_job

    search_job(store, run, settings)


@app.command()
def catalog(
    run: RunOption,
    config: ConfigOption = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="STORE/truth of a mock sky, to compare with.")
    ] = None,
) -> None:
    """Make the catalogue of a finished scan or search again, perhaps with other lines or thresholds."""
    from via_machinae.ingest import read_truth
    from via_machinae.jobs import catalogue_job, show_comparison
    from via_machinae.run import Run
    from via_machinae.truth import compare

    opened = Run.open(run)
    known = None if truth is None else read_truth(truth)
    found = catalogue_job(opened, opened.config if config is None else _config(config, None), truth)
    if known is not None:
        show_comparison(compare(found, known))


app.command("explain")(stream_commands.explain_candidate)
app.command("match")(stream_commands.match)
app.command("export")(stream_commands.export)
app.command("inject")(stream_commands.inject)


@app.command()
def status(run: RunOption) -> None:
    """How far a run is."""
    from via_machinae.jobs import status_job
    from via_machinae.run import Run

    status_job(Run.open(run))


@app.command("dm-map")
def dm_map(
    run: RunOption,
    stars: maps.StarsOption = None,
    mock: maps.MockOption = None,
    mock_stars: maps.MockStarsOption = 1_000_000,
    method: maps.MethodOption = "weak",
    radius: maps.RadiusOption = 4.0,
    use_within: maps.UseWithinOption = 3.0,
    baryons: maps.BaryonsOption = None,
    members: maps.MembersOption = None,
    seed: SeedOption = 1,
    free_form: maps.FreeFormOption = False,
    pattern_speed: maps.PatternSpeedOption = "0",
    fit_selection: maps.FitSelectionOption = False,
    correct_errors: maps.CorrectErrorsOption = False,
    epochs: maps.EpochsOption = None,
    column: maps.ColumnsOption = None,
    complete_to: maps.CompleteOption = None,
    at: maps.PlacesOption = None,
    workers: WorkersOption = None,
) -> None:
    """Map acceleration and dark matter around the Sun from stars with velocities. Run again to continue."""
    from via_machinae.dark_matter.settings import MapSettings, pairs_of, pattern_speed_of, places_of

    settings = MapSettings(
        stars=None if stars is None else str(stars), mock=mock, mock_stars=mock_stars, method=method,
        radius=radius, use_within=use_within, baryons=baryons, members=members, seed=seed,
        free_form=free_form, pattern_speed=pattern_speed_of(pattern_speed), fit_selection=fit_selection,
        correct_errors=correct_errors, epochs=epochs, columns=tuple(sorted(_renamed(column or []).items())),
        complete_to=pairs_of(complete_to), at=places_of(at or []),
    )  # fmt: skip
    from via_machinae.dark_matter.job import map_job
    from via_machinae.workers import cores_at_hand

    map_job(run, settings, workers or cores_at_hand())


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--dir", help="Where the demo writes.")] = Path("demo"),
    seed: SeedOption = 1,
    workers: WorkersOption = None,
) -> None:
    """The whole chain on a mock sky: hide streams, scan blind, compare with the truth."""
    from via_machinae.config import config_from
    from via_machinae.jobs import DEMO_CONFIG, demo_job

    demo_job(
        directory, seed, config_from({**DEMO_CONFIG, "run": {"seed": seed, "workers": workers or 0}}, "demo")
    )


def _config(path: Path | None, workers: int | None):
    from via_machinae.config import Config, load_config

    settings = Config() if path is None else load_config(path)
    if workers is None:
        return settings
    return settings.model_copy(update={"run": settings.run.model_copy(update={"workers": workers})})


def _renamed(pairs: list[str]) -> dict[str, str]:
    from via_machinae.errors import ConfigError

    wrong = [pair for pair in pairs if pair.count("=") != 1]
    if wrong:
        raise ConfigError(f"--column takes NAME=NAME_IN_FILE, for example ra=RAJ2000; got {wrong[0]!r}")
    return dict(pair.split("=") for pair in pairs)


def main() -> None:
    """Entry point: every expected failure is one line on standard error and a non-zero exit."""
    try:
        app(standalone_mode=True)
    except SystemExit as stop:
        # typer turns an interrupt from the keyboard into a silent exit.
        if stop.code == _INTERRUPTED:
            error("interrupted; what was finished is kept: run the same command again to continue")
        raise
    except OSError as problem:
        error(f"{problem}; free space or check permissions, then run the same command again")
        sys.exit(1)
    except _expected() as problem:
        error(problem)
        sys.exit(1)


def _expected() -> tuple[type[Exception], ...]:
    """The error families of the packages in use; a package that was never loaded cannot have raised."""
    return tuple(
        getattr(sys.modules[module], name) for module, name in _FAMILIES.items() if module in sys.modules
    )
