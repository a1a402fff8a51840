"""One validated configuration file per run."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, model_validator

from via_machinae.config_sections import (
    BackgroundConfig,
    CompactConfig,
    CutsConfig,
    DetectorConfig,
    ExcludeConfig,
    FlowConfig,
    LinesConfig,
    MasksConfig,
    MembershipConfig,
    PatchConfig,
    RegionsConfig,
    RunConfig,
    SearchConfig,
    Section,
    SignificanceConfig,
    TilingConfig,
    WindowsConfig,
)
from via_machinae.errors import ConfigError

__all__ = [
    "BackgroundConfig",
    "CompactConfig",
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
    "SearchConfig",
    "SignificanceConfig",
    "TilingConfig",
    "WindowsConfig",
    "load_config",
]


class Config(Section):
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
    compact: CompactConfig = CompactConfig()
    lines: LinesConfig = LinesConfig()
    significance: SignificanceConfig = SignificanceConfig()
    membership: MembershipConfig = MembershipConfig()
    search: SearchConfig = SearchConfig()

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

    def anomaly_hash(self) -> str:
        """Hash of what the search in anomaly scores depends on: all but the likelihood search's section."""
        values = self.model_dump(mode="json", exclude={"run": {"workers"}, "search": True})
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
    elsewhere = [name for name in known if name.split(".")[-1] == plain]
    if elsewhere:
        return f"; did you mean {' or '.join(map(repr, elsewhere))}?"
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
