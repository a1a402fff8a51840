"""Figures: what is drawn is what the results say, with units, errors and no panel left empty."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dm_map.errors import DmMapError
from dm_map.figures import (
    draw_acceleration,
    draw_comparison,
    draw_dark_matter,
    draw_density,
    draw_dynamics,
    draw_profile,
    draw_published,
    draw_residuals,
)
from dm_map.gravity import GEV_PER_CM3
from dm_map.local import grid_RZ
from dm_map.maps import AccelerationMap, Curve, DensityMap
from dm_map.profiles import GeneralizedNFW, RadialProfile, fit_profile
from dm_map.published import published_densities

MEMBERS = 12


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    x = grid_RZ(np.arange(6.0, 10.01, 0.5), np.arange(-2.0, 2.01, 0.5)).reshape(-1, 3)
    return x[np.linalg.norm(x + np.array([8.0, 0.0, 0.0]), axis=1) < 2.1]


@pytest.fixture(scope="module")
def pull(plane) -> AccelerationMap:
    scatter = 1 + 0.02 * np.random.default_rng(1).standard_normal((MEMBERS, 1, 1))
    centripetal = -(220.0**2) * plane / np.sum(plane**2, axis=1, keepdims=True)
    return AccelerationMap(plane, scatter * centripetal, ("bootstrap",) * MEMBERS)


def density_of(x: np.ndarray, noise: np.ndarray | float) -> DensityMap:
    scatter = np.linspace(-1.5, 1.5, MEMBERS)[:, None]
    rho = 0.01 * (8.0 / np.linalg.norm(x, axis=1)) ** 2
    return DensityMap(x, rho + scatter * noise, ("bootstrap",) * MEMBERS)


def curve_of(name: str, coordinate: str, at: np.ndarray, value: float) -> Curve:
    scatter = 1 + 0.1 * np.linspace(-1.5, 1.5, MEMBERS)[:, None]
    return Curve(name, coordinate, at, scatter * value * np.ones_like(at), "kpc", "Msun/pc3")


def png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=40)
    return target.getvalue()


def axis_labels(figure: Figure) -> str:
    return " ".join(f"{axes.get_xlabel()} {axes.get_ylabel()}" for axes in figure.axes)


def test_the_acceleration_has_a_panel_of_deviations_only_where_the_truth_is_known(pull):
    shown = draw_acceleration(pull)
    against = draw_acceleration(pull, pull.value * 1.1)
    assert len(against.axes) == len(shown.axes) + 2  # the panel and its colour bar
    assert "median 9.1" in axis_labels(against) and "median" not in axis_labels(shown)
    assert png(against).startswith(b"\x89PNG")


def test_every_position_becomes_one_cell_and_no_cell_is_made_up(pull):
    mesh = draw_acceleration(pull).axes[0].collections[0]
    cells = np.ma.masked_invalid(mesh.get_array()).compressed()
    assert np.allclose(np.sort(cells), np.sort(np.linalg.norm(pull.value, axis=1) / 1e3))


def test_cells_whose_error_exceeds_their_value_are_struck_out(plane):
    in_plane = np.abs(plane[:, 2]) < 0.1
    dark = density_of(plane, np.where(in_plane, 0.05, 0.001))
    figure = draw_density(
        density_of(plane, 0.001), dark, density_of(plane + np.array([0.0, 0.0, 1.0]), 0.001)
    )
    hatched = [
        [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()]
        for axes in figure.axes[:4]
    ]
    assert [len(found) for found in hatched] == [0, int(np.sum(in_plane)), 0, 0]
    assert png(figure).startswith(b"\x89PNG")


def test_the_band_is_the_interval_of_the_members():
    z = np.linspace(0.5, 2.5, 5)
    curve = curve_of("rho_dm", "z", z, 0.01)
    figure = draw_dark_matter({"weak": curve}, {"weak": curve}, published_densities(), height=1.0)
    outline = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    low, high = curve.interval(0.6827)
    assert outline.min() == pytest.approx(low.min(), rel=1e-3)
    assert outline.max() == pytest.approx(high.max(), rel=1e-3)
    ticks = [text.get_text() for text in figure.axes[2].get_xticklabels()]
    assert len(ticks) == len(published_densities()) and "McKee 2015" in ticks
    assert all(unit in axis_labels(figure) for unit in ("kpc", "M_\\odot"))


def test_both_axes_of_a_density_tell_the_same_number():
    curve = curve_of("rho_dm", "z", np.array([0.5, 1.0, 2.0]), 0.01)
    figure = draw_dark_matter({"weak": curve}, {"weak": curve}, height=1.0)
    png(figure)
    axes = figure.axes[1]
    (second,) = axes.child_axes
    assert "GeV" in second.get_ylabel()
    assert np.allclose(second.get_ylim(), GEV_PER_CM3 * np.array(axes.get_ylim()))


def test_the_truth_of_a_mock_is_drawn_and_named():
    at = np.array([0.5, 1.0, 2.0])
    one, truth = curve_of("v", "z", at, 2.0), curve_of("v", "z", at, 2.2)
    figure = draw_dynamics({"weak": one}, {"weak": one}, {"weak": one}, truth=(truth, truth, truth))
    named = [text.get_text() for text in figure.axes[0].get_legend().texts]
    assert named == ["weak", "truth"] and png(figure)


def test_the_profile_shows_its_points_and_its_fits():
    r = np.linspace(6.0, 10.0, 5)
    rng = np.random.default_rng(2)
    rho = 0.01 * (8.0 / r) ** 1.5 * (1 + 0.05 * rng.standard_normal((40, 5)))
    points = RadialProfile(r, rho, np.full(5, 100))
    fit = fit_profile(points, GeneralizedNFW(), priors={"scale": (18.0, 6.0)})
    figure = draw_profile(points, {"gNFW": fit}, min_height=1.0)
    named = " ".join(text.get_text() for text in figure.axes[0].get_legend().texts)
    assert "gNFW" in named and "d.o.f." in named and "errors correlated" in named and png(figure)


def test_published_values_and_ours_have_a_line_each():
    ours = [("weak, census, the Sun", 0.012, 0.010, 0.015)]
    figure = draw_published(published_densities(), ours, truth=0.01)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(names) == len(published_densities()) + 1 and names[-1] == ours[0][0] and png(figure)


def test_a_comparison_refuses_maps_that_cannot_be_compared(pull):
    curve = curve_of("v", "R", np.array([7.0, 8.0]), 220.0)
    both = {"weak": pull, "flow": pull}
    figure = draw_comparison(both, {"weak": curve, "flow": curve}, {"weak": curve, "flow": curve})
    assert "median 0.0" in axis_labels(figure) and png(figure)
    elsewhere = AccelerationMap(pull.x + 0.1, pull.members, pull.sources)
    with pytest.raises(DmMapError, match="different positions"):
        draw_comparison({"weak": pull, "flow": elsewhere}, {}, {})
    with pytest.raises(DmMapError, match="two maps"):
        draw_comparison({"weak": pull}, {}, {})


def table_of(p_value: float) -> Table:
    kinds = ["all rows", "velocity", *["region"] * 4]
    nan = float("nan")
    table = Table(
        {
            "kind": kinds,
            "parity": ["odd degrees"] * 6,
            "stars": [nan, nan, 100.0, 200.0, 300.0, 400.0],
            "p_value": [0.5, 0.2, 0.9, 0.4, 0.3, p_value],
            "R": [nan, nan, 6.0, 6.0, 10.0, 10.0],
            "across": [nan, nan, -2.0, 2.0, -2.0, 2.0],
            "z": [nan, nan, 1.0, -1.0, 1.0, -1.0],
        }
    )
    table.meta["p_value"] = 4 * p_value
    return table


def test_regions_are_coloured_by_their_significance_inside_the_panel():
    figure = draw_residuals(table_of(p_value=1e-4))
    png(figure)
    axes = figure.axes[0]
    shown = np.concatenate([marks.get_array() for marks in axes.collections])
    assert len(shown) == 4 and shown.max() == pytest.approx(3.719, abs=1e-3)
    assert axes.get_xlim()[0] < 6.0 < 10.0 < axes.get_xlim()[1]
    assert "4" in figure.axes[1].get_title()


def test_tests_without_a_region_are_refused():
    with pytest.raises(DmMapError, match="no region"):
        draw_residuals(table_of(p_value=0.5)[:2])
