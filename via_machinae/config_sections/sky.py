"""Where and on which stars a scan works."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from via_machinae.config_sections.base import Limits, Positive, Section

__all__ = [
    "CutsConfig",
    "ExcludeConfig",
    "MasksConfig",
    "PatchConfig",
    "RunConfig",
    "TilingConfig",
]


class RunConfig(Section):
    """Seed of everything random, and how many processes work (0: one per core)."""

    seed: Annotated[int, Field(ge=0)] = 1
    workers: Annotated[int, Field(ge=0)] = 0


class PatchConfig(Section):
    """A patch: a circle (ra, dec, radius) in the offset frame of its centre, or a box in a frame.

    Args:
        frame: "offset", "galactic", or the name of a gala stream frame such as "GD1Koposov10".
        ra, dec, rotation: centre and turn of an offset frame, deg.
        radius: of a circle around the frame's origin, deg.
        box: (phi1_min, phi1_max, phi2_min, phi2_max) in the frame, deg.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]
    frame: str = "offset"
    ra: float | None = None
    dec: Annotated[float, Field(ge=-90, le=90)] | None = None
    rotation: float = 0.0
    radius: Annotated[float, Field(gt=0, le=30)] | None = None
    box: tuple[float, float, float, float] | None = None

    @model_validator(mode="after")
    def _complete(self) -> PatchConfig:
        if (self.radius is None) == (self.box is None):
            raise ValueError("give a patch either a radius or a box")
        if self.frame == "offset" and (self.ra is None or self.dec is None):
            raise ValueError("a patch in an offset frame needs the ra and dec of its centre")
        return self


class ExcludeConfig(Section):
    """A circle of the sky that a tiling leaves out: ra, dec (ICRS) and radius, deg."""

    name: str
    ra: float
    dec: Annotated[float, Field(ge=-90, le=90)]
    radius: Annotated[float, Field(gt=0, le=90)]


class TilingConfig(Section):
    """Patches that cover the sky, instead of `patches`; those that the store fills are scanned.

    Args:
        radius: of each patch, deg.
        fiducial: radius of the circles that cover the kept sky, deg.
        min_abs_b: least Galactic latitude of the kept sky, deg.
        centres: "rings" of Galactic latitude, or a "healpix" grid.
        exclude: circles left out; None: the Magellanic Clouds. An empty list leaves nothing out.
        dust: a HEALPix FITS map of E(B-V) in mag; sky above `dust_limit` is left out.
        min_fill: at the border of the store a patch shrinks to what is filled; it is scanned down to this
            share of the fiducial radius.
    """

    radius: Annotated[float, Field(gt=0, le=30)] = 15.0
    fiducial: Annotated[float, Field(gt=0, le=30)] = 10.0
    min_abs_b: Annotated[float, Field(ge=0, lt=90)] = 20.0
    centres: Literal["rings", "healpix"] = "rings"
    exclude: tuple[ExcludeConfig, ...] | None = None
    dust: str | None = None
    dust_limit: Positive = 0.5
    min_fill: Annotated[float, Field(ge=0, le=1)] = 0.8

    @model_validator(mode="after")
    def _inside(self) -> TilingConfig:
        if self.fiducial >= self.radius:
            raise ValueError(f"the fiducial radius must be smaller than the radius, {self.radius}")
        return self


class MasksConfig(Section):
    """Circles around known globular clusters and dwarf galaxies, left out of every patch.

    Used where this section or a tiling is given.

    Args:
        catalogue: "builtin", "galstreams", "none", or the file, directory or URL of a list like those of the
            Local Volume Database.
        scale: radius of a circle in half-light radii.
        min_radius, max_radius: its limits, deg.
    """

    catalogue: str = "builtin"
    scale: Positive = 10.0
    min_radius: Positive = 0.2
    max_radius: Annotated[float, Field(gt=0, le=30)] = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> MasksConfig:
        if self.min_radius > self.max_radius:
            raise ValueError(f"min_radius must not exceed max_radius, {self.max_radius}")
        return self


class CutsConfig(Section):
    """Which stars a scan uses. A cut on a column that the table lacks is reported, not applied.

    Args:
        parallax_below, ruwe_below: upper limits (mas; none).
        magnitude, colour: half-open intervals of G and BP-RP.
        nearby_snr: drop only stars with parallax > 1 mas measured better than 1 in this many.
        five_parameter: keep full astrometric solutions only.
        flux_excess_sigma: keep |C*| below this many sigma(G) (Riello et al. 2021; EDR3 and DR3).
        flux_excess_dr2: keep what lies between the curves of Lindegren et al. 2018 (DR2).
    """

    parallax_below: Positive | None = 1.0
    ruwe_below: Positive | None = 1.4
    magnitude: Limits | None = (10.0, 20.2)
    colour: Limits | None = (-0.5, 3.0)
    nearby_snr: Positive | None = None
    five_parameter: bool = False
    flux_excess_sigma: Positive | None = None
    flux_excess_dr2: bool = False
