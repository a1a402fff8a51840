"""What is injected: a grid of streams, each cell repeated, and the unit of work that follows from it."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from via_machinae.injecting.errors import InjectError

__all__ = ["Cell", "InjectionGrid", "InjectionUnit", "grid_of", "plan"]

KINDS = ("model", "members", "spray")
_AXES = ("stars", "widths", "distances", "offsets", "motions", "streams", "shifts", "repeats")


@dataclass(frozen=True)
class Cell:
    """One kind of stream; what does not apply to it is None.

    Args:
        stars: in the catalogue, all cuts passed.
        width: Gaussian sigma, deg.
        distance: kpc.
        offset: proper motion, mas/yr from where the patch's stars are densest, in a random direction.
        motion: or the proper motion itself, (pm_phi1_cosphi2, pm_phi2) in the patch frame, mas/yr.
        stream: number of the real stream whose members are moved.
        shift: mag by which they are moved away.
    """

    stars: int
    width: float | None = None
    distance: float | None = None
    offset: float | None = None
    motion: tuple[float, float] | None = None
    stream: int | None = None
    shift: float | None = None

    @property
    def group(self) -> Cell:
        """The cell without its number of stars: cells of one group make one curve."""
        return Cell(0, self.width, self.distance, self.offset, self.motion, self.stream, self.shift)

    @property
    def label(self) -> str:
        """What a reader is told, and part of a unit's name."""
        return ", ".join([f"{self.stars} stars", *self._parts()])

    @property
    def group_label(self) -> str:
        """The label without the number of stars."""
        return ", ".join(self._parts())

    def _parts(self) -> list[str]:
        told = [
            ("stream {}", self.stream), ("{:g} mag away", self.shift), ("{:g} deg", self.width),
            ("{:g} kpc", self.distance), ("{:g} mas/yr off", self.offset),
        ]  # fmt: skip
        parts = [text.format(value) for text, value in told if value is not None]
        return parts if self.motion is None else [*parts, "at ({:g}, {:g}) mas/yr".format(*self.motion)]


@dataclass(frozen=True)
class InjectionGrid:
    """A campaign: the values of every axis, and how each stream is made.

    Args:
        kind: "model" (great circle, old population), "members" (real ones, moved) or "spray" (particles).
        stars: numbers of stars.
        widths: deg; model streams.
        distances: kpc; model and spray streams.
        offsets: mas/yr from the patch's densest proper motion; not used if `motions` are given.
        motions: proper motions in the patch frame, mas/yr.
        streams: numbers of the real streams.
        shifts: mag by which real members are moved away.
        repeats: streams per cell; they go through the run's patches in turn.
        length: deg.
        gradient: largest change of each proper-motion component along the stream, mas/yr/deg; each stream
            draws its own between plus and minus this.
        metallicity: [Fe/H] of model and spray streams.
        dispersion: km/s; model streams.
        shuffled: a control: the same stars, but scattered over the patch. They are no stream.
        seed: of everything random.

    Raises:
        InjectError: a value is out of range; the message names it.
    """

    kind: str = "model"
    stars: tuple[int, ...] = (50, 100, 200, 400)
    widths: tuple[float, ...] = (0.2,)
    distances: tuple[float, ...] = (9.0,)
    offsets: tuple[float, ...] = (6.0,)
    motions: tuple[tuple[float, float], ...] = ()
    streams: tuple[int, ...] = ()
    shifts: tuple[float, ...] = (0.0,)
    repeats: int = 10
    length: float = 20.0
    gradient: float = 0.03
    metallicity: float = -1.8
    dispersion: float = 3.0
    shuffled: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InjectError(f"a stream's kind is one of {KINDS}, got {self.kind!r}")
        if self.kind == "members" and not self.streams:
            raise InjectError("moved members need the number of at least one stream")
        if not self.stars or not (self.offsets or self.motions):
            raise InjectError("the grid is empty: give stars, and offsets or motions")
        for name, low, high in _LIMITS:
            _require(name, getattr(self, name), low, high)
        if self.repeats < 1 or self.seed < 0:
            raise InjectError(
                f"repeats must be 1 or more and the seed 0 or more, got {self.repeats} and {self.seed}"
            )

    @property
    def cells(self) -> list[Cell]:
        """All cells, in order."""
        motions: list[dict[str, Any]] = [{"motion": motion} for motion in self.motions] or [
            {"offset": offset} for offset in self.offsets
        ]
        axes: dict[str, Sequence[Any]]
        if self.kind == "members":
            axes = {"stream": self.streams, "shift": self.shifts}
        elif self.kind == "spray":
            axes = {"distance": self.distances}
        else:
            axes = {"width": self.widths, "distance": self.distances}
        product = itertools.product(*axes.values(), motions, sorted(set(self.stars)))
        return [
            Cell(stars, **dict(zip(axes, values, strict=True)), **motion)
            for *values, motion, stars in product
        ]

    def recipe(self) -> dict[str, Any]:
        """What must be the same when a campaign is continued; the axes may grow."""
        return {key: value for key, value in asdict(self).items() if key not in _AXES}

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InjectionGrid:
        """The grid that `to_dict` described.

        Raises:
            InjectError: a key is unknown.
        """
        known = {field.name for field in fields(cls)}
        if set(values) - known:
            raise InjectError(f"unknown keys {sorted(set(values) - known)} in a grid; known: {sorted(known)}")
        return cls(**{key: _tuples(value) for key, value in values.items()})


_LIMITS = (
    ("stars", 0, 100_000), ("widths", 0.01, 5.0), ("distances", 1.0, 200.0), ("offsets", 0.0, 50.0),
    ("motions", -100.0, 100.0), ("shifts", -5.0, 5.0), ("length", 0.5, 120.0), ("gradient", 0.0, 2.0),
    ("metallicity", -4.0, 0.5), ("dispersion", 0.0, 50.0),
)  # fmt: skip


def _require(name: str, values: Any, low: float, high: float) -> None:
    flat = [values] if not isinstance(values, tuple) else [
        number for value in values for number in (value if isinstance(value, tuple) else (value,))
    ]  # fmt: skip
    for value in flat:
        if not (math.isfinite(value) and low <= value <= high):
            raise InjectError(f"{name} must lie from {low:g} to {high:g}, got {value:g}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class InjectionUnit:
    """One stream put into one patch: restartable, independent of all others.

    Args:
        patch: name of the patch.
        cell: what is put there.
        repeat: number of the repetition.
    """

    patch: str
    cell: Cell
    repeat: int

    @property
    def name(self) -> str:
        """Name of its file; everything random in it follows from the name and the campaign's seed."""
        cell = re.sub(r"[^A-Za-z0-9.+-]+", "_", self.cell.label).strip("_")
        return f"{self.patch}_{cell}_{self.repeat:03d}"

    def seed(self, root: int) -> int:
        """Seed of the unit."""
        return int.from_bytes(hashlib.sha256(f"{root}/{self.name}".encode()).digest()[:8], "little")


def grid_of(**given: Any) -> InjectionGrid:
    """A grid from what a user gave; what is None or empty keeps its default.

    Raises:
        InjectError: a value is out of range.
    """
    chosen = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return InjectionGrid(**{key: value for key, value in chosen.items() if value not in (None, ())})


def plan(grid: InjectionGrid, patches: Sequence[str]) -> list[InjectionUnit]:
    """All units of a campaign, cell after cell; repetitions go through the patches in turn."""
    return [
        InjectionUnit(patches[repeat % len(patches)], cell, repeat)
        for cell in grid.cells
        for repeat in range(grid.repeats)
    ]
