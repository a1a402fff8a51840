"""The fit of a cluster: its parameters come back with errors that are right."""

from __future__ import annotations

import numpy as np
import pytest
from compact_skies import Cluster, add_clusters, parallaxes
from stream_skies import FOOTPRINT, PLANE

from streams import FootprintCells, TangentPlane
from streams.compact import ClusterModel, ClusterRecipe, fit_cluster

CELLS = FootprintCells.of(FOOTPRINT, 0.15)


def _start(cluster: Cluster, size: float = 0.1, shift: float = 0.03) -> ClusterModel:
    phi1, phi2 = PLANE.unproject(*(np.array([value]) for value in cluster.centre))
    motion = (cluster.proper_motion[0] + 0.2, cluster.proper_motion[1] - 0.2)
    plane = TangentPlane(float(phi1[0]) + shift, float(phi2[0]))
    return ClusterModel(plane, (0.0, 0.0), (size**2, 0.0, size**2), motion, 0.3, np.nan, 0.1, 0.1)


def _fit(sky, cluster, **options):
    return fit_cluster(sky.stars, CELLS, _start(cluster), ClusterRecipe(), **options)


@pytest.mark.statistical
def test_size_and_motion_come_back_within_their_errors():
    cluster = Cluster(80, 0.15)
    pulls = []
    for seed in range(10):
        fit = _fit(add_clusters(seed, (cluster,), 2000), cluster)
        error = fit.errors.half_number_radius / fit.model.half_number_radius
        motion = (np.subtract(fit.model.proper_motion, cluster.proper_motion)) / fit.errors.proper_motion
        pulls.append([np.log(fit.model.half_number_radius / cluster.radius) / error, *motion])
    pulls = np.array(pulls)
    scatter = 1 / np.sqrt(len(pulls))
    assert np.all(np.abs(pulls.mean(axis=0)) < 3.5 * scatter), "no bias"
    assert np.all((pulls.std(axis=0) > 0.4) & (pulls.std(axis=0) < 1.9))
    wrong = pulls[:, 0] + np.log(2.0) / 0.12
    assert abs(wrong.mean()) > 3.5 * scatter, "negative control: a radius twice too large is seen"


@pytest.mark.parametrize("flat", [1.0, 0.35])
def test_the_axis_ratio_comes_back(flat):
    cluster = Cluster(300, 0.3, flat=flat)
    fit = _fit(add_clusters(1, (cluster,), 3000), cluster)
    assert fit.model.axis_ratio == pytest.approx(flat, abs=3 * fit.errors.axis_ratio + 0.05)
    if flat < 1:
        assert min(fit.model.position_angle, 180 - fit.model.position_angle) < 8, "flattened across phi1"


def test_a_parallax_tells_members_from_the_field():
    cluster = Cluster(60, 0.4, proper_motion=(0.0, 0.0), spread=0.8, parallax=6.0)
    sky = add_clusters(2, (cluster,), 12_000)
    with_it = _fit(sky, cluster, parallax=parallaxes(sky, (cluster,), 1))
    assert np.isnan(with_it.model.parallax), "a start without a parallax ignores them"
    start = _start(cluster)
    start = ClusterModel(**{**start.__dict__, "parallax": 5.8})
    known = parallaxes(sky, (cluster,), 1)
    distant = fit_cluster(sky.stars, CELLS, start, ClusterRecipe(), parallax=known)
    assert distant.model.parallax == pytest.approx(6.0, abs=4 * distant.errors.parallax)
    truth = sky.origin == 1
    wrong = [np.abs(truth[fit.rows] - fit.probability).sum() for fit in (distant, with_it)]
    assert wrong[0] < 0.6 * wrong[1]


def test_probabilities_count_the_stars():
    cluster = Cluster(100, 0.2)
    sky = add_clusters(4, (cluster,))
    fit = _fit(sky, cluster)
    assert fit.stars == pytest.approx(100, abs=12)
    assert set(fit.members(0.9)) <= set(fit.members(0.5))
    near = fit.members(within=0.2)
    assert 0.3 < len(near) / len(fit.members()) < 0.7, "half of them within the half-number radius"


def test_stars_that_may_not_be_used_are_left_alone():
    cluster = Cluster(60, 0.1)
    sky = add_clusters(5, (cluster,))
    use = np.random.default_rng(1).random(len(sky.origin)) < 0.7
    assert use[_fit(sky, cluster, use=use).members()].all()
    nobody = _fit(sky, cluster, use=np.zeros(len(use), dtype=bool))
    assert len(nobody.rows) == 0 and nobody.stars == 0.0 and np.isnan(nobody.errors.half_number_radius)


def test_the_profile_is_normalised_and_holds_half_within_its_radius():
    model = _start(Cluster(1, 0.1))
    matrix = (0.04, 0.015, 0.02)
    model = ClusterModel(**{**model.__dict__, "shape": matrix})
    grid = (np.arange(-12, 12, 0.02) + 0.01).astype(float)
    xy = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = np.exp(model.log_profile(xy)) * 0.02**2
    assert density.sum() == pytest.approx(1.0, abs=0.005)
    assert density[model.squared_distance(xy) < 2.0].sum() == pytest.approx(0.5, abs=0.01)
    ratio = np.linalg.eigvalsh(model.matrix)
    assert model.half_number_radius**2 == pytest.approx(2 * np.sqrt(ratio.prod()))
    assert model.axis_ratio == pytest.approx(np.sqrt(ratio[0] / ratio[1]))
