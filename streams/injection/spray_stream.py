"""A stream by particle spray, put where it is wanted: a thin wrapper over `sky_patches.mock`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table

from sky_patches import MockError, PatchGeometry
from sky_patches.mock import MockStream, luminosity_count
from sky_patches.mock.ridge import distance_modulus
from streams.injection.errors import InjectionError
from streams.injection.makers import identified, require_stars, spare
from streams.injection.moved_members import great_circle_frame
from streams.injection.place import Place
from streams.injection.survey import SurveyStars
from streams.injection.truth import InjectedStream, StreamTruth

__all__ = ["SprayStream"]

_SOFTER = (1.0, 3.0, 10.0)
"""Scale radii that are tried in turn, in units of the recipe's."""


@dataclass(frozen=True)
class SprayStream:
    """Stars that a dissolving cluster lost, on the orbit through the place.

    Its direction on the sky, width and gradients follow from the orbit: of the place only the point and the
    proper motion are used.

    Args:
        recipe: of the stream; its position, proper motion and number of stars are replaced.
    """

    recipe: MockStream

    def make(
        self,
        place: Place,
        survey: SurveyStars,
        geometry: PatchGeometry,
        stars: int,
        rng: np.random.Generator,
    ) -> InjectedStream:
        """The stream at a place (see `StreamMaker.make`)."""
        require_stars(stars)
        particles = self._particles(place, rng)
        inside = geometry.contains(np.asarray(particles["ra"]), np.asarray(particles["dec"]))
        visible = self._visible(particles[inside], survey, rng)
        if len(visible) < max(spare(stars), 3):
            raise InjectionError(
                f"stream {self.recipe.name!r}: {spare(stars)} stars wanted (spare ones included), the patch "
                f"{geometry.name!r} shows {len(visible)} of {len(particles)} particles; "
                f"raise release_particles, now {self.recipe.release_particles}"
            )
        frame = great_circle_frame(np.asarray(visible["ra"]), np.asarray(visible["dec"]))
        distance = float(np.median(np.asarray(visible["distance"])))
        truth = StreamTruth.measured(frame, visible, distance=distance, label=self.recipe.name)
        true = visible[rng.permutation(len(visible))[: spare(stars)]]
        if survey.has_magnitudes:
            from sky_patches.mock.streams import add_light

            add_light(true, self.recipe.metallicity, survey.true_limits, rng)
        return identified(survey.observe(true, rng), truth, survey, rng)

    def _particles(self, place: Place, rng: np.random.Generator) -> Table:
        # gala takes a second to import, and only who makes such a stream needs it.
        from sky_patches.mock.kinematics import heliocentric
        from sky_patches.mock.spray import spray

        pmra, pmdec = place.frame.unproject_motions(0.0, 0.0, *place.motion)
        recipe = replace(
            self.recipe, ra_deg=place.frame.ra_deg, dec_deg=place.frame.dec_deg,
            pm_ra_cosdec=float(pmra), pm_dec=float(pmdec),
        )  # fmt: skip
        seed = int(rng.integers(2**31))
        # The cluster's core asks for steps that some orbits cannot be integrated with; a softer one does not.
        for softer in _SOFTER:
            soft = replace(recipe, progenitor_scale_pc=softer * recipe.progenitor_scale_pc)
            try:
                return heliocentric(*spray(soft, seed))
            except MockError as error:
                problem = error
        raise InjectionError(f"{problem}") from problem

    @staticmethod
    def _visible(particles: Table, survey: SurveyStars, rng: np.random.Generator) -> Table:
        """Particles thinned to the share of their stars that are bright enough at their distance."""
        if not survey.has_magnitudes or not len(particles):
            return particles
        modulus = distance_modulus(np.asarray(particles["distance"]))
        bright, faint = survey.true_limits
        share = luminosity_count(faint - modulus) - luminosity_count(bright - modulus)
        return particles[rng.random(len(particles)) * share.max() < share]
