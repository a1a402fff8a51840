"""What the sections of a configuration are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Count",
    "Limits",
    "Positive",
    "Section",
    "Steps",
]

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError("the lower limit must lie below the upper one")
    return limits


Limits = Annotated[tuple[float, float], AfterValidator(_ascending)]


class Section(BaseModel):
    """A section: unknown keys and infinite numbers are refused, and nobody changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Steps(Section):
    """A sliding interval, mas/yr: steps wider than the interval would leave gaps."""

    width: Positive = 6.0
    step: Positive = 1.0

    @model_validator(mode="after")
    def _no_gaps(self) -> Steps:
        if self.step > self.width:
            raise ValueError(f"a step of {self.step} leaves gaps between intervals of width {self.width}")
        return self
