"""The baryons of McMillan (2017), MNRAS 465, 76 (arXiv:1608.00971): best-fitting discs, gas and bulge.

Parameters as published for the best-fitting main model, which has the Sun at R0 = 8.21 kpc. Local values that
follow there: 45.7 Msun/pc^2 of stars and 12.2 of gas, 37 per cent more stars than the census of McKee et al.
(2015).

Errors: that of the published total stellar mass, (54.3 +- 5.7) 10^9 Msun (abstract), is one common factor to
discs and bulge. The gas was held fixed in that fit; its factor has the relative error of McKee et al.'s gas
column, 1.6 in 13.7 (an assumption of ours).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dm_map.baryons.layers import Bulge, Disc, Layered, positive_draw

__all__ = ["McMillanBaryons"]

_STARS_ERROR = 5.7 / 54.3
_GAS_ERROR = 1.6 / 13.7


@dataclass(frozen=True)
class McMillanBaryons(Layered):
    """Thin and thick disc, HI, H2 and bulge of McMillan (2017).

    Attributes:
        stars: Factor to both stellar discs and the bulge.
        gas: Factor to both gas discs.
    """

    name: ClassVar[str] = "mcmillan2017"
    reference: ClassVar[str] = "McMillan 2017, MNRAS 465, 76 (arXiv:1608.00971)"

    stars: float = 1.0
    gas: float = 1.0

    @property
    def discs(self) -> tuple[Disc, ...]:
        """Two discs of stars, two of gas."""
        return (
            Disc("thin disc", "stars", self.stars * 896.0, 2.5, 0.3, "exponential"),
            Disc("thick disc", "stars", self.stars * 183.0, 3.02, 0.9, "exponential"),
            Disc("HI", "gas", self.gas * 53.1, 7.0, 0.085, "sech2", 4.0),
            Disc("H2", "gas", self.gas * 2180.0, 1.5, 0.045, "sech2", 12.0),
        )

    @property
    def bulge(self) -> Bulge:
        """The bulge: 6 10^-9 Msun/pc^3 at the Sun."""
        return Bulge(self.stars * 98.4, 0.075, 2.1, 1.8, 0.5)

    def draw(self, seed: int) -> McMillanBaryons:
        """The model with its two factors drawn within their errors, independently."""
        rng = np.random.default_rng(seed)
        return replace(
            self, stars=positive_draw(rng, 1.0, _STARS_ERROR), gas=positive_draw(rng, 1.0, _GAS_ERROR)
        )
