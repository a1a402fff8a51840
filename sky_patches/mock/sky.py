"""The mock sky: a recipe of background and streams, and what it generates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from zlib import crc32

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack

from sky_patches.errors import MockError
from sky_patches.mock.background import Survey, draw_background
from sky_patches.mock.cone import Cone
from sky_patches.mock.gaia_errors import GaiaErrors
from sky_patches.mock.identifiers import source_ids
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.streams import draw_stream
from sky_patches.mock.truth import Truth, summarise_stream

__all__ = ["MockResult", "MockSky"]

_BACKGROUND, _STREAM = 0, 1


@dataclass(frozen=True, slots=True)
class MockResult:
    """A generated sky.

    Attributes:
        stars: the catalogue in the schema's names and units, sorted by source_id; nothing in it tells members
            apart.
        truth: what only a test may look at.
    """

    stars: Table
    truth: Truth


@dataclass(frozen=True, slots=True)
class MockSky:
    """Recipe of a mock Gaia catalogue in a cone. See the package's docstring for what it contains.

    Attributes:
        ra_deg: right ascension of the centre, ICRS degrees.
        dec_deg: declination of the centre.
        radius_deg: radius of the cone.
        stars: number of background stars in the catalogue (all cuts passed). Fewer than the Galaxy has is a
            thinned sky; `Truth.thinning` says by how much.
        g_min: brightest observed G.
        g_max: faintest observed G.
        parallax_max: upper limit of the observed parallax in mas; None for no cut.
        streams: the streams.
        errors: Gaia's error model.

    Raises:
        MockError: a value is out of range or two streams share a name; the message names it.
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    stars: int
    g_min: float = 12.0
    g_max: float = 20.2
    parallax_max: float | None = 1.0
    streams: tuple[MockStream, ...] = ()
    errors: GaiaErrors = field(default_factory=GaiaErrors)

    def __post_init__(self) -> None:
        checks = {
            "ra_deg must be finite": math.isfinite(self.ra_deg),
            "dec_deg must lie in [-90, 90]": -90.0 <= self.dec_deg <= 90.0,
            "radius_deg must lie in (0, 30]": 0.0 < self.radius_deg <= 30.0,
            "stars must be positive": self.stars > 0,
            "g_min must lie below g_max, both in [4, 20.9]": 4.0 <= self.g_min < self.g_max <= 20.9,
        }
        for expectation, met in checks.items():
            if not met:
                raise MockError(f"{expectation}; got {getattr(self, expectation.split()[0])} in {self}")
        names = [stream.name for stream in self.streams]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise MockError(f"every stream needs a name of its own; used more than once: {', '.join(twice)}")

    @classmethod
    def around(
        cls, centre: SkyCoord, radius: u.Quantity, *, stars: int, streams: tuple[MockStream, ...] = ()
    ) -> MockSky:
        """The recipe for a cone given as astropy coordinates (any frame) and an angle."""
        icrs = centre.icrs
        return cls(
            float(icrs.ra.deg), float(icrs.dec.deg), float(radius.to_value(u.deg)), stars, streams=streams
        )

    def with_streams(self, *streams: MockStream) -> MockSky:
        """The same sky with other streams; the background stars stay the same, star by star."""
        return replace(self, streams=streams)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain numbers, strings and lists, for a configuration file or provenance."""
        return {**asdict(self), "streams": [asdict(stream) for stream in self.streams]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MockSky:
        """The recipe from what `to_dict` returns; keys with a default may be left out.

        Raises:
            MockError: an unknown or missing key, or a value out of range.
        """
        given = dict(values)
        try:
            streams = tuple(MockStream(**stream) for stream in given.pop("streams", ()))
            errors = GaiaErrors(**given.pop("errors", {}))
            return cls(**given, streams=streams, errors=errors)
        except TypeError as problem:  # an unexpected or missing keyword
            raise MockError(f"not a recipe of a mock sky: {problem}") from problem

    @property
    def survey(self) -> Survey:
        """The cuts that decide which observed stars are in the catalogue."""
        cone = Cone(self.ra_deg, self.dec_deg, self.radius_deg)
        return Survey(cone, self.g_min, self.g_max, self.parallax_max, self.errors)

    def generate(self, seed: int) -> MockResult:
        """Generate the catalogue and its truth.

        The same recipe and seed give the same sky bit for bit. Background and every stream draw from random
        sequences of their own (a stream's depends on its name), so adding or removing a stream leaves all
        other stars as they were.

        Args:
            seed: zero or positive.

        Raises:
            MockError: negative seed; a stream has too few stars in the cone; no star passes the cuts.
        """
        if seed < 0:
            raise MockError(f"seed must be zero or positive, got {seed}")
        rng = np.random.default_rng(np.random.SeedSequence([seed, _BACKGROUND]))
        true, observed, natural = draw_background(self.survey, self.stars, rng)
        ids = source_ids(np.asarray(observed["ra"]), np.asarray(observed["dec"]), rng)
        catalogue, background = [_with_ids(observed, ids)], _with_ids(true, ids)
        members = []
        for stream in self.streams:
            seeds = np.random.SeedSequence([seed, _STREAM, crc32(stream.name.encode())])
            id_seed, star_seed = seeds.spawn(2)
            true, observed = draw_stream(stream, self.survey, star_seed)
            taken = np.concatenate([np.asarray(table["source_id"]) for table in catalogue])
            place = np.asarray(observed["ra"]), np.asarray(observed["dec"])
            ids = source_ids(*place, np.random.default_rng(id_seed), taken=taken)
            catalogue.append(_with_ids(observed, ids))
            members.append(_with_ids(true, ids, stream.name))
        return MockResult(_sorted(vstack(catalogue)), self._truth(background, members, natural))

    def _truth(self, background: Table, members: list[Table], natural: float) -> Truth:
        summaries = [summarise_stream(stars, s) for stars, s in zip(members, self.streams, strict=True)]
        return Truth(
            members=_sorted(vstack(members)) if members else Truth.no_members(),
            streams=vstack(summaries) if summaries else Truth.no_streams(),
            background=_sorted(background),
            natural_background=natural,
        )


def _with_ids(stars: Table, ids: np.ndarray, stream: str | None = None) -> Table:
    """The table with source_id (and the stream's name) in front."""
    table = stars.copy()
    if stream is not None:
        table.add_column(np.full(len(table), stream), name="stream", index=0)
    table.add_column(ids, name="source_id", index=0)
    return table


def _sorted(stars: Table) -> Table:
    return stars[np.argsort(np.asarray(stars["source_id"]), kind="stable")]
