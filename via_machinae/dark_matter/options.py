"""The options of `via-machinae dm-map`: how each is written, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BaryonsOption",
    "ColumnsOption",
    "CompleteOption",
    "CorrectErrorsOption",
    "EpochsOption",
    "FitSelectionOption",
    "FreeFormOption",
    "MembersOption",
    "MethodOption",
    "MockOption",
    "MockStarsOption",
    "PatternSpeedOption",
    "PlacesOption",
    "RadiusOption",
    "StarsOption",
    "UseWithinOption",
]

StarsOption = Annotated[
    Path | None,
    typer.Option(
        "--stars", help="Stars with radial velocities: FITS, ECSV, VOTable, CSV or Parquet, or a store."
    ),
]
MockOption = Annotated[
    str | None, typer.Option("--mock", help="A mock galaxy instead: milky-way, rotating-disc, barred, ...")
]
MockStarsOption = Annotated[int, typer.Option("--mock-stars", min=1, help="Stars of the mock.")]
MethodOption = Annotated[
    str, typer.Option("--method", help="weak: no density estimate; flow: normalising flows; both: compare.")
]
RadiusOption = Annotated[float, typer.Option("--radius", help="Of the ball of stars around the Sun, kpc.")]
UseWithinOption = Annotated[
    float, typer.Option("--use-within", help="Radius within which results are given, kpc.")
]
BaryonsOption = Annotated[
    str | None,
    typer.Option("--baryons", help="census (default), mcmillan2017, or mock: the mock's own (its default)."),
]
MembersOption = Annotated[
    int | None,
    typer.Option(
        "--members",
        help="Members that carry the errors: draws of the weak form (100), or flows (8); with both, flows.",
    ),
]
FreeFormOption = Annotated[
    bool, typer.Option("--free-form", help="Add local terms of either sign, total density kept positive.")
]
PatternSpeedOption = Annotated[
    str, typer.Option("--pattern-speed", help="Of the frame of rest, km/s/kpc, or fit; negative: as the Sun.")
]
FitSelectionOption = Annotated[
    bool, typer.Option("--fit-selection", help="Weak form: fit a gradient of an unknown selection.")
]
CorrectErrorsOption = Annotated[
    bool, typer.Option("--correct-errors", help="Weak form: take the stars' errors of measurement out.")
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Flows: rounds of training; default 8.")
]
ColumnsOption = Annotated[
    list[str] | None, typer.Option("--column", help="A column under another name: radial_velocity=MyRV.")
]
CompleteOption = Annotated[
    str | None,
    typer.Option(
        "--complete-to", help="BAND=LIMIT: keep stars bright enough to be seen anywhere: grvs_mag=14."
    ),
]
PlacesOption = Annotated[
    list[str] | None,
    typer.Option("--at", help="Galactocentric X,Y,Z in kpc: report this place too. Repeat for more."),
]
