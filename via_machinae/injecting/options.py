"""The options of `via-machinae inject`: how each is written, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllWindowsOption",
    "DispersionOption",
    "DistancesOption",
    "FreshNullOption",
    "GradientOption",
    "KindOption",
    "LengthOption",
    "MembersFileOption",
    "MetallicityOption",
    "MotionsOption",
    "OffsetsOption",
    "OutOption",
    "RepeatsOption",
    "ShiftsOption",
    "ShuffledOption",
    "StarsOption",
    "StreamsOption",
    "WidthsOption",
]

OutOption = Annotated[
    Path, typer.Option("--out", help="Directory of the campaign; an interrupted one is continued.")
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="model: great circle, old population; members: real ones, moved; spray.",
    ),
]
StarsOption = Annotated[
    list[int] | None, typer.Option("--stars", help="Stars in the catalogue. Repeat; default 50 100 200 400.")
]
WidthsOption = Annotated[
    list[float] | None, typer.Option("--width", help="Gaussian sigma, deg. Repeat; default 0.2.")
]
DistancesOption = Annotated[list[float] | None, typer.Option("--distance", help="kpc. Repeat; default 9.")]
OffsetsOption = Annotated[
    list[float] | None,
    typer.Option(
        "--offset",
        help="Proper motion, mas/yr from where the patch's stars are densest. Repeat; default 6.",
    ),
]
MotionsOption = Annotated[
    list[str] | None,
    typer.Option("--motion", help="Or the proper motion itself in the patch frame: PM1,PM2. Repeat."),
]
StreamsOption = Annotated[
    list[int] | None, typer.Option("--stream", help="Members: number of a stream in the list. Repeat.")
]
ShiftsOption = Annotated[
    list[float] | None, typer.Option("--shift", help="Members: mag to move them away. Repeat; default 0.")
]
MembersFileOption = Annotated[
    Path | None, typer.Option("--members-list", help="Members: the list, as of STREAMFINDER (FITS, ECSV).")
]
RepeatsOption = Annotated[
    int | None, typer.Option("--repeats", help="Streams per cell of the grid; default 10.")
]
LengthOption = Annotated[float | None, typer.Option("--length", help="Of the streams, deg; default 20.")]
GradientOption = Annotated[
    float | None,
    typer.Option("--gradient", help="Model: largest gradient of proper motion, mas/yr/deg; default 0.03."),
]
MetallicityOption = Annotated[
    float | None, typer.Option("--metallicity", help="Model and spray: [Fe/H]; default -1.8.")
]
DispersionOption = Annotated[float | None, typer.Option("--dispersion", help="Model: km/s; default 3.")]
ShuffledOption = Annotated[
    bool, typer.Option("--shuffled", help="Control: the same stars scattered over the patch, no stream.")
]
AllWindowsOption = Annotated[
    bool, typer.Option("--all-windows", help="Score every window anew, not only those with injected stars.")
]
FreshNullOption = Annotated[
    bool, typer.Option("--fresh-null", help="Draw null skies for every stream, not once per patch.")
]
