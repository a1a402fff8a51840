"""The options of `via-machinae refresh`: how each is written, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AttemptsOption",
    "ColourOption",
    "ColumnsOption",
    "CredentialsOption",
    "DryRunOption",
    "FiveParameterOption",
    "LoginOption",
    "MarginOption",
    "MagnitudeOption",
    "MaxRowsOption",
    "OfflineOption",
    "OlderThanOption",
    "OrderOption",
    "PollOption",
    "ParallaxOption",
    "QueriesOption",
    "RadiusOption",
    "RegionsOption",
    "ReleaseOption",
    "ReplaceOption",
    "RuweOption",
    "RuweTableOption",
    "SampleOption",
    "TableOption",
    "TimeoutOption",
    "UrlOption",
    "WhereOption",
]

_REGION = (
    "cone:150,30,10 box:galactic:120,180,20,60 polygon:icrs:150,20,160,20,155,30 absb:>20 pixels:5:123,124 "
    "stream:GD-1-I21,2 sky; & cuts and | joins; repeated: all of them. Default: what the store holds."
)

ReleaseOption = Annotated[str, typer.Option("--release", help="dr2 or dr3.")]
RegionsOption = Annotated[list[str] | None, typer.Option("--region", help=_REGION)]
UrlOption = Annotated[str | None, typer.Option("--tap-url", help="TAP service; ESA's archive by default.")]
TableOption = Annotated[
    str | None, typer.Option("--table", help="Table of the sources, where it is called otherwise.")
]
RuweTableOption = Annotated[
    str | None, typer.Option("--ruwe-table", help="Table with ruwe for dr2, where it is called otherwise.")
]
ColumnsOption = Annotated[
    list[str] | None, typer.Option("--column", help="Only this column (repeated), and the required ones.")
]
ParallaxOption = Annotated[float | None, typer.Option("--parallax-below", help="Keep parallax < this, mas.")]
RuweOption = Annotated[float | None, typer.Option("--ruwe-below", help="Keep ruwe < this.")]
MagnitudeOption = Annotated[str | None, typer.Option("--g", help="Keep LOW < G < HIGH: --g 10,20.2.")]
ColourOption = Annotated[
    str | None, typer.Option("--colour", help="Keep LOW < BP - RP < HIGH: --colour 0.5,1.")
]
FiveParameterOption = Annotated[
    bool, typer.Option("--five-parameter", help="Keep five-parameter solutions only.")
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="A further condition, in ADQL; may be repeated.")
]
SampleOption = Annotated[
    str | None,
    typer.Option("--sample", help="radial-velocity: the stars, columns and cuts that dm-map needs."),
]
RadiusOption = Annotated[
    float, typer.Option("--radius", min=0.01, help="With --sample: parallax > 1/RADIUS, kpc.")
]
MarginOption = Annotated[
    float,
    typer.Option("--margin", min=0, help="With --sample: and stars so many standard errors below that."),
]
QueriesOption = Annotated[int, typer.Option("--workers", min=1, help="Pixels fetched at a time.")]
OrderOption = Annotated[int, typer.Option("--order", min=0, max=12, help="HEALPix order to begin with.")]
MaxRowsOption = Annotated[
    int, typer.Option("--max-rows", min=1, help="A pixel with more stars is split into its children.")
]
OlderThanOption = Annotated[
    float | None, typer.Option("--older-than", min=0, help="Also fetch again what is older than DAYS.")
]
ReplaceOption = Annotated[
    bool,
    typer.Option("--replace", help="If the query has changed: fetch all of the store anew, and exchange it."),
]
LoginOption = Annotated[bool, typer.Option("--login", help="Log in; asks on the terminal, keeps nothing.")]
CredentialsOption = Annotated[
    Path | None,
    typer.Option("--credentials", help="To log in: file with user name and password."),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Silence of the service after which to ask again, s.")
]
PollOption = Annotated[
    float, typer.Option("--poll", min=0.01, help="Shortest time between two looks at a job, s.")
]
AttemptsOption = Annotated[
    int, typer.Option("--attempts", min=1, help="How often a request is tried before giving up.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show the queries and the amounts.")]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="With --dry-run: estimate without asking the service.")
]
