"""A kept background: read to the last bit, made anew for other stars or recipes, refused when damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from sky_patches import PatchGeometry
from via_machinae.background import (
    BackgroundError,
    BackgroundRecipe,
    background_folder,
    background_of,
    patch_background,
    read_background,
)
from via_machinae.config import config_from
from via_machinae.patch_stars import PatchStars
from via_machinae.run import Run

QUICK = BackgroundRecipe(layers=1, hidden=8, epochs=2)


def patch_of(n: int = 500, shift: float = 0.0) -> PatchStars:
    rng = np.random.default_rng(1)
    table = Table(
        {
            "source_id": np.sort(rng.permutation(10 * n)[:n]) + 10**17,
            "phi1": rng.uniform(-3, 3, n),
            "phi2": rng.uniform(-3, 3, n),
            "pm_phi1_cosphi2": rng.normal(shift, 3, n),
            "pm_phi2": rng.normal(0, 3, n),
            "parallax_error": rng.uniform(0.1, 0.4, n),
            "phot_g_mean_mag": 20 - rng.exponential(1, n),
            "bp_rp": rng.normal(1, 0.2, n),
        }
    )
    circle = PatchGeometry.circle("north", 150.0, 30.0, 5.0)
    return PatchStars(circle, table, ("bp_rp", "phot_g_mean_mag"), [])


class Epochs:
    """Counts epochs: none are trained where a background is read."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    background_of(tmp_path, patch_of(), QUICK, seed=1)
    return tmp_path


def test_it_is_learned_once_and_then_read_to_the_last_bit(tmp_path):
    epochs = Epochs()
    first = background_of(tmp_path, patch_of(), QUICK, seed=1, progress=epochs)
    assert epochs.count == QUICK.epochs
    second = background_of(tmp_path, patch_of(), QUICK, seed=1, progress=epochs)
    assert epochs.count == QUICK.epochs
    np.testing.assert_array_equal(first.log_density, second.log_density)
    np.testing.assert_array_equal(first.source_id, second.source_id)
    stars = patch_of(300, 0.5).stream_stars()
    np.testing.assert_array_equal(first.log_density_of(stars), second.log_density_of(stars))
    assert (second.recipe, second.seed) == (QUICK, 1)
    assert second.columns.to_dict() == first.columns.to_dict()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["background.npz", "background_flow_0.npz"]


@pytest.mark.parametrize(
    ("patch", "recipe", "seed"),
    [
        (patch_of(shift=1.0), QUICK, 1),
        (patch_of(), BackgroundRecipe(layers=1, hidden=9, epochs=2), 1),
        (patch_of(), QUICK, 2),
    ],
    ids=["stars", "recipe", "seed"],
)
def test_another_one_is_learned_where_anything_differs(kept, patch, recipe, seed):
    epochs = Epochs()
    background_of(kept, patch, recipe, seed=seed, progress=epochs)
    assert epochs.count == 2


@pytest.mark.parametrize("name", ["background.npz", "background_flow_0.npz"])
@pytest.mark.parametrize("harm", ["cut", "empty", "noise"])
def test_a_damaged_file_is_refused_and_the_message_says_how_to_redo_it(kept, name, harm):
    path = kept / name
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "noise": b"x" * len(data)}[harm])
    with pytest.raises(BackgroundError, match=r"delete .*background\.npz and search again"):
        background_of(kept, patch_of(), QUICK, seed=1)
    (kept / "background.npz").unlink()
    epochs = Epochs()
    background_of(kept, patch_of(), QUICK, seed=1, progress=epochs)
    assert epochs.count == QUICK.epochs


def test_a_flow_that_is_missing_or_of_another_background_is_refused(kept, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    background_of(other, patch_of(shift=2.0), QUICK, seed=1)
    (kept / "background_flow_0.npz").write_bytes((other / "background_flow_0.npz").read_bytes())
    with pytest.raises(BackgroundError, match="not the flow"):
        read_background(kept)
    (kept / "background_flow_0.npz").unlink()
    with pytest.raises(BackgroundError, match=r"background_flow_0\.npz cannot be used"):
        read_background(kept)


def test_it_lies_with_the_patch_of_its_run_and_seeds_follow_the_run(tmp_path):
    patch = patch_of()
    config = config_from({"run": {"seed": 5}}, "test")
    run = Run.create(
        tmp_path / "run", config, tmp_path / "store", geometries=[patch.geometry], units=[],
        provenance={"store_checksum": "abc", "stars": {"north": 500}},
    )  # fmt: skip
    background = patch_background(run, patch, QUICK)
    assert background_folder(run, "north") == tmp_path / "run" / "patches" / "north"
    assert (background_folder(run, "north") / "background.npz").is_file()
    np.testing.assert_array_equal(patch_background(run, patch, QUICK).log_density, background.log_density)
    np.testing.assert_array_equal(background.source_id, patch.source_id)


def test_with_folds_each_has_a_file(tmp_path):
    recipe = BackgroundRecipe(layers=1, hidden=8, epochs=1, folds=2)
    first = background_of(tmp_path, patch_of(), recipe, seed=1)
    assert (tmp_path / "background_flow_1.npz").is_file()
    np.testing.assert_array_equal(read_background(tmp_path).log_density, first.log_density)
