"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigOption", "RunOption", "SeedOption", "StoreOption", "WorkersOption"]

StoreOption = Annotated[Path, typer.Option("--store", help="Directory of the star catalogue.")]
RunOption = Annotated[Path, typer.Option("--run", help="Run directory.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML configuration; defaults without it.")
]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes; default one per core.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
