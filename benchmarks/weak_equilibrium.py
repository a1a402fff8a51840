"""How often the weak form's goodness of fit flags relaxed, kicked and wrongly selected mocks.

For each mock: draws of stars, a fit with the default functions, the test of equilibrium with its own.
`flagged` is the share of draws with a global p-value below 5 %: near 5 % for relaxed mocks, 90 % or more for
the others.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import reporting

from density.seeds import child_seed
from dm_map.mocks import SOLAR_BALL, SelectionGradient, kicked, milky_way, with_selection
from dm_map.potential import galactic_dictionary
from dm_map.stars import StarSample
from dm_map.weak import WeakForm
from dm_map.weak.equilibrium_check import check_equilibrium
from dm_map.weak.goodness import GoodnessOfFit

_GRADIENT = 0.1


def clean(stars: int, seed: int) -> StarSample:
    """Relaxed stars."""
    return milky_way().sample(stars, seed)


def kick(stars: int, seed: int) -> StarSample:
    """The same with 20 km/s along z."""
    return kicked().sample(stars, seed)


def gradient(stars: int, seed: int) -> StarSample:
    """The same, seen by a survey that loses 10 % of them per kpc away from the Galactic centre."""
    selection = SelectionGradient(SOLAR_BALL, (_GRADIENT, 0.0, 0.0))
    # No point of the ball is seen with a chance below exp(-2 |g| R).
    complete = math.ceil(stars * math.exp(2.0 * _GRADIENT * SOLAR_BALL.radius))
    seen = with_selection(milky_way().sample(complete, seed), selection, seed=child_seed(seed, "selection"))
    return seen.take(np.arange(min(stars, len(seen))))


def judged(make: Callable[[int, int], StarSample], stars: int, seed: int) -> GoodnessOfFit:
    """One draw."""
    sample = make(stars, child_seed(seed, "sample"))
    fit = WeakForm(draws=0).fit(sample, galactic_dictionary(sample.volume), seed=child_seed(seed, "fit"))
    return check_equilibrium(fit, sample, seed=child_seed(seed, "check"))


def main() -> None:
    """Run and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--stars", type=int, default=1_000_000, help="stars of each draw (default 10^6)")
        parser.add_argument("--mocks", nargs="+", default=["clean", "kick", "gradient"], help="which of them")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    makers = {"clean": (clean, 20), "kick": (kick, 10), "gradient": (gradient, 10)}
    stars, rows = 20_000 if options.quick else options.stars, []
    for name in options.mocks:
        make, draws = makers[name]
        draws, began = 2 if options.quick else draws, time.perf_counter()
        found = [judged(make, stars, child_seed(options.seed, name, draw)) for draw in range(draws)]
        worst = min(found, key=lambda one: one.p_value).worst
        rows.append(
            {
                "mock": name,
                "stars": stars,
                "draws": draws,
                "flagged": float(np.mean([not one.passed for one in found])),
                "median_p": float(np.median([one.p_value for one in found])),
                "worst_test": f"{worst.kind}, {worst.parity}",
                "seconds": time.perf_counter() - began,
            }
        )
    reporting.report("weak_equilibrium", options, rows=rows)


if __name__ == "__main__":
    main()
