"""What a run of `dm-map` is asked for, checked before any work begins."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from via_machinae.errors import ConfigError

__all__ = ["METHODS", "MapSettings", "pairs_of", "pattern_speed_of", "places_of"]

METHODS = ("weak", "flow", "both")
_BARYONS = ("census", "mcmillan2017", "mock")

# Draws of the weak form cost next to nothing; eight flows are the fewest whose 68 % interval lies inside
# their range.
_DRAWS, _FLOWS = 100, 8
_FEWEST_MEMBERS = 4

# The Galactic dictionary means nothing for these: G = 1, and lengths of the model's own.
_NATURAL_MOCKS = ("plummer", "plummer-om", "hernquist")


@dataclass(frozen=True)
class MapSettings:
    """Recipe of a run; two runs with equal settings and stars give equal results.

    Attributes:
        stars: Path of the table of stars; None for a mock.
        mock: Name of the mock; None for real stars.
        mock_stars: Number of the mock's stars.
        method: "weak", "flow" or "both".
        radius: Of the ball of stars around the Sun, kpc.
        use_within: Radius of the ball in which results are given, kpc.
        baryons: Baryon model; None: the census for stars, its own for a mock.
        members: Members of the ensemble; None for each method's default.
        seed: Same seed, same result.
        free_form: Whether local terms of either sign are added.
        pattern_speed: km/s/kpc; None fits it.
        fit_selection: Whether the weak form fits a selection gradient.
        correct_errors: Whether the weak form takes errors of measurement out.
        epochs: Of the flows' training; None for the recipe's.
        columns: Name in the table by the name here.
        complete_to: Band and apparent magnitude to which the table is complete; None for no cut.
        at: Further places to report, Galactocentric, kpc.

    Raises:
        ConfigError: a value is not possible, or two contradict each other.
    """

    stars: str | None = None
    mock: str | None = None
    mock_stars: int = 1_000_000
    method: str = "weak"
    radius: float = 4.0
    use_within: float = 3.0
    baryons: str | None = None
    members: int | None = None
    seed: int = 1
    free_form: bool = False
    pattern_speed: float | None = 0.0
    fit_selection: bool = False
    correct_errors: bool = False
    epochs: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    complete_to: tuple[str, float] | None = None
    at: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        if (self.stars is None) == (self.mock is None):
            raise ConfigError("dm-map takes --stars FILE, or --mock NAME for a mock galaxy; give one of them")
        if self.method not in METHODS:
            raise ConfigError(f"--method is one of {', '.join(METHODS)}; got {self.method!r}")
        self._check_volume()
        self._check_mock()
        if self.baryons is not None and self.baryons not in _BARYONS:
            raise ConfigError(f"--baryons is one of {', '.join(_BARYONS)}; got {self.baryons!r}")
        if self.members is not None and self.members < _FEWEST_MEMBERS:
            raise ConfigError(
                f"an error takes {_FEWEST_MEMBERS} members at the least; got --members {self.members}"
            )
        for option, given in (("fit-selection", self.fit_selection), ("correct-errors", self.correct_errors)):
            if given and self.method == "flow":
                raise ConfigError(f"--{option} belongs to the weak form; use --method weak or both")

    def _check_volume(self) -> None:
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise ConfigError(f"--radius is a positive number of kpc; got {self.radius:g}")
        if not 0 < self.use_within < self.radius:
            raise ConfigError(
                f"--use-within is positive and less than --radius ({self.radius:g} kpc): near the edge of "
                f"the stars nothing is determined; got {self.use_within:g}"
            )
        for place in self.at:
            distance = math.dist(place, _sun())
            if not distance < self.use_within:
                told = ",".join(f"{value:g}" for value in place)
                raise ConfigError(
                    f"--at {told} is {distance:.2f} kpc from the Sun, beyond --use-within "
                    f"{self.use_within:g}: nothing is known there"
                )

    def _check_mock(self) -> None:
        if self.mock is None:
            if self.baryons == "mock":
                raise ConfigError("--baryons mock belongs to --mock: real stars have no known truth")
            return
        from dm_map.mocks import MOCKS

        known = [name for name in MOCKS if name not in _NATURAL_MOCKS]
        if self.mock not in known:
            sort = "is a sphere in natural units" if self.mock in _NATURAL_MOCKS else "is unknown"
            raise ConfigError(
                f"the mock {self.mock!r} {sort}; the mock galaxies around the Sun are {', '.join(known)}"
            )
        if self.columns or self.complete_to:
            raise ConfigError("--column and --complete-to belong to --stars; a mock has no table")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods to run, in order."""
        return ("weak", "flow") if self.method == "both" else (self.method,)

    @property
    def draws(self) -> int:
        """Members of the weak form."""
        return self.members if self.members is not None and self.method == "weak" else _DRAWS

    @property
    def flows(self) -> int:
        """Members of the ensemble of flows."""
        return _FLOWS if self.members is None else self.members

    @property
    def baryon_name(self) -> str:
        """The baryon model, its default filled in."""
        return self.baryons or ("census" if self.mock is None else "mock")

    @property
    def sample_name(self) -> str:
        """The stars in a few words, for titles."""
        return f"mock {self.mock}" if self.mock is not None else Path(str(self.stars)).name

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without those of the other kind of input, and without the file's name."""
        values = asdict(self)
        values.pop("stars")
        if self.mock is None:
            values.pop("mock_stars")
        return values


def pattern_speed_of(text: str) -> float | None:
    """The number in `text`, or None for "fit".

    Raises:
        ConfigError: it is neither.
    """
    if text.strip().lower() == "fit":
        return None
    return _number(text, "--pattern-speed is a number of km/s/kpc, or fit")


def places_of(texts: list[str]) -> tuple[tuple[float, float, float], ...]:
    """Positions from "X,Y,Z".

    Raises:
        ConfigError: a text is not three numbers.
    """
    places = []
    for text in texts:
        parts = text.split(",")
        told = "--at is X,Y,Z in kpc, for example --at=-8.122,0,1"
        if len(parts) != 3:
            raise ConfigError(f"{told}; got {text!r}")
        x, y, z = (_number(part, told) for part in parts)
        places.append((x, y, z))
    return tuple(places)


def pairs_of(text: str | None) -> tuple[str, float] | None:
    """Band and limit from "BAND=LIMIT".

    Raises:
        ConfigError: the text has another form.
    """
    if text is None:
        return None
    told = "--complete-to is BAND=LIMIT, for example grvs_mag=14"
    if text.count("=") != 1:
        raise ConfigError(f"{told}; got {text!r}")
    band, limit = text.split("=")
    return band.strip(), _number(limit, told)


def _number(text: str, told: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{told}; got {text!r}") from None
    if not math.isfinite(value):
        raise ConfigError(f"{told}; got {text!r}")
    return value


def _sun() -> tuple[float, float, float]:
    from dm_map.local import SUN_POSITION

    return SUN_POSITION
