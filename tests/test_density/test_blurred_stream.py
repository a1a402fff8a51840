"""A narrow stream behind unequal measurement errors is found better when the training knows of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from density import ConditionalFlow

SEEDS = (1, 2, 3)
BACKGROUND = ConditionalFlow(layers=2, hidden=8, batch_size=256, epochs=4)
DATA = ConditionalFlow(kind="spline", layers=2, hidden=16, batch_size=128, epochs=10, patience=None)


@dataclass(frozen=True)
class Stars:
    """Two components of a proper motion, with equal errors between 0.05 and 2."""

    x: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, n: int, centre: float, width: float, rng: np.random.Generator) -> Stars:
        errors = np.exp(rng.uniform(np.log(0.05), np.log(2), (n, 1))) * np.ones(2)
        return cls(centre + width * rng.normal(size=(n, 2)) + errors * rng.normal(size=(n, 2)), errors)

    def and_(self, other: Stars) -> Stars:
        return Stars(np.concatenate([self.x, other.x]), np.concatenate([self.errors, other.errors]))


def field(n: int, rng: np.random.Generator) -> Stars:
    return Stars.of(n, 0.0, 2.0, rng)


def stream(n: int, rng: np.random.Generator) -> Stars:
    return Stars.of(n, 1.0, 0.1, rng)


def max_sic(signal: np.ndarray, background: np.ndarray, least: int = 25) -> float:
    """Largest eps_S / sqrt(eps_B) of the cuts that at least 25 background stars survive."""
    cuts = np.sort(background)[::-1][least - 1 :]
    passed = 1 - np.searchsorted(np.sort(signal), cuts) / len(signal)
    return float((passed / np.sqrt(np.arange(least, len(background) + 1) / len(background))).max())


def compare(seed: int) -> tuple[float, float]:
    """Max SIC on fresh stars of ln(p_data / p_background), with the errors and without."""
    rng = np.random.default_rng(seed)
    beside, window = field(3000, rng), field(2000, rng).and_(stream(400, rng))
    tests = (stream(2000, rng), field(10_000, rng))
    found = []
    for use in (True, False):
        extra = [{"errors": part.errors, "draws": 8} if use else {} for part in (beside, window)]
        background = BACKGROUND.fit(beside.x, seed=seed, **extra[0])
        data = DATA.fit(window.x, seed=seed, **extra[1])
        scores = []
        for part in tests:
            first, second = (
                flow.log_prob_observed(part.x, errors=part.errors, draws=16) if use else flow.log_prob(part.x)
                for flow in (data, background)
            )
            scores.append(first - second)
        found.append(max_sic(*scores))
    return found[0], found[1]


@pytest.mark.statistical
def test_error_aware_training_finds_a_blurred_stream_better() -> None:
    rows = [(seed, *compare(seed)) for seed in SEEDS]
    for seed, aware, plain in rows:
        print(f"seed {seed}: max SIC {aware:.2f} with the errors, {plain:.2f} without")
    assert np.median([aware - plain for _, aware, plain in rows]) > 0
    assert min(aware for _, aware, _ in rows) > 2  # it is found at all
    rng = np.random.default_rng(0)
    # Negative control: scores that know nothing.
    assert max_sic(rng.normal(size=2000), rng.normal(size=10_000)) < 1.6
