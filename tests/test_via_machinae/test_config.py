"""The configuration: every mistake names itself, and the hashes change with what results depend on."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from via_machinae import Config, ConfigError, load_config
from via_machinae.config import config_from

PATCH = {"name": "north", "ra": 150.0, "dec": 30.0, "radius": 5.0}
# One other valid value for every key of the configuration.
OTHER = {
    "run": {"seed": 2, "workers": 7},
    "cuts": {
        "parallax_below": 0.5,
        "ruwe_below": None,
        "magnitude": [12, 19],
        "colour": [0, 2],
        "nearby_snr": 5.0,
        "five_parameter": True,
        "flux_excess_sigma": 3.0,
        "flux_excess_dr2": True,
    },
    "windows": {"width": 5.0, "step": 2.0, "min_stars": 400},
    "detector": {
        "name": "anode",
        "features": ["bp_rp"],
        "folds": 4,
        "members": 3,
        "oversampling": 2,
        "retrainings": 3,
    },
    "flow": {
        "kind": "spline",
        "layers": 5,
        "hidden": 32,
        "epochs": 5,
        "batch_size": 512,
        "learning_rate": 0.001,
    },
    "regions": {"width": 5.0, "step": 2.0, "min_stars": 50, "exclude_below": 2.0, "colour": None},
    "compact": {
        "enabled": False,
        "scales": [3, 30],
        "threshold": 0.05,
        "min_axis_ratio": 0.5,
        "max_radius": 1.0,
        "mask_scale": 3.0,
    },
    "lines": {"widths": [0.3], "ranks": [100], "angle_step": 3.0, "offset_step": 0.25, "cell": 0.2},
    "significance": {"null_skies": 50, "threshold": 0.05, "report_below": 0.2, "max_candidates": 5},
    "membership": {"half_box": 2.0, "threshold": 0.7},
    "search": {
        "ridges": ["one.iso.cmd", "two.ecsv"],
        "moduli": [15.0],
        "motion_limit": 8.0,
        "motion_step": 0.4,
        "spread": 0.2,
        "widths": [0.5],
        "angle_step": 5.0,
        "offset_step": 0.2,
        "gradients": [0.0],
        "expected_stars": 60.0,
        "clump": 0.7,
        "null_skies": 20,
        "relearn": 0,
        "null_positions": "kept",
        "background": {"epochs": 5},
    },
}
# Sections that may be absent: one other valid value for every key, compared with the section's defaults.
OPTIONAL = {
    "tiling": {
        "radius": 12.0,
        "fiducial": 9.0,
        "min_abs_b": 30.0,
        "centres": "healpix",
        "exclude": [{"name": "x", "ra": 1.0, "dec": 2.0, "radius": 3.0}],
        "dust": "ebv.fits",
        "dust_limit": 0.3,
        "min_fill": 0.5,
    },
    "masks": {"catalogue": "none", "scale": 5.0, "min_radius": 0.1, "max_radius": 1.0},
}
OPTIONAL_CHANGES = [
    (section, key, value) for section, keys in OPTIONAL.items() for key, value in keys.items()
]
CHANGES = [(section, key, value) for section, keys in OTHER.items() for key, value in keys.items()]
SCORING = {"cuts", "windows", "detector", "flow"}


def _keys() -> set[tuple[str, str]]:
    found = set()
    for section, info in Config.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found |= {(section, key) for key in info.annotation.model_fields}
    return found


def test_every_key_has_a_valid_default(tmp_path):
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert load_config(empty) == Config()


def test_the_list_of_changes_covers_every_key():
    assert {(section, key) for section, key, _ in CHANGES} == _keys()


@pytest.mark.parametrize(("section", "key", "value"), CHANGES)
def test_hashes_change_with_what_results_depend_on(section, key, value):
    changed = config_from({section: {key: value}}, "test")
    scoring = section in SCORING or (section, key) == ("run", "seed")
    assert (changed.hash() != Config().hash()) == ((section, key) != ("run", "workers"))
    assert (changed.scoring_hash() != Config().scoring_hash()) == scoring
    model_free = section != "search" and (section, key) != ("run", "workers")
    assert (changed.anomaly_hash() != Config().anomaly_hash()) == model_free


@pytest.mark.parametrize(("section", "key", "value"), OPTIONAL_CHANGES)
def test_hashes_change_with_every_key_of_a_section_that_may_be_absent(section, key, value):
    absent, default = Config(), config_from({section: {}}, "test")
    changed = config_from({section: {key: value}}, "test")
    assert len({absent.hash(), default.hash(), changed.hash()}) == 3
    assert len({absent.scoring_hash(), default.scoring_hash(), changed.scoring_hash()}) == 3
    assert set(absent.scoring_values()) == set(changed.scoring_values())


def test_the_list_of_optional_changes_covers_every_key():
    assert OPTIONAL.keys() == {name for name, field in Config.model_fields.items() if field.default is None}
    for section, keys in OPTIONAL.items():
        assert keys.keys() == set(type(getattr(config_from({section: {}}, "test"), section)).model_fields)


@pytest.mark.parametrize(
    "change", [{"ra": 151.0}, {"dec": 31.0}, {"radius": 6.0}, {"rotation": 10.0}, {"name": "south"}]
)
def test_hashes_change_with_every_key_of_a_patch(change):
    first, second = (config_from({"patches": [values]}, "test") for values in (PATCH, {**PATCH, **change}))
    assert first.hash() != second.hash()
    assert first.scoring_hash() != second.scoring_hash()


def test_a_configuration_survives_json():
    for sky in ({"patches": [PATCH]}, OPTIONAL):
        config = config_from({**OTHER, **sky}, "test")
        assert config_from(config.model_dump(mode="json"), "json") == config


@pytest.mark.parametrize(
    ("values", "unknown", "meant"),
    [
        ({"window": {"width": 6}}, "window", "windows"),
        ({"windows": {"widht": 6}}, "windows.widht", "windows.width"),
        ({"flow": {"epoch": 6}}, "flow.epoch", "flow.epochs"),
        ({"null_skies": 50}, "null_skies", "significance.null_skies' or 'search.null_skies"),
        ({"patches": [{**PATCH, "radus": 5}]}, "patches.0.radus", "patches.radius"),
        ({"tilling": {}}, "tilling", "tiling"),
        ({"tiling": {"min_abs": 20}}, "tiling.min_abs", "tiling.min_abs_b"),
        ({"search": {"nul_skies": 5}}, "search.nul_skies", "search.null_skies"),
        ({"search": {"background": {"epoch": 5}}}, "search.background.epoch", "search.background.epochs"),
        ({"masks": {"catalog": "none"}}, "masks.catalog", "masks.catalogue"),
        ({"patches": [PATCH, {**PATCH, "name": "b", "fram": "x"}]}, "patches.1.fram", "patches.frame"),
    ],
)
def test_an_unknown_key_names_itself_and_the_nearest_valid_one(values, unknown, meant):
    with pytest.raises(ConfigError) as caught:
        config_from(values, "my.toml")
    assert str(caught.value) == f"my.toml: unknown key '{unknown}'; did you mean '{meant}'?"


def test_a_key_like_no_other_lists_the_valid_ones():
    with pytest.raises(ConfigError, match=r"unknown key 'qqqq'; valid keys: .*windows.width"):
        config_from({"qqqq": 1}, "my.toml")


@pytest.mark.parametrize(
    ("values", "key", "expected", "got"),
    [
        ({"windows": {"width": -1.0}}, "windows.width", "greater than 0", "-1.0"),
        ({"windows": {"width": float("inf")}}, "windows.width", "finite", "inf"),
        ({"windows": {"width": float("nan")}}, "windows.width", "", "nan"),
        ({"windows": {"width": "wide"}}, "windows.width", "valid number", "'wide'"),
        ({"windows": {"min_stars": 0}}, "windows.min_stars", "greater than or equal to 1", "0"),
        ({"detector": {"name": "curtains"}}, "detector.name", "'cathode', 'anode', 'r-anode'", "'curtains'"),
        ({"detector": {"folds": 1}}, "detector.folds", "greater than or equal to 2", "1"),
        ({"cuts": {"magnitude": [20, 10]}}, "cuts.magnitude", "lower limit must lie below", "20"),
        ({"cuts": {"colour": [1]}}, "cuts.colour.1", "required", ""),
        ({"regions": {"colour": [1, 1]}}, "regions.colour", "lower limit must lie below", "1"),
        ({"lines": {"widths": []}}, "lines.widths", "at least 1 item", "[]"),
        ({"significance": {"threshold": 1.5}}, "significance.threshold", "less than 1", "1.5"),
        ({"run": {"seed": -1}}, "run.seed", "greater than or equal to 0", "-1"),
        ({"run": 3}, "run", "valid dictionary", "3"),
        ({"patches": [{**PATCH, "dec": 91.0}]}, "patches.0.dec", "less than or equal to 90", "91.0"),
        ({"patches": [{**PATCH, "name": "a/b"}]}, "patches.0.name", "match pattern", "'a/b'"),
        ({"patches": [{**PATCH, "radius": None}]}, "patches.0", "either a radius or a box", ""),
        ({"patches": [{**PATCH, "box": [0, 1, 0, 1]}]}, "patches.0", "either a radius or a box", ""),
        ({"patches": [{"name": "a", "radius": 5}]}, "patches.0", "ra and dec of its centre", ""),
        ({"tiling": {"fiducial": 15.0}}, "tiling", "fiducial radius must be smaller", ""),
        ({"tiling": {"centres": "hex"}}, "tiling.centres", "'rings' or 'healpix'", "'hex'"),
        ({"masks": {"min_radius": 3.0}}, "masks", "min_radius must not exceed max_radius", ""),
        ({"search": {"ridges": "young"}}, "search.ridges", "'fine', 'none' or a list", "'young'"),
        ({"search": {"ridges": []}}, "search.ridges", "empty list", "[]"),
        ({"search": {"null_skies": 2}}, "search.null_skies", "5 skies or more", "2"),
        ({"search": {"widths": [0.1]}}, "search", "must not exceed the narrowest", ""),
        ({"search": {"background": {"epochs": 0}}}, "search.background.epochs", "greater than", "0"),
        ({"patches": [PATCH], "tiling": {}}, "configuration", "either patches or a tiling", ""),
        ({"patches": [PATCH, PATCH]}, "configuration", "patch names must differ", "north"),
    ],
)
def test_an_impossible_value_names_key_value_and_what_was_expected(
    values: dict[str, Any], key: str, expected: str, got: str
):
    with pytest.raises(ConfigError) as caught:
        config_from(values, "my.toml")
    message = str(caught.value)
    assert message.startswith(f"my.toml: {key}: "), message
    assert expected in message and got in message


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError, match=r"windows\.width.*; .*'flow\.epoch'"):
        config_from({"windows": {"width": 0}, "flow": {"epoch": 3}}, "my.toml")


@pytest.mark.parametrize("content", [b"[windows", b"width = \n", b"a = 1\na = 2\n", b"\xff\xfe"])
def test_broken_toml_is_a_config_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*broken\.toml"):
        load_config(path)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_missing_configuration_is_a_config_error(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(tmp_path / name)
