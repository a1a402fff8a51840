"""What limits the weak form: its test functions, the weighting of the rows, the dictionary, or the stars?

`predicted` is the median error of |a|, relative, that the equations' own covariance allows (no bounds, the
same weak prior on every component); `found` the median over draws. The row "known distribution function" is
the Cramer-Rao bound of somebody who knows the velocity distribution of every population and learns only the
potential from where the stars are: no method that has to learn it can do better. "dictionary" is what remains
when the dictionary is fitted to the exact accelerations.
"""

from __future__ import annotations

import numpy as np
import reporting
from _weak_route import judged_at, run_weak

from density import child_seed
from dm_map.mocks import Mock, make_mock
from dm_map.potential import nonnegative_fit
from dm_map.stars import StarSample
from dm_map.weak import TestFunctions, WeakFit, choose_functions

__all__ = ["main"]

_VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "4 kpc wide": {"spacing": 4.0},
    "2 kpc wide": {"spacing": 2.0},
    "6 layers": {"layers": 6},
    "20 layers": {"layers": 20},
    "one taper": {"scales": (1.0,)},
    "three tapers": {"scales": (0.5, 1.0, 2.0)},
    "degrees 1 and 3, one taper": {"degrees": (1, 3), "scales": (1.0,)},
    "degrees 0 to 2": {"degrees": (0, 1, 2)},
}


def main() -> None:
    """Fit with each set of test functions and compare with the bounds."""
    options = reporting.arguments(__doc__.splitlines()[0])
    stars, draws = (20_000, 1) if options.quick else (300_000, 4)
    names = list(_VARIANTS)[:2] if options.quick else list(_VARIANTS)
    mock = make_mock("milky-way")
    rows: list[dict[str, reporting.Cell]] = []
    for name in names:
        row, fit = _variant(mock, stars, draws, name, options.seed)
        rows.append(row)
        print(row, flush=True)
    rows.append(_known_distribution(mock, fit, stars, options.seed))
    rows.append(_dictionary(mock, fit))
    reporting.report("weak_limits", options, rows=rows, figures={"stars": stars, "draws": draws})


def _variant(mock: Mock, stars: int, draws: int, name: str, seed: int) -> tuple[dict, WeakFit]:
    found = []
    for draw in range(draws):
        chosen = _functions(mock, stars, child_seed(seed, draw), name)
        found.append(run_weak(mock, stars, child_seed(seed, draw), functions=chosen))
    M, _ = found[0].fit.system.equations()
    row = {
        "limit": name,
        "rows": int(found[0].fit.system.keep.sum()),
        "predicted": _predicted(mock, found[0].fit, M.T @ M),
        "found": float(np.median([np.median(one.errors) for one in found])),
        "rho_1_to_2_kpc": float(np.median([np.mean(np.abs(one.rho[2:] - 1)) for one in found])),
        "cpu_seconds": float(np.median([one.cpu_seconds for one in found])),
    }
    return row, found[0].fit


def _functions(mock: Mock, stars: int, seed: int, name: str) -> TestFunctions:
    sample: StarSample = mock.sample(min(stars, 100_000), child_seed(seed, "stars"))
    return choose_functions(sample, **_VARIANTS[name])


def _predicted(mock: Mock, fit: WeakFit, information: np.ndarray) -> float:
    """Median relative error of a for a Fisher information of the coefficients, with the fit's own prior."""
    x = judged_at(fit.equations.functions.space.volume)
    fields = fit.equations.dictionary.accelerations(x, dtype=np.float64)
    covariance = np.linalg.pinv(information + np.diag(fit.unknowns.precision), hermitian=True)
    variance = np.einsum("nik,kl,nil->n", fields, covariance, fields, optimize=True)
    return float(np.median(np.sqrt(variance) / np.linalg.norm(mock.acceleration(x), axis=1)))


def _known_distribution(mock: Mock, fit: WeakFit, stars: int, seed: int) -> dict[str, reporting.Cell]:
    """Information of n(x) p(v) for isothermal populations: d ln f / d c_k = -(Phi_k - <Phi_k>) / sigma^2."""
    sample = mock.sample(min(stars, 100_000), child_seed(seed, "information"))
    potentials = fit.equations.dictionary.potentials(sample.x)
    speed2 = np.sum(sample.v**2, axis=1)
    inverse = np.array([one.sigma**-2 for one in mock.populations])
    logs = np.stack([_log_population(mock, one, sample, speed2) for one in mock.populations])
    shares = np.exp(logs - logs.max(axis=0))
    shares /= shares.sum(axis=0)
    score = np.zeros_like(potentials)
    for share, strength in zip(shares, inverse, strict=True):
        mean = np.average(potentials, axis=0, weights=share)
        score -= strength * share[:, None] * (potentials - mean)
    information = stars * (score.T @ score) / len(sample)
    return {"limit": "known distribution function", "predicted": _predicted(mock, fit, information)}


def _log_population(mock: Mock, one: object, sample: StarSample, speed2: np.ndarray) -> np.ndarray:
    """ln of one population's part of f, the normalisation of its density estimated from its own share."""
    depth = -mock.potential(sample.x) / one.sigma**2
    uniform = sample.volume.uniform(100_000, 1)
    whole = -mock.potential(uniform) / one.sigma**2
    norm = whole.max() + np.log(np.mean(np.exp(whole - whole.max())))
    return np.log(one.share) + depth - norm - 0.5 * speed2 / one.sigma**2 - 3 * np.log(one.sigma)


def _dictionary(mock: Mock, fit: WeakFit) -> dict[str, reporting.Cell]:
    x = judged_at(fit.equations.functions.space.volume)
    fields, truth = fit.equations.dictionary.accelerations(x, dtype=np.float64), mock.acceleration(x)
    M, y = fields.reshape(-1, fields.shape[-1]), truth.ravel()
    c = nonnegative_fit(M.T @ M, M.T @ y, fit.equations.dictionary.positive).coefficients
    errors = np.linalg.norm(fields @ c - truth, axis=1) / np.linalg.norm(truth, axis=1)
    return {"limit": "dictionary", "found": float(np.median(errors))}


if __name__ == "__main__":
    main()
