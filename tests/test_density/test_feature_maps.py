"""Laws of the feature maps: Jacobians agree with autograd, maps invert, densities integrate to one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import norm

from density import (
    Affine,
    Asinh,
    AtLeast,
    AtMost,
    Ball,
    Bounds,
    ColumnMap,
    Edge,
    FeatureError,
    FeatureMap,
    InBall,
    Interval,
    LogitBox,
    Unbounded,
    choose_feature_map,
)

MAPS: list[ColumnMap] = [
    Affine(2.0, 0.3),
    Asinh(-1.0, 2.0),
    LogitBox(-1.0, 3.0),
    Edge(1.0, 0.5, 1),
    Edge(20.2, 0.5, -1),
    Ball((0.5,), 2.0),
    Ball((0.5, -1.0), 2.0),
    Ball((0.0, 0.0, 8.0), 4.0),
]
MAP_IDS = [f"{column_map.kind}{column_map.width}-{k}" for k, column_map in enumerate(MAPS)]


def points(column_map: ColumnMap, n: int = 200) -> torch.Tensor:
    """Points of the domain, from its centre to far out."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randn((n, column_map.width), generator=generator, dtype=torch.float64) * 2
    y[:20] *= 1e-3  # around the centre of a ball, where the power series takes over
    return column_map.inverse(y)


def mixed_sample(n: int = 2000) -> tuple[np.ndarray, Bounds]:
    """Rows with every kind of bound."""
    rng = np.random.default_rng(3)
    angle, radius = rng.uniform(0, 2 * np.pi, n), 15 * np.sqrt(rng.random(n))
    columns = [
        radius * np.cos(angle),
        rng.normal(size=n),
        radius * np.sin(angle),
        rng.standard_t(2, n),
        20.2 - rng.exponential(1.5, n),
        rng.uniform(0.5, 1.0, n),
        rng.exponential(1.0, n),
    ]
    features = (
        InBall(15.0),
        Unbounded(),
        InBall(15.0),
        Unbounded(),
        AtMost(20.2),
        Interval(0.5, 1.0),
        AtLeast(0.0),
    )
    return np.column_stack(columns), Bounds(
        features, ("phi1", "mu", "phi2", "heavy", "g", "colour", "parallax")
    )


