"""How stars get their anomaly scores: windows, detector, flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from via_machinae.config_sections.base import Count, Positive, Section, Steps

__all__ = [
    "DetectorConfig",
    "DetectorName",
    "FlowConfig",
    "WindowsConfig",
]


class WindowsConfig(Steps):
    """Windows of the resonant proper-motion component, mas/yr, over its whole range."""

    min_stars: Count = 500


DetectorName = Literal[
    "cathode", "anode", "r-anode", "lacathode", "cwola", "transport", "cathode+r-anode", "autoencoder"
]
"""Detectors of `density` that need neither labels nor a simulation."""

_POSITIONS = frozenset(
    ("ra", "dec", "l", "b", "ecl_lon", "ecl_lat", "phi1", "phi2", "x", "y", "source_id", "hpx", "healpix")
)


class DetectorConfig(Section):
    """The anomaly detector and the features it sees beside the other proper-motion component.

    Positions are left out on purpose: the line finder judges them, and only a score that knows no
    positions leaves it a calibrated null.

    Args:
        name: "cathode", "anode", "r-anode", "lacathode", "cwola", "transport" (sideband stars moved into the
            window by the flow), "cathode+r-anode" (the mean of both) or "autoencoder" (a baseline: outliers,
            not over-densities).
        features: columns of the star table; never a position, nor the source_id, which holds one.
        folds: of the cross-fitting.
        members: classifiers averaged, or networks.
        oversampling: background samples per star of the window.
        retrainings: how often each window is scored, each time with seeds of its own. The first makes the
            catalogue; what returns in the others is stable.
    """

    name: DetectorName = "cathode"
    features: tuple[str, ...] = ("bp_rp", "phot_g_mean_mag")
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    members: Count = 2
    oversampling: Count = 4
    retrainings: Annotated[int, Field(ge=1, le=100)] = 1

    @field_validator("features")
    @classmethod
    def _blind_to_positions(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        positions = [name for name in features if name.lower() in _POSITIONS]
        if positions:
            raise ValueError(
                f"{', '.join(positions)} tells positions, which the score may not see: "
                "the false-alarm probabilities would be wrong"
            )
        return features

    @model_validator(mode="after")
    def _enough_folds(self) -> DetectorConfig:
        if self.folds < 3 and "r-anode" in self.name:
            raise ValueError(f"{self.name} needs 3 folds or more (to fit, to choose, to score)")
        return self


class FlowConfig(Section):
    """The conditional flow: affine ("maf") or with splines, for which two or three layers are enough."""

    kind: Literal["maf", "spline"] = "maf"
    layers: Count = 6
    hidden: Count = 48
    epochs: Count = 12
    batch_size: Annotated[int, Field(ge=16)] = 1024
    learning_rate: Positive = 1e-2
