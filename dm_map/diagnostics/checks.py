"""The checks, grouped by what they need: stars alone, stars and scores, scores alone, a field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from density.checks.two_sample import two_sample_auc
from density.seeds import child_seed
from dm_map.diagnostics.amplitudes import (
    Amplitude,
    expected_negative_share,
    mean_size,
    negative_share,
    octants,
    vector_size,
)
from dm_map.diagnostics.fields import LocalFields, Places, choose_places, local_fields
from dm_map.diagnostics.meanings import by_p_value, by_size
from dm_map.diagnostics.phase_space import Field, PhaseSpace, accelerations, streaming
from dm_map.diagnostics.report import Diagnostic
from dm_map.diagnostics.settings import DiagnosticSettings
from dm_map.diagnostics.smoothness import missing_order
from dm_map.diagnostics.stars import (
    Bumps,
    continuity_rows,
    mean_test,
    momentum_rows,
    speed_rows,
    velocity_scale,
)
from dm_map.errors import DiagnosticError
from dm_map.stars import StarSample

__all__ = ["Case"]

# Half way between smooth scores (0) and scores that jump (3).
_MOST_MISSING_ORDERS = 1.5
_VELOCITIES_PER_STAR = 16
# Stars this close to the edge (share of the radius) get no acceleration of their own: there f is cut off.
_EDGE = 0.95
_MOST_STARS = 100_000


@dataclass(frozen=True, eq=False)
class Case:
    """One map under examination: what was given, and what several checks share, evaluated once.

    Attributes:
        density: The density fitted to the training stars, or exact.
        held_out: Stars that took no part in its training.
        stars: All stars, for the checks that need none held out.
        halves: Densities fitted to disjoint halves of the training stars, or None.
        field: A field to be judged, or None.
        settings: How the checks are made.
        seed: Root of all random streams.
    """

    density: PhaseSpace
    held_out: StarSample
    stars: StarSample
    halves: tuple[PhaseSpace, PhaseSpace] | None
    field: Field | None
    settings: DiagnosticSettings
    seed: int

    @cached_property
    def places(self) -> Places:
        """Where the scores are examined."""
        return choose_places(self.held_out, self.settings, self.seed)

    @cached_property
    def whole(self) -> LocalFields:
        """The density's vectors at the places."""
        return local_fields(self.density, self.places, self.settings, self.seed)

    @cached_property
    def parts(self) -> tuple[LocalFields, LocalFields] | None:
        """The halves' vectors at the same places."""
        if self.halves is None:
            return None
        first, second = (
            local_fields(half, self.places, self.settings, child_seed(self.seed, "half", k))
            for k, half in enumerate(self.halves)
        )
        return first, second

    @cached_property
    def inner(self) -> StarSample:
        """The held-out stars well inside the volume, at most as many as the settings allow."""
        return self._subsample(self.held_out.within(self.places.usable), self.settings.stars)

    def _subsample(self, stars: StarSample, most: int) -> StarSample:
        if len(stars) <= most:
            return stars
        rng = np.random.default_rng(child_seed(self.seed, "stars"))
        return stars.take(np.sort(rng.choice(len(stars), most, replace=False)))

    @property
    def scale(self) -> float:
        """Root mean square of the acceleration over the positions."""
        return float(np.sqrt(np.mean(np.sum(self.whole.pointwise.a**2, axis=1))))

    @property
    def level(self) -> float:
        """Level of each check with a p-value: they share the significance."""
        return self.settings.significance / (2 if self.field is None else 3)

    def stars_checks(self) -> Iterator[Diagnostic]:
        """Checks of the stars' equilibrium with a known sampling law; only one needs a rough acceleration."""
        pattern, stars = self.settings.pattern_speed, self.stars
        found = mean_test(continuity_rows(stars, pattern), stars.unit_weights)
        yield by_p_value("continuity", found.share, found.p_value, self.level)
        if self.field is None:
            stars = self._subsample(
                stars.within(stars.volume.within(_EDGE * stars.volume.radius)), _MOST_STARS
            )
            a = self._acceleration_at(stars)
        else:
            a = np.asarray(self.field.acceleration(stars.x), dtype=np.float64)
        rows, slopes = speed_rows(stars, a, pattern)
        found = mean_test(rows, stars.unit_weights, slopes)
        yield by_p_value("speed of stars", found.share, found.p_value, self.level)
        if self.field is not None:
            found = mean_test(momentum_rows(stars, a, pattern), stars.unit_weights)
            yield by_p_value("field on stars", found.share, found.p_value, self.level)

    def _acceleration_at(self, stars: StarSample) -> Float[np.ndarray, "n 3"]:
        return accelerations(
            self.density, stars.x, _VELOCITIES_PER_STAR, seed=child_seed(self.seed, "at stars"),
            truncation=self.settings.truncation, pattern_speed=self.settings.pattern_speed,
        ).a  # fmt: skip

    def density_checks(self) -> Iterator[Diagnostic]:
        """Is the density that of the held-out stars, and differentiable?"""
        yield self._two_sample()
        stars = self.inner
        s_x, s_v = self.density.scores(stars.x, stars.v)
        mean, sigma = velocity_scale(stars)
        weights = stars.unit_weights[:, None]
        products = ((stars.v - mean)[:, :, None] * s_v[:, None, :] + np.eye(3)).reshape(len(stars), 9)
        rows = np.concatenate([sigma * s_v, products], axis=1) * weights / np.sqrt(3.0)
        yield self._sized("Stein velocity", mean_size(rows, self.settings.accuracy, self.settings.quantile))
        bumps = Bumps.at(stars)
        rows = (bumps.value[:, :, None] * s_x[:, None, :] + bumps.gradient).reshape(len(stars), -1) * weights
        unit = sigma**2 / (self.scale * float(np.mean(bumps.value[:, 0] * weights[:, 0])))
        yield self._sized(
            "Stein position", mean_size(rows * unit, self.settings.accuracy, self.settings.quantile)
        )
        slow = np.linalg.norm(stars.v - mean, axis=1)
        chosen = np.flatnonzero(slow < np.median(slow))[:4000]
        order = missing_order(self.density, stars.x[chosen], stars.v[chosen], self.seed)
        yield by_size("smoothness", order, _MOST_MISSING_ORDERS)

    def _two_sample(self) -> Diagnostic:
        stars, rng = self.held_out, np.random.default_rng(child_seed(self.seed, "two-sample"))
        # Weights become shares: a star is kept with a probability in proportion to its weight.
        kept = np.flatnonzero(rng.random(len(stars)) < stars.unit_weights / stars.unit_weights.max())
        kept = kept[: self.settings.rows]
        drawn = self.density.sample(len(kept), child_seed(self.seed, "samples"))
        mean, _ = velocity_scale(stars)
        centre = np.asarray(stars.volume.centre)

        def columns(x: np.ndarray, v: np.ndarray) -> np.ndarray:
            # Radius and speed spare the trees many cuts.
            lengths = [np.linalg.norm(x - centre, axis=1), np.linalg.norm(v - mean, axis=1)]
            return np.column_stack([x, v, *lengths])

        found = two_sample_auc(
            columns(stars.x[kept], stars.v[kept]), columns(drawn.x, drawn.v),
            seed=child_seed(self.seed, "classifier"),
        )  # fmt: skip
        # A log-ratio of standard deviation e, the relative error of the density, has an area Phi(e / sqrt 2).
        accepted = float(norm.cdf(self.settings.accuracy / np.sqrt(2.0)))
        return by_size("two-sample", found.auc, accepted + self.settings.quantile * found.error)

    def scores_checks(self) -> Iterator[Diagnostic]:
        """Do the scores belong to a stationary density in one potential?"""
        whole, parts, places = self.whole, self.parts, self.places
        rms = float(np.sqrt(np.mean(whole.pointwise.flow**2)))
        if parts is not None:
            gap = 0.5 * (parts[0].pointwise.a - parts[1].pointwise.a)
            error = float(np.sqrt(np.mean(np.sum(gap**2, axis=1)))) / self.scale
            claimed = self.settings.claimed_error
            yield by_size("split halves", error, self.settings.accuracy if claimed is None else claimed)
        yield self._sized("residual", self._residual(rms))
        yield self._vectors("continuity of scores", "continuity", places.x, rms)
        for name, attribute, x in (
            ("speed of scores", "speed", places.x),
            ("Jeans", "jeans", places.x),
            ("curl", "curl", places.centres),
        ):
            yield self._vectors(name, attribute, x, self.scale)
        for name, (vectors, x) in whole.symmetries.items():
            if len(x) < 8:
                continue
            halves = None if parts is None else (parts[0].symmetries[name][0], parts[1].symmetries[name][0])
            yield self._sized(name, self._size(vectors, halves, x, self.scale))
        share = negative_share(whole.mass)
        noise = (
            0.0 if parts is None else float(np.sqrt(np.mean((0.5 * (parts[0].mass - parts[1].mass)) ** 2)))
        )
        yield by_size(
            "negative density", share, self.settings.accuracy + expected_negative_share(whole.mass, noise)
        )

    def field_checks(self) -> Iterator[Diagnostic]:
        """Does a field agree with the scores? (That it agrees with the stars is asked with them.)"""
        if self.field is None:
            return
        truth = np.asarray(self.field.acceleration(self.places.x), dtype=np.float64)
        if truth.shape != self.places.x.shape:
            raise DiagnosticError(
                f"the field's accelerations have shape {self.places.x.shape} for as many positions; got"
                f" {truth.shape}"
            )
        halves = (
            None
            if self.parts is None
            else (self.parts[0].pointwise.a - truth, self.parts[1].pointwise.a - truth)
        )
        gap = self.whole.pointwise.a - truth
        yield self._sized("field on scores", self._size(gap, halves, self.places.x, self.scale))

    def _residual(self, rms: float) -> Amplitude:
        whole = self.whole.pointwise
        if self.halves is None or self.parts is None:
            return self._size(whole.residual, None, self.places.x, rms * np.sqrt(whole.flow.shape[1]))
        at = np.broadcast_to(whole.x[:, None], whole.v.shape)
        # Both halves at the same velocities: only there can their residuals be multiplied.
        left = []
        for half, part in zip(self.halves, self.parts, strict=True):
            s_x, s_v = half.scores(at, whole.v)
            flow = streaming(at, whole.v, s_x, s_v, self.settings.pattern_speed)
            left.append(flow + np.einsum("pkc,pc->pk", s_v, part.pointwise.a))
        return self._size(
            whole.residual, (left[0], left[1]), self.places.x, rms * np.sqrt(whole.flow.shape[1])
        )

    def _vectors(self, name: str, attribute: str, x: np.ndarray, scale: float) -> Diagnostic:
        parts = self.parts
        halves = None if parts is None else (getattr(parts[0], attribute), getattr(parts[1], attribute))
        return self._sized(name, self._size(getattr(self.whole, attribute), halves, x, scale))

    def _size(
        self, whole: np.ndarray, halves: tuple[np.ndarray, np.ndarray] | None, x: np.ndarray, scale: float
    ) -> Amplitude:
        groups = octants(x, np.asarray(self.held_out.volume.centre))
        return vector_size(whole, halves, groups, scale, self.settings.accuracy, self.settings.quantile)

    def _sized(self, name: str, amplitude: Amplitude) -> Diagnostic:
        return by_size(name, amplitude.value, amplitude.limit)