@pytest.mark.parametrize("column_map", MAPS, ids=MAP_IDS)
def test_log_determinant_agrees_with_autograd(column_map: ColumnMap) -> None:
    x = points(column_map)
    _, log_det = column_map.forward(x)
    jacobian = torch.autograd.functional.jacobian(lambda v: column_map.forward(v)[0].sum(dim=0), x)
    expected = torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
    torch.testing.assert_close(log_det, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("column_map", MAPS, ids=MAP_IDS)
def test_round_trip_and_domain(column_map: ColumnMap) -> None:
    x = points(column_map)
    assert column_map.inside(x).all()
    torch.testing.assert_close(column_map.inverse(column_map.forward(x)[0]), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("column_map", MAPS, ids=MAP_IDS)
def test_gradients_of_the_log_determinant_are_finite_and_right(column_map: ColumnMap) -> None:
    x = points(column_map, 30)
    x[0] = column_map.inverse(torch.zeros((1, column_map.width), dtype=torch.float64))[0]
    assert torch.autograd.gradcheck(lambda v: column_map.forward(v)[1], (x.requires_grad_(),), atol=1e-4)


def integral(column_map: ColumnMap, sign: float) -> float:
    """Integral over x of a standard normal in y, with the log-determinant taken `sign` times."""
    d = column_map.width
    n = {1: 20001, 2: 601, 3: 121}[d]
    if isinstance(column_map, Ball):
        centre, half = np.array(column_map.centre), column_map.radius
        axes = [c + half * np.linspace(-1, 1, n) for c in centre]
    else:
        span = torch.linspace(-8, 8, n, dtype=torch.float64)[:, None]
        low, high = np.sort([float(column_map.inverse(span[[0]])), float(column_map.inverse(span[[-1]]))])
        axes = [np.linspace(low, high, n)]
        if isinstance(column_map, Asinh):
            axes = [column_map.inverse(span)[:, 0].numpy()]
    grid = torch.from_numpy(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d))
    inside = column_map.inside(grid)
    y, log_det = column_map.forward(grid[inside])
    values = np.zeros(len(grid))
    values[inside.numpy()] = np.exp(norm.logpdf(y.numpy()).sum(axis=1) + sign * log_det.numpy())
    values = values.reshape([n] * d)
    for axis in reversed(axes):
        values = np.trapezoid(values, axis, axis=-1)
    return float(values)


@pytest.mark.parametrize("column_map", MAPS, ids=MAP_IDS)
def test_density_integrates_to_one_with_the_map_included(column_map: ColumnMap) -> None:
    assert integral(column_map, +1.0) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("column_map", MAPS, ids=MAP_IDS)
def test_density_with_the_wrong_sign_does_not_integrate_to_one(column_map: ColumnMap) -> None:
    assert abs(integral(column_map, -1.0) - 1.0) > 0.2


def test_chosen_map_standardises_inverts_and_agrees_with_autograd() -> None:
    x, bounds = mixed_sample()
    feature_map = choose_feature_map(x, bounds)
    y, log_det = feature_map.forward(x)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(feature_map.inverse(y), x, rtol=1e-9, atol=1e-9)
    rows = torch.from_numpy(x[:50])
    jacobian = torch.autograd.functional.jacobian(lambda v: feature_map.forward_tensor(v)[0].sum(dim=0), rows)
    np.testing.assert_allclose(
        log_det[:50], torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet, atol=1e-8
    )


def test_kinds_of_maps_follow_bounds_and_tails() -> None:
    x, bounds = mixed_sample()
    kinds = {block.columns: block.map.kind for block in choose_feature_map(x, bounds).blocks}
    expected = {(0, 2): "ball", (1,): "affine", (3,): "asinh", (4,): "edge", (5,): "logit_box", (6,): "edge"}
    assert kinds == expected


def test_values_exactly_on_a_declared_edge_pass_and_beyond_fail_by_name() -> None:
    x, bounds = mixed_sample()
    x[0, [4, 5, 6]] = [20.2, 1.0, 0.0]
    x[1, [0, 2]] = [15.0, 0.0]
    feature_map = choose_feature_map(x, bounds)
    assert np.isfinite(feature_map.forward(x)[0]).all()
    x[7, 4] = 20.3
    with pytest.raises(FeatureError, match=r"g: .*row 7 with \[20\.3\]"):
        feature_map.forward(x)
    x[7, [0, 2, 4]] = [14.0, 8.0, 19.0]
    with pytest.raises(FeatureError, match="phi1, phi2"):
        choose_feature_map(x, bounds)


def test_constant_and_non_finite_features_are_named() -> None:
    x, bounds = mixed_sample()
    x[:, 1] = 3.5
    with pytest.raises(FeatureError, match=r"mu: constant at 3\.5"):
        choose_feature_map(x, bounds)
    x[5, 3] = np.nan
    with pytest.raises(FeatureError, match=r"heavy: .* row 5"):
        choose_feature_map(x, bounds)
    with pytest.raises(FeatureError, match=r"\(2000, 6\)"):
        choose_feature_map(x[:, 1:], bounds)


def test_map_and_bounds_survive_json_to_the_last_bit() -> None:
    x, bounds = mixed_sample()
    feature_map = choose_feature_map(x, bounds)
    again = FeatureMap.from_dict(json.loads(json.dumps(feature_map.to_dict())))
    assert again == feature_map
    assert Bounds.from_dict(json.loads(json.dumps(bounds.to_dict()))) == bounds


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(FeatureError, match="radius"):
        Bounds((InBall(1.0), InBall(2.0)))
    with pytest.raises(FeatureError, match="low < high"):
        Interval(1.0, 1.0)
    with pytest.raises(FeatureError, match="2 bounds"):
        Bounds((Unbounded(), Unbounded()), ("a",))
