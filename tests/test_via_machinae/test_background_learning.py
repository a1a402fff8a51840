"""The learned background: a normalised density, blind to the order of the stars, that draws its like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sky_patches import Circle
from streams import StreamStars
from via_machinae.background import BackgroundError, BackgroundRecipe, fit_stars, sample_sky
from via_machinae.background.learning import fold_of

QUICK = BackgroundRecipe(hidden=24, epochs=10, batch_size=256)
LIMIT = 20.0
FIELD = Circle(5.0)


def field(n: int = 4000, seed: int = 1, photometry: bool = True, intrinsic: float = 2.0) -> StreamStars:
    """Stars whose proper motions change across the field and scatter by errors that grow with G."""
    rng = np.random.default_rng(seed)
    radius, angle = 5 * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    place = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    magnitude = LIMIT - rng.exponential(1.2, n)
    error = 0.1 * 10 ** (0.25 * (magnitude - 17))
    motion = rng.standard_t(4, (n, 2)) * intrinsic + error[:, None] * rng.normal(size=(n, 2))
    motion[:, 0] += 0.5 * place[:, 0]
    colour = rng.normal(1.0, 0.2, n) + 0.1 * (magnitude - 18)
    light = np.column_stack([colour, magnitude]) if photometry else np.empty((n, 0))
    names = ("bp_rp", "phot_g_mean_mag") if photometry else ()
    ids = 10**18 + rng.permutation(n)
    return StreamStars(ids, place, motion, np.column_stack([error, error]), light, names)


def rows(stars: StreamStars, which: np.ndarray) -> StreamStars:
    return StreamStars(
        stars.source_id[which],
        stars.position[which],
        stars.proper_motion[which],
        stars.proper_motion_error[which],
        stars.photometry[which],
        stars.photometry_names,
    )


@pytest.fixture(scope="module")
def stars() -> StreamStars:
    return field()


@pytest.fixture(scope="module")
def background(stars):
    return fit_stars(stars, FIELD, QUICK, seed=3)


@pytest.fixture(scope="module")
def dark():
    return fit_stars(field(photometry=False), FIELD, QUICK, seed=3)


def at_one_place(motion, light, names, position, error) -> StreamStars:
    n = len(motion)
    return StreamStars(np.arange(n), np.tile(position, (n, 1)), motion, np.full((n, 2), error), light, names)


def integral(background, names, position) -> float:
    """Importance sampling from wide Student laws, and an exponential below the limit of G."""
    from scipy.stats import expon, t

    rng, n = np.random.default_rng(0), 40_000
    motion = t.rvs(2, scale=3, size=(n, 2), random_state=rng)
    proposal = t.logpdf(motion, 2, scale=3).sum(axis=1)
    light = np.empty((n, 0))
    if names:
        colour = t.rvs(3, 1.0, 0.3, size=n, random_state=rng)
        faintest = background.columns.faintest
        magnitude = faintest - expon.rvs(scale=1.5, size=n, random_state=rng)
        light = np.column_stack([colour, magnitude])
        proposal += t.logpdf(colour, 3, 1.0, 0.3) + expon.logpdf(faintest - magnitude, scale=1.5)
    there = at_one_place(motion, light, names, position, 0.4)
    return float(np.exp(background.log_density_of(there) - proposal).mean())


@pytest.mark.parametrize("position", [(0.0, 0.0), (4.9, 0.0), (-2.0, 3.0)])
def test_the_density_integrates_to_one_at_any_place(background, position):
    assert integral(background, ("bp_rp", "phot_g_mean_mag"), position) == pytest.approx(1.0, abs=0.05)


def test_without_photometry_it_integrates_to_one_too(dark):
    assert integral(dark, (), (1.0, -1.0)) == pytest.approx(1.0, abs=0.05)


def test_the_integral_can_fail(background):
    """Negative control: a density without its Jacobian does not integrate to one."""
    flow = background.flows[0]

    class Bare:
        columns = background.columns

        def log_density_of(self, stars):
            x, c = self.columns.features_of(stars), self.columns.context_of(stars)
            return flow.log_prob(x, c) - flow.feature_map.forward(x)[1]

    found = integral(Bare(), ("bp_rp", "phot_g_mean_mag"), (0.0, 0.0))
    assert abs(found - 1.0) > 0.2


def test_no_density_leaks_beyond_the_magnitude_limit(background, stars):
    assert LIMIT - 0.01 < background.columns.faintest < LIMIT + 0.01
    light = stars.photometry.copy()
    light[:, 1] = background.columns.faintest + 0.05
    beyond = StreamStars(
        stars.source_id, stars.position, stars.proper_motion, stars.proper_motion_error, light,
        stars.photometry_names,
    )  # fmt: skip
    assert np.all(background.log_density_of(beyond) == -np.inf)


def test_it_follows_the_gradient_across_the_field(background):
    """Proper motions shift by 0.5 mas/yr per degree: the density knows on which side a star belongs."""
    motion = np.tile([1.5, 0.0], (1, 1))
    light, names = np.array([[1.1, 19.0]]), ("bp_rp", "phot_g_mean_mag")
    right, left = (
        background.log_density_of(at_one_place(motion, light, names, (x, 0.0), 0.3))[0] for x in (3.0, -3.0)
    )
    assert right > left + 0.3


def test_a_large_error_widens_the_density_without_photometry(dark):
    """Stars that scatter by their errors alone are denser at the centre where errors are small."""
    assert dark.columns.context == ("x", "y", "ln error")
    calm = fit_stars(field(photometry=False, intrinsic=0.15), FIELD, QUICK, seed=3)

    def at(motion: float, error: float) -> float:
        star = at_one_place(np.full((1, 2), motion), np.empty((1, 0)), (), (0.0, 0.0), error)
        return float(calm.log_density_of(star)[0])

    assert at(0.0, 0.15) > at(0.0, 0.5) + 0.5
    assert at(1.2, 0.15) < at(1.2, 0.5) - 0.5


def test_the_order_of_the_stars_does_not_matter(background, stars):
    order = np.random.default_rng(2).permutation(len(stars))
    again = fit_stars(rows(stars, order), FIELD, QUICK, seed=3)
    np.testing.assert_array_equal(again.source_id, background.source_id[order])
    np.testing.assert_allclose(again.log_density, background.log_density[order], rtol=0, atol=1e-4)


def test_the_stored_value_is_the_value_of_the_same_stars(background, stars):
    np.testing.assert_allclose(background.log_density_of(stars), background.log_density, atol=1e-6)


def test_stars_without_a_known_error_get_the_median():
    stars = field(800, photometry=False)
    errors = stars.proper_motion_error.copy()
    errors[:50] = 0.0
    lacking = StreamStars(stars.source_id, stars.position, stars.proper_motion, errors, stars.photometry)
    background = fit_stars(lacking, FIELD, QUICK, seed=1)
    assert background.columns.error == pytest.approx(np.median(errors[50:, 0]))
    assert np.isfinite(background.log_density).all()
    none = StreamStars(stars.source_id, stars.position, stars.proper_motion, 0 * errors, stars.photometry)
    assert fit_stars(none, FIELD, QUICK, seed=1).columns.context == ("x", "y")


def test_folds_depend_on_the_identifier_alone_and_are_even(stars):
    fold = fold_of(stars.source_id, 3, 5)
    np.testing.assert_array_equal(fold_of(stars.source_id[::-1], 3, 5), fold[::-1])
    assert np.bincount(fold).min() > 0.28 * len(stars)


def test_with_folds_no_star_is_in_the_flow_that_speaks_for_it(stars):
    """A star moved far away is a surprise to the flow of its own fold, whatever it says to the others."""
    recipe = BackgroundRecipe(hidden=8, epochs=1, folds=2)
    background = fit_stars(stars, FIELD, recipe, seed=3)
    moved = stars.proper_motion.copy()
    mine = background.fold(stars.source_id) == 0
    moved[mine] += 3.0
    changed = StreamStars(
        stars.source_id, stars.position, moved, stars.proper_motion_error, stars.photometry,
        stars.photometry_names,
    )  # fmt: skip
    again = fit_stars(changed, FIELD, recipe, seed=3)
    x, c = background.columns.features_of(stars), background.columns.context_of(stars)
    # Of the whole density: a uniform shift moves the feature map and leaves the networks as they were.
    alike = [
        np.array_equal(a.log_prob(x, c), b.log_prob(x, c))
        for a, b in zip(background.flows, again.flows, strict=True)
    ]
    assert alike == [True, False]


def test_a_large_patch_is_thinned_alike_in_any_order(stars):
    recipe = BackgroundRecipe(hidden=8, epochs=1, most_stars=1000)
    order = np.random.default_rng(4).permutation(len(stars))
    first = fit_stars(stars, FIELD, recipe, seed=2)
    second = fit_stars(rows(stars, order), FIELD, recipe, seed=2)
    np.testing.assert_allclose(second.log_density, first.log_density[order], atol=1e-4)
    assert len(first.log_density) == len(stars)


@pytest.mark.parametrize("positions", ["redrawn", "kept"])
def test_a_drawn_sky_is_like_the_stars_and_knows_its_density(background, stars, positions):
    sky = sample_sky(background, stars, FIELD, seed=1, positions=positions)
    assert len(sky.stars) == len(stars) and FIELD.contains(*sky.stars.position.T).all()
    np.testing.assert_allclose(sky.log_density, background.log_density_of(sky.stars))
    # The density of drawn stars is spread like that of the stars it was learned from.
    assert ks_2samp(sky.log_density, background.log_density).statistic < 0.06
    assert sky.stars.photometry[:, 1].max() <= background.columns.faintest
    # Errors still grow with magnitude.
    order = np.argsort(sky.stars.photometry[:, 1])
    error = np.log(sky.stars.proper_motion_error[order, 0])
    assert np.corrcoef(error, np.arange(len(error)))[0, 1] > 0.8


def test_a_drawn_sky_holds_no_stream():
    """Control: the same stars with a strong stream in them are not like a sky drawn from their background."""
    stars = field(3000)
    stream = np.random.default_rng(5).choice(3000, 150, replace=False)
    place, motion = stars.position.copy(), stars.proper_motion.copy()
    place[stream] = np.column_stack([np.linspace(-4, 4, 150), np.full(150, 1.0)])
    motion[stream] = [4.0, -3.0]
    seeded = StreamStars(
        stars.source_id, place, motion, stars.proper_motion_error, stars.photometry, stars.photometry_names
    )
    sky = sample_sky(fit_stars(seeded, FIELD, QUICK, seed=1), seeded, FIELD, seed=2).stars

    def on_the_stream(s: StreamStars) -> int:
        near = np.hypot(*(s.proper_motion - [4.0, -3.0]).T) < 0.5
        return int((near & (np.abs(s.position[:, 1] - 1.0) < 0.2)).sum())

    assert on_the_stream(seeded) >= 150 and on_the_stream(sky) < 30


def test_skies_of_one_seed_agree_and_of_two_differ(background, stars):
    first, same, other = (sample_sky(background, stars, FIELD, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.stars.proper_motion, same.stars.proper_motion)
    assert not np.array_equal(first.stars.position, other.stars.position)


def test_a_drawn_sky_without_photometry(dark):
    stars = field(photometry=False)
    sky = sample_sky(dark, stars, FIELD, seed=1)
    assert ks_2samp(sky.log_density, dark.log_density).statistic < 0.06
    assert sky.stars.photometry.shape == (len(stars), 0)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"folds": 0}, "folds must be 1 or more; got 0"),
        ({"most_stars": 5}, "most_stars must be 100 or more; got 5"),
        ({"kind": "gaussian"}, "'gaussian'"),
    ],
)
def test_an_impossible_recipe_is_refused(recipe, message):
    with pytest.raises(ValueError if "kind" in recipe else BackgroundError, match=message):
        BackgroundRecipe(**recipe)


def test_messages_say_what_to_do(background, stars):
    with pytest.raises(BackgroundError, match="200 stars or more; got 3"):
        fit_stars(rows(stars, np.arange(3)), FIELD, QUICK, seed=1)
    with pytest.raises(BackgroundError, match=r"faintest = 18\.0 mag.*cut them"):
        fit_stars(stars, FIELD, BackgroundRecipe(faintest=18.0), seed=1)
    with pytest.raises(BackgroundError, match="photometry=False"):
        background.log_density_of(field(300, photometry=False))
    with pytest.raises(BackgroundError, match="'moved'"):
        sample_sky(background, stars, FIELD, seed=1, positions="moved")


def test_a_recipe_survives_json():
    recipe = BackgroundRecipe(hidden=12, faintest=20.2)
    assert BackgroundRecipe.from_dict(recipe.to_dict()) == recipe
    with pytest.raises(BackgroundError, match="colour"):
        BackgroundRecipe.from_dict({"colour": 1})
