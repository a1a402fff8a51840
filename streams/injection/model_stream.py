"""A model stream: a stretch of a great circle with a width, a proper motion and an old population's light."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from astropy.table import Table

from sky_patches import PatchFrame, PatchGeometry
from streams.injection.errors import InjectionError
from streams.injection.makers import identified, require_stars, spare
from streams.injection.place import Place
from streams.injection.survey import SurveyStars
from streams.injection.truth import InjectedStream, StreamTruth

__all__ = ["KMS_PER_MASYR_KPC", "ModelStream"]

KMS_PER_MASYR_KPC = 4.740470463
"""Tangential velocity (km/s) of 1 mas/yr at 1 kpc."""
_TRIES = 200


@dataclass(frozen=True)
class ModelStream:
    """A straight stream of even density along it.

    Args:
        width: Gaussian sigma across the track, deg.
        length: of the whole stream, deg, centred on the place; the patch may show less of it.
        distance: kpc.
        metallicity: [Fe/H] of the ridge.
        dispersion: velocity dispersion of each component, km/s.
        gradient: change of the proper motion (along, across) per degree of the stream, mas/yr/deg.

    Raises:
        InjectionError: a value is out of range; the message names it.
    """

    width: float = 0.2
    length: float = 20.0
    distance: float = 9.0
    metallicity: float = -1.8
    dispersion: float = 3.0
    gradient: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        limits = {
            "width": (1e-3, 10.0), "length": (0.1, 120.0), "distance": (0.5, 300.0),
            "metallicity": (-4.0, 1.0), "dispersion": (0.0, 100.0),
        }  # fmt: skip
        for field in fields(self):
            if field.name in limits:
                low, high = limits[field.name]
                value = getattr(self, field.name)
                if not low <= value <= high:
                    raise InjectionError(f"{field.name} must lie from {low} to {high}, got {value}")
        if not np.all(np.abs(self.gradient) <= 10.0):
            raise InjectionError(f"gradient must be within 10 mas/yr/deg, got {self.gradient}")

    def make(
        self,
        place: Place,
        survey: SurveyStars,
        geometry: PatchGeometry,
        stars: int,
        rng: np.random.Generator,
    ) -> InjectedStream:
        """The stream at a place (see `StreamMaker.make`).

        Magnitudes follow the luminosity function of an old population down to the survey's limit at this
        distance, colours its ridge (`sky_patches.mock`); a survey without magnitudes gets none.
        """
        require_stars(stars)
        phi1, phi2 = self._positions(place.frame, geometry, spare(stars), rng)
        ra, dec = place.frame.unproject(phi1, phi2)
        spread = self.dispersion / (KMS_PER_MASYR_KPC * self.distance)
        motion = [
            start + slope * phi1 + spread * rng.normal(size=len(phi1))
            for start, slope in zip(place.motion, self.gradient, strict=True)
        ]
        pmra, pmdec = place.frame.unproject_motions(phi1, phi2, *motion)
        true = Table({"ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec})
        true["distance"] = np.full(len(true), self.distance)
        if survey.has_magnitudes:
            from sky_patches.mock.streams import add_light

            add_light(true, self.metallicity, survey.true_limits, rng)
        return identified(survey.observe(true, rng), self._truth(place), survey, rng)

    def _positions(
        self, frame: PatchFrame, geometry: PatchGeometry, wanted: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places along and across the stream of stars that lie inside the patch."""
        kept: list[np.ndarray] = [np.empty((2, 0))]
        for _ in range(_TRIES):
            if sum(part.shape[1] for part in kept) >= wanted:
                break
            size = max(wanted, 100)
            along = self.length * (rng.random(size) - 0.5)
            across = self.width * rng.normal(size=size)
            inside = geometry.contains(*frame.unproject(along, across))
            kept.append(np.stack([along, across])[:, inside])
        drawn = np.concatenate(kept, axis=1)[:, :wanted]
        if drawn.shape[1] < wanted:
            raise InjectionError(
                f"patch {geometry.name!r} shows less than 1 in {_TRIES} of a stream through "
                f"({frame.ra_deg:.2f}, {frame.dec_deg:.2f}) deg: its middle must lie inside the patch"
            )
        return drawn[0], drawn[1]

    def _truth(self, place: Place) -> StreamTruth:
        along, across = zip(place.motion, self.gradient, strict=True)
        half = self.length / 2
        label = f"model stream of {self.width:g} deg at {self.distance:g} kpc"
        return StreamTruth(
            place.frame, (0.0, 0.0, 0.0), (along, across), self.width, (-half, half), self.distance, label
        )
