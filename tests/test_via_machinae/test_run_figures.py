"""Figures: of every candidate and of the sky, with and without photometry, and of nothing found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from sky_patches import CatalogStore
from streams import StreamCatalog
from via_machinae.figures import draw_candidate, draw_sky, save_figure
from via_machinae.patch_stars import PatchStars, load_patch


@pytest.fixture(scope="module")
def catalogue(scanned) -> StreamCatalog:
    return StreamCatalog.read(scanned.run.path / "catalog")


@pytest.fixture(scope="module")
def patch(scanned) -> PatchStars:
    return load_patch(CatalogStore.open(scanned.store), scanned.run.geometries[0], scanned.config)


@pytest.fixture
def grey(patch) -> PatchStars:
    """The same stars from a table without photometry."""
    table = patch.table.copy()
    table.remove_columns(["bp_rp", "phot_g_mean_mag"])
    return replace(patch, table=table, features=())


def _titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _saved(figure: Figure, path) -> bytes:
    return save_figure(figure, path).read_bytes()


def test_a_candidate_is_drawn_with_its_members_in_every_panel(catalogue, patch, tmp_path):
    figure = draw_candidate(catalogue, "VM-1", patch)
    members = len(catalogue.member_ids("VM-1"))
    assert "colour and magnitude" in _titles(figure)
    for axes in figure.axes[:3]:
        assert [len(points.get_offsets()) for points in axes.collections] == [len(patch.table), members]
    assert f"{members} members" in figure.get_suptitle()
    assert _saved(figure, tmp_path / "a.png").startswith(b"\x89PNG")


def test_a_candidate_without_photometry_says_so(catalogue, grey, tmp_path):
    figure = draw_candidate(catalogue, "VM-1", grey)
    assert _texts(figure) == ["no photometry in this table"]
    assert _saved(figure, tmp_path / "a.png").startswith(b"\x89PNG")


def test_the_profile_peaks_at_the_track(catalogue, patch):
    """The track's tangent goes through zero: at least the members lie there, so the eye sees a peak."""
    figure = draw_candidate(catalogue, "VM-1", patch)
    (outline,) = figure.axes[3].patches
    x, y = outline.get_xy().T
    assert abs(x[np.argmax(y)]) < 0.5


@pytest.mark.parametrize("name", ["patch", "grey"])
def test_the_sky_is_drawn_with_and_without_photometry(catalogue, request, name, tmp_path):
    figure = draw_sky(catalogue, request.getfixturevalue(name))
    assert [title for title in _titles(figure) if title] == ["stars that went in", "candidates found, blind"]
    assert _saved(figure, tmp_path / "sky.png").startswith(b"\x89PNG")


def test_the_truth_is_drawn_beside_the_candidates(catalogue, patch, scanned):
    figure = draw_sky(catalogue, patch, {"hidden": scanned.stream_ids})
    assert "the hidden streams" in _titles(figure)
    shown = [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().texts]
    assert set(shown) == {"VM-1", "hidden"}


def test_an_empty_catalogue_is_drawn(patch, tmp_path):
    empty = StreamCatalog.of([], {})
    figure = draw_sky(empty, patch)
    assert all(axes.get_legend() is None for axes in figure.axes)
    assert _saved(figure, tmp_path / "sky.png").startswith(b"\x89PNG")


def test_candidates_of_other_patches_are_not_drawn(catalogue, patch):
    elsewhere = replace(catalogue, candidates=catalogue.candidates.copy())
    elsewhere.candidates["patches"] = np.full(len(catalogue.candidates), "elsewhere")
    assert all(axes.get_legend() is None for axes in draw_sky(elsewhere, patch).axes)


def test_a_figure_that_fails_leaves_the_old_one(tmp_path):
    old = tmp_path / "a.png"
    old.write_bytes(b"old")

    class Broken(Figure):
        def savefig(self, *_arguments: object, **_options: object) -> None:
            raise RuntimeError("no renderer")

    with pytest.raises(RuntimeError):
        save_figure(Broken(), old)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
