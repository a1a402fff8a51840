"""How the checks are made: numbers of positions and velocities, and the marks to pass."""

from __future__ import annotations

from dataclasses import dataclass, fields

from scipy.stats import norm

from dm_map.errors import DiagnosticError

__all__ = ["DiagnosticSettings"]


@dataclass(frozen=True)
class DiagnosticSettings:
    """Recipe of `diagnose`.

    Attributes:
        accuracy: Relative error of the acceleration that the user can live with: values that measure such an
            error may exceed it only by what sampling explains.
        significance: Probability that a check whose law is known fails by chance; it is shared among all such
            checks (Bonferroni), and is the one-sided level of the sampling margins of the others.
        positions: Positions at which the scores are examined; drawn from the held-out stars.
        velocities: Velocities per position.
        centres: Centres of the loops and balls of the curl and of the mass density.
        scale: Radius of these loops and balls as a share of the stars' median distance from the centre.
        use_within: Share of the volume's radius inside which the scores are examined.
        truncation: Velocities further than this many standard deviations from the local mean do not enter
            (2).
        stars: Most held-out stars at which the scores are evaluated (all of them enter what needs no scores).
        rows: Most stars and samples of the two-sample test.
        symmetries: Of "north-south" (about z = 0) and "azimuthal" (about the z axis), those that the
            potential is supposed to have.
        claimed_error: Relative error that the map of accelerations claims for itself, for the check of split
            halves; None: the accuracy.
        pattern_speed: Rotation of the frame in which the stars are stationary, about z, km/s/kpc.
    """

    accuracy: float = 0.1
    significance: float = 0.01
    positions: int = 64
    velocities: int = 256
    centres: int = 16
    scale: float = 0.2
    use_within: float = 0.75
    truncation: float = 3.0
    stars: int = 15_000
    rows: int = 10_000
    symmetries: tuple[str, ...] = ("north-south", "azimuthal")
    claimed_error: float | None = None
    pattern_speed: float = 0.0

    def __post_init__(self) -> None:
        for name in ("accuracy", "significance", "scale", "use_within"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise DiagnosticError(f"{name} is a number between 0 and 1; got {value}")
        least = {"positions": 16, "velocities": 32, "centres": 4, "stars": 200, "rows": 200}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise DiagnosticError(f"{name} is {smallest} or more; got {getattr(self, name)}")
        if self.claimed_error is not None and not 0 < self.claimed_error < 10:
            raise DiagnosticError(f"a claimed relative error is a positive number; got {self.claimed_error}")
        if not self.truncation > 1:
            raise DiagnosticError(f"truncation is more than one standard deviation; got {self.truncation}")
        unknown = set(self.symmetries) - {"north-south", "azimuthal"}
        if unknown:
            raise DiagnosticError(f"symmetries are 'north-south' and 'azimuthal'; got {sorted(unknown)}")

    @property
    def quantile(self) -> float:
        """Standard deviations of the sampling margin: the one-sided quantile of the significance."""
        return float(norm.isf(self.significance))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {part.name: getattr(self, part.name) for part in fields(self)}
