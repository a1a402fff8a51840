"""The recipe of a phase-space density: two conditional flows, smooth enough for their gradients to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from density import Bounds, ConditionalFlow, InBall, child_seed
from density.backend import SMOOTH_ACTIVATIONS
from density.errors import DensityError
from dm_map.errors import FlowError
from dm_map.flows.density import PhaseSpaceDensity
from dm_map.flows.stationarity import SteadyState
from dm_map.stars import StarSample

__all__ = ["FitProgress", "PhaseSpaceFlow"]

FitProgress = Callable[[str, int, float, float], None]
"""Called after each epoch with "positions" or "velocities", its number, training and validation loss; then
with "steady state", its number, the loss of both flows together and the penalty."""

# Fewer stars than this determine no six-dimensional density.
_FEWEST_STARS = 1000

# 99 % quantile of the mapped distance from the centre over its median: 2.2 for a normal density, 3.0 for a
# uniform one in the ball, about 6 for a Plummer sphere.
_HEAVY_TAIL = 4.0


def _flow_for_scores() -> ConditionalFlow:
    """For 10^5 stars; tuned on a Plummer sphere with seeds other than those of the published tables."""
    return ConditionalFlow(
        layers=6,
        hidden=64,
        epochs=8,
        batch_size=1024,
        learning_rate=1e-2,
        patience=None,
        validation_fraction=0.03,
    )


@dataclass(frozen=True)
class PhaseSpaceFlow:
    """Recipe of f(x, v) = n(x) p(v | x), two masked autoregressive flows fitted by maximum likelihood.

    Args:
        position: Recipe of n(x); its bounds are set from the volume.
        velocity: Recipe of p(v | x); its context is the position, mapped as in n.
        use_within: Share of the volume's radius within which scores are to be used.
        rotate: Turn the coordinates by random rotations between the layers, drawn anew for each seed. An
            autoregressive flow treats its axes unequally; turned, one flow errs less (Plummer, 10^5 stars:
            the divergence of p(v | x) falls from 8.2 to 5.8e-3), and errors of several average out better. No
            symmetry is assumed.
        allow_rough: Accept a ReLU network, whose scores jump: as a control for diagnostics only.
        steady: How both flows are trained on together towards a steady state; None: not at all, as
            diagnostics of equilibrium need it.

    Raises:
        FlowError: a flow of splines (its scores jump at the knots), a rough activation without `allow_rough`,
            bounds that were set, or a share that is not between 0 and 1.
    """

    position: ConditionalFlow = field(default_factory=_flow_for_scores)
    velocity: ConditionalFlow = field(default_factory=_flow_for_scores)
    use_within: float = 0.75
    rotate: bool = True
    allow_rough: bool = False
    steady: SteadyState | None = None

    def __post_init__(self) -> None:
        for name, flow in (("position", self.position), ("velocity", self.velocity)):
            if flow.kind != "maf":
                raise FlowError(
                    f"the {name} flow is of kind {flow.kind!r}, whose scores jump at knots; use 'maf'"
                )
            if flow.activation not in SMOOTH_ACTIVATIONS and not self.allow_rough:
                raise FlowError(
                    f"the {name} flow has the activation {flow.activation!r}, whose scores jump; use one "
                    f"of {SMOOTH_ACTIVATIONS}, or allow_rough=True for a control"
                )
            if flow.bounds is not None or flow.resonant is not None:
                raise FlowError(
                    f"the bounds of the {name} flow follow from the stars' volume; leave them out"
                )
        if not 0 < self.use_within < 1:
            raise FlowError(f"use_within is a share of the radius between 0 and 1; got {self.use_within}")

    def fit(
        self, sample: StarSample, *, seed: int, progress: FitProgress | None = None, device: str = "cpu"
    ) -> PhaseSpaceDensity:
        """Fit both flows to the stars, with their weights; measurement errors are not taken out.

        Args:
            sample: The stars and their volume.
            seed: Same seed, same stars, same number of threads: same density. The order of the stars does not
                matter.
            progress: Called after each epoch.
            device: torch device to train on; the result lives on the CPU.

        Raises:
            FlowError: too few stars, or the training failed; the message says where.
        """
        if len(sample) < _FEWEST_STARS:
            raise FlowError(
                f"a phase-space density needs {_FEWEST_STARS} stars or more; got {len(sample)}. Enlarge the "
                "volume, or use the weak form"
            )
        ball = _ball_bounds(sample)
        weights = None if sample.weights is None else sample.unit_weights
        position_flow = replace(self._turned(self.position, seed, "positions"), bounds=ball)
        velocity_flow = self._turned(self.velocity, seed, "velocities")
        velocity_flow = replace(velocity_flow, bounds=_velocity_bounds(), resonant=ball)
        try:
            position = position_flow.fit(
                sample.x, weights=weights, seed=child_seed(seed, "positions"),
                progress=_named(progress, "positions"), device=device,
            )  # fmt: skip
            velocity = velocity_flow.fit(
                sample.v, sample.x, weights=weights, seed=child_seed(seed, "velocities"),
                progress=_named(progress, "velocities"), device=device,
            )  # fmt: skip
        except DensityError as error:
            raise FlowError(f"the flows could not be fitted to {len(sample)} stars: {error}") from error
        density = PhaseSpaceDensity(sample.volume, position, velocity, self.use_within)
        if self.steady is None:
            return density
        return self.steady.fit(
            density, sample, seed=child_seed(seed, "steady state"),
            progress=_named(progress, "steady state"), device=device,
        )  # fmt: skip

    def _turned(self, flow: ConditionalFlow, seed: int, part: str) -> ConditionalFlow:
        return replace(flow, rotations=child_seed(seed, part, "rotations")) if self.rotate else flow

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "position": self.position.to_dict(),
            "velocity": self.velocity.to_dict(),
            "use_within": self.use_within,
            "rotate": self.rotate,
            "allow_rough": self.allow_rough,
            "steady": None if self.steady is None else self.steady.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, object]) -> PhaseSpaceFlow:
        """The recipe that `to_dict` described."""
        values = dict(state)
        flows = {name: ConditionalFlow.from_dict(values.pop(name)) for name in ("position", "velocity")}
        if values.get("steady") is not None:
            values["steady"] = SteadyState(**values["steady"])
        return cls(**flows, **values)


def _ball_bounds(sample: StarSample) -> Bounds:
    """The ball; with a core where the stars crowd at its centre, as those of a whole cluster or galaxy do."""
    volume = sample.volume
    distance = np.arctanh(volume.fraction_of_radius(sample.x)) * volume.radius
    half, most = np.quantile(distance, (0.5, 0.99))
    core = float(half) if most > _HEAVY_TAIL * half else None
    coordinates = (InBall(volume.radius, centre=float(c), core=core) for c in volume.centre)
    return Bounds(tuple(coordinates), ("x", "y", "z"))


def _velocity_bounds() -> Bounds:
    return Bounds(Bounds.unbounded(3).features, ("v_x", "v_y", "v_z"))


def _named(progress: FitProgress | None, part: str) -> Callable[[int, float, float], None] | None:
    if progress is None:
        return None
    return lambda epoch, training, validation: progress(part, epoch, training, validation)
