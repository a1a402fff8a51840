"""One validated configuration file per run."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from via_machinae.errors import ConfigError

__all__ = [
    "Config",
    "CutsConfig",
    "DetectorConfig",
    "FlowConfig",
    "LinesConfig",
    "ExcludeConfig",
    "MasksConfig",
    "MembershipConfig",
    "PatchConfig",
    "RegionsConfig",
    "RunConfig",
    "SignificanceConfig",
    "TilingConfig",
    "WindowsConfig",
    "load_config",
]

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError("the lower limit must lie below the upper one")
    return limits


Limits = Annotated[tuple[float, float], AfterValidator(_ascending)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunConfig(_Section):
    """Seed of everything random, and how many processes work (0: one per core)."""

    seed: Annotated[int, Field(ge=0)] = 1
    workers: Annotated[int, Field(ge=0)] = 0


class PatchConfig(_Section):
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


class ExcludeConfig(_Section):
    """A circle of the sky that a tiling leaves out: ra, dec (ICRS) and radius, deg."""

    name: str
    ra: float
    dec: Annotated[float, Field(ge=-90, le=90)]
    radius: Annotated[float, Field(gt=0, le=90)]


class TilingConfig(_Section):
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


class MasksConfig(_Section):
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


class CutsConfig(_Section):
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


class _Steps(_Section):
    """A sliding interval, mas/yr: steps wider than the interval would leave gaps."""

    width: Positive = 6.0
    step: Positive = 1.0

    @model_validator(mode="after")
    def _no_gaps(self) -> _Steps:
        if self.step > self.width:
            raise ValueError(f"a step of {self.step} leaves gaps between intervals of width {self.width}")
        return self


class WindowsConfig(_Steps):
    """Windows of the resonant proper-motion component, mas/yr, over its whole range."""

    min_stars: Count = 500


class DetectorConfig(_Section):
    """The anomaly detector and the features it sees beside the other proper-motion component.

    Positions are left out on purpose: the line finder judges them, and only a score that knows no
    positions leaves it a calibrated null.
    """

    name: Literal["cathode", "anode"] = "cathode"
    features: tuple[str, ...] = ("bp_rp", "phot_g_mean_mag")
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    members: Count = 2
    oversampling: Count = 4


class FlowConfig(_Section):
    """The conditional flow: affine ("maf") or with splines, for which two or three layers are enough."""

    kind: Literal["maf", "spline"] = "maf"
    layers: Count = 6
    hidden: Count = 48
    epochs: Count = 12
    batch_size: Annotated[int, Field(ge=16)] = 1024
    learning_rate: Positive = 1e-2


class RegionsConfig(_Steps):
    """Regions of interest: a second window in the other component, and the fiducial stars ranked in it."""

    min_stars: Count = 60
    exclude_below: Annotated[float, Field(ge=0)] = 0.0
    colour: Limits | None = (0.5, 1.0)


class LinesConfig(_Section):
    """Lines looked for in each region: full widths in deg, and how many of the best stars are used."""

    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.5, 1.0)
    ranks: Annotated[tuple[Count, ...], Field(min_length=1)] = (50, 100, 200)
    angle_step: Annotated[float, Field(gt=0, le=30)] = 2.0
    offset_step: Positive = 0.125
    cell: Positive = 0.1


class SignificanceConfig(_Section):
    """Null skies that calibrate a patch; false-alarm probabilities that count as found and as worth a row."""

    null_skies: Annotated[int, Field(ge=20)] = 100
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    report_below: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_candidates: Count = 20


class MembershipConfig(_Section):
    """The fit that gives member stars: half-width of its proper-motion box, mas/yr, and least probability."""

    half_box: Positive = 3.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5


class Config(_Section):
    """Everything a run can be told. `load_config` reads it from TOML; every key has a default."""

    run: RunConfig = RunConfig()
    patches: tuple[PatchConfig, ...] = ()
    tiling: TilingConfig | None = None
    masks: MasksConfig | None = None
    cuts: CutsConfig = CutsConfig()
    windows: WindowsConfig = WindowsConfig()
    detector: DetectorConfig = DetectorConfig()
    flow: FlowConfig = FlowConfig()
    regions: RegionsConfig = RegionsConfig()
    lines: LinesConfig = LinesConfig()
    significance: SignificanceConfig = SignificanceConfig()
    membership: MembershipConfig = MembershipConfig()

    @model_validator(mode="after")
    def _distinct_patches(self) -> Config:
        names = [patch.name for patch in self.patches]
        if len(set(names)) < len(names):
            raise ValueError(f"patch names must differ, got {names}")
        if names and self.tiling is not None:
            raise ValueError("give either patches or a tiling, not both")
        return self

    def scoring_hash(self) -> str:
        """Hash of the sections that scores depend on: a run cannot mix two of these."""
        return _hash(self.scoring_values())

    def scoring_values(self) -> dict[str, Any]:
        """The keys that scores depend on; always the same, so that two configurations can be compared."""
        sections = self.model_dump(mode="json", include={"patches", "cuts", "windows", "detector", "flow"})
        return {**sections, **self._regions_of_sky(), "run": {"seed": self.run.seed}}

    def hash(self) -> str:
        """Hash of everything but the number of workers, on which no result depends."""
        values = self.model_dump(mode="json", exclude={"run": {"workers"}})
        return _hash({**values, **self._regions_of_sky()})

    def _regions_of_sky(self) -> dict[str, str | None]:
        """Tiling and masks, each as one text: a section that may be absent has no keys to compare."""
        sections = {"tiling": self.tiling, "masks": self.masks}
        return {name: None if value is None else value.model_dump_json() for name, value in sections.items()}


def load_config(path: Path) -> Config:
    """Read a TOML configuration.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown (the message names the nearest valid
            one), or a value is impossible (the message names it and what was expected).
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    return config_from(values, str(path))


def config_from(values: dict[str, Any], origin: str) -> Config:
    """A validated configuration from plain values; `origin` is named in errors."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(_explain(problem) for problem in error.errors())
        raise ConfigError(f"{origin}: {problems}") from error


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_nearest(key)}"
    expected = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(problem["input"], dict) else f", got {problem['input']!r}"
    return f"{key or 'configuration'}: {expected}{got}"


def _nearest(key: str) -> str:
    known = _keys(Config)
    plain = ".".join(part for part in key.split(".") if not part.isdigit())
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.5)
    if not close:
        last = {name.split(".")[-1]: name for name in known}
        close = [last[name] for name in difflib.get_close_matches(plain.split(".")[-1], last, n=1)]
    return f"; did you mean {close[0]!r}?" if close else f"; valid keys: {', '.join(known)}"


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, info in section.model_fields.items():
        found.append(prefix + name)
        for kind in _sections_in(info.annotation):
            found += _keys(kind, f"{prefix}{name}.")
    return found


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field may hold: itself, one of a tuple of them, or one that may be absent."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for inner in get_args(annotation) for kind in _sections_in(inner)]


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
