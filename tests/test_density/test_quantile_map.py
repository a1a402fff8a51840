"""Laws of the quantile map: rising, smooth, invertible, normalised, and chosen by declaration."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from density.bounds import Bounds, Irregular, Unbounded
from density.column_choice import map_of_column
from density.column_maps import Quantile
from density.errors import FeatureError
from density.feature_maps import FeatureMap, choose_feature_map

ODD = {
    "two peaks": lambda rng, n: np.where(rng.random(n) < 0.3, rng.normal(-5, 0.1, n), rng.normal(3, 1, n)),
    "skewed": lambda rng, n: rng.gamma(0.7, 2.0, n),
    "heavy": lambda rng, n: rng.standard_cauchy(n),
    "box": lambda rng, n: rng.uniform(0, 1, n),
}
odd = pytest.mark.parametrize("name", ODD)


def column(name: str, n: int = 20_000) -> np.ndarray:
    return ODD[name](np.random.default_rng(1), n)


def quantile_map(name: str) -> Quantile:
    chosen = map_of_column(column(name), Irregular())
    assert isinstance(chosen, Quantile)
    return chosen


def mapped(chosen: Quantile, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, log_det = chosen.forward(torch.from_numpy(values)[:, None])
    return y[:, 0].numpy(), log_det.numpy()


@odd
def test_mapped_column_is_nearly_normal(name: str) -> None:
    y, _ = mapped(quantile_map(name), column(name))
    low, middle, high = np.quantile(column(name), [0.16, 0.5, 0.84])
    standardised = 2 * (column(name) - middle) / (high - low)
    assert kstest(y, "norm").statistic < 0.3 * kstest(standardised, "norm").statistic
    assert np.abs(y).max() < 15


@odd
def test_map_rises_and_inverts_tails_included(name: str) -> None:
    chosen = quantile_map(name)
    y = torch.linspace(-6, 6, 2001, dtype=torch.float64)[:, None]
    x = chosen.inverse(y)
    assert (x.diff(dim=0) > 0).all()
    torch.testing.assert_close(chosen.forward(x)[0], y, rtol=1e-9, atol=1e-9)


@odd
def test_log_slope_agrees_with_autograd_and_is_continuous_over_the_knots(name: str) -> None:
    chosen = quantile_map(name)
    x = chosen.inverse(torch.linspace(-5, 5, 301, dtype=torch.float64)[:, None]).requires_grad_()
    y, log_det = chosen.forward(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_det, slope[:, 0].log(), rtol=1e-9, atol=1e-9)
    knots = np.array(chosen.places)
    step = 1e-9 * np.diff(knots).min()
    (below, slope_below), (above, slope_above) = mapped(chosen, knots - step), mapped(chosen, knots + step)
    np.testing.assert_allclose(below, above, atol=1e-6)
    np.testing.assert_allclose(slope_below, slope_above, atol=1e-5)


@odd
def test_density_integrates_to_one_with_the_map_included(name: str) -> None:
    chosen = quantile_map(name)
    axis = chosen.inverse(torch.linspace(-7, 7, 40_001, dtype=torch.float64)[:, None])[:, 0].numpy()
    y, log_det = mapped(chosen, axis)
    assert np.trapezoid(norm.pdf(y) * np.exp(log_det), axis) == pytest.approx(1.0, abs=1e-3)
    assert abs(np.trapezoid(norm.pdf(y) * np.exp(-log_det), axis) - 1) > 0.2  # negative control


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=60, unique=True))
@example([0.0, 1.0, 2.0, 3.0, 0.5, 0.25, 1e-149, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0])
def test_any_distinct_values_give_a_rising_map(values: list[float]) -> None:
    """To rounding: values may differ by less than the last digit of y."""
    chosen = map_of_column(np.array(values), Irregular())
    y, log_det = chosen.forward(torch.tensor(sorted(values), dtype=torch.float64)[:, None])
    last_digit = 4 * torch.finfo(torch.float64).eps * y.abs().max()
    assert (y.diff(dim=0) >= -last_digit).all() and torch.isfinite(log_det).all()


def test_map_follows_the_declaration_and_survives_json() -> None:
    x = np.column_stack([column("two peaks", 2000), column("box", 2000)])
    bounds = Bounds((Irregular(), Unbounded()), ("colour", "phi"))
    feature_map = choose_feature_map(x, bounds)
    assert [block.map.kind for block in feature_map.blocks] == ["quantile", "affine"]
    assert FeatureMap.from_dict(json.loads(json.dumps(feature_map.to_dict()))) == feature_map
    assert Bounds.from_dict(json.loads(json.dumps(bounds.to_dict()))) == bounds


def test_a_column_of_a_few_values_falls_back_on_a_plain_map() -> None:
    assert map_of_column(np.repeat([0.0, 1.0], 50), Irregular()).kind == "affine"


def test_what_is_not_a_number_comes_out_as_such() -> None:
    y, log_det = mapped(quantile_map("box"), np.array([np.nan, 0.5]))
    assert np.isnan(y[0]) and np.isnan(log_det[0]) and np.isfinite(y[1])


def test_knots_that_do_not_rise_are_refused() -> None:
    with pytest.raises(FeatureError, match=r"\(1\.0, 1\.0\)"):
        Quantile((1.0, 1.0), (0.0, 1.0), (1.0, 1.0))
    with pytest.raises(FeatureError, match="positive slopes"):
        Quantile((0.0, 1.0), (0.0, 1.0), (1.0, -1.0))
