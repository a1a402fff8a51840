"""The commands `refresh` and `verify` against a service in this process: results, messages, exit codes."""

from __future__ import annotations

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.table import Table
from tap_stub import TapStub

from sky_patches import SCHEMA, CatalogStore
from sky_patches.archive.releases import DEFAULT_COLUMNS


@pytest.fixture(scope="module")
def gaia() -> Table:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(148, 152, 1500), rng.uniform(28, 32, 1500)
    pixel = hp.ang2pix(1 << 12, ra, dec, nest=True, lonlat=True).astype(np.int64)
    table = Table({"source_id": (pixel << 35) + np.arange(1500), "ra": ra * u.deg, "dec": dec * u.deg})
    for name in DEFAULT_COLUMNS[3:]:
        table[name] = rng.normal(1.0, 0.3, 1500)
        table[name].unit = SCHEMA[name].unit
    table["radial_velocity"][::2] = np.nan
    return table


@pytest.fixture
def service(gaia):
    with TapStub({"gaiadr3.gaia_source": gaia}, row_limit=400) as stub:
        yield stub


@pytest.fixture
def ask(command, service, tmp_path):
    """A function that runs `refresh` on a small region, with further words."""

    def run(*words: object):
        asked = ("--region", "cone:150,30,3", "--tap-url", service.url, "--poll", 0.01, "--order", 4)
        return command("refresh", "--store", tmp_path / "gaia", *asked, *words)

    return run


def test_refresh_says_what_it_did_and_a_second_one_does_nothing(ask, service, gaia, tmp_path):
    first = ask()
    assert first.code == 0, first.err
    assert "1,500 stars fetched" in first.out and "were split" in first.out
    found = CatalogStore.open(tmp_path / "gaia").stars()
    assert sorted(found["source_id"]) == sorted(gaia["source_id"])
    asked = len(service.queries)
    second = ask()
    assert second.code == 0 and "nothing to fetch" in second.out and len(service.queries) == asked


def test_a_dry_run_shows_queries_and_amounts(ask, tmp_path):
    shown = ask("--dry-run", "--parallax-below", 1)
    assert shown.code == 0 and "SELECT source_id" in shown.out and "parallax < 1.0" in shown.out
    assert "counted" in shown.out and "kB in memory" in shown.out and not (tmp_path / "gaia").exists()
    assert "coarse model" in ask("--dry-run", "--offline").out


def test_a_changed_query_needs_leave(ask, gaia, tmp_path):
    assert ask().code == 0
    line = ask("--ruwe-below", 1).error()
    assert "--replace" in line and "1,500 stars" in line and "ruwe < 1.0" in line
    assert len(CatalogStore.open(tmp_path / "gaia")) == 1500
    assert "--replace" in ask("--ruwe-below", 1, "--dry-run").out
    done = ask("--ruwe-below", 1, "--replace")
    assert done.code == 0 and "taken the place" in done.out
    assert len(CatalogStore.open(tmp_path / "gaia")) == int(np.sum(gaia["ruwe"] < 1.0))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--release", "dr9"), "dr2, dr3"),
        (("--region", "kone:1,2,3"), "cone"),
        (("--region", "cone:galaktic:1,2,3"), "galactic"),
        (("--where", "nonsense > 3"), "nonsense"),
        (("--where", "(ra > 3"), "balanced"),
        (("--g", "20"), "LOW,HIGH"),
        (("--column", "ra;dec"), "column"),
        (("--table", "no.such_table"), "no such table"),
        (("--table", "a;b"), "schema.table"),
    ],
)
def test_bad_input_is_one_line(ask, words, told):
    assert told in ask(*words).error()


def test_an_unreachable_service_is_one_line_and_makes_no_store(command, tmp_path):
    words = ("--region", "sky", "--tap-url", "http://127.0.0.1:9/tap", "--attempts", 1)
    line = command("refresh", "--store", tmp_path / "gaia", *words).error()
    assert "127.0.0.1:9" in line and "check the address" in line and not (tmp_path / "gaia").exists()


def test_verify_finds_damage_and_refresh_mends_it(ask, command, gaia, tmp_path):
    assert ask().code == 0
    store = tmp_path / "gaia"
    whole = command("verify", "--store", store)
    assert whole.code == 0 and "are whole" in whole.out
    damaged = store / CatalogStore.open(store).partitions[0].path
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert "--repair" in command("verify", "--store", store).error()
    repaired = command("verify", "--store", store, "--repair")
    assert repaired.code == 0 and "fetched again" in repaired.out
    assert ask().code == 0 and command("verify", "--store", store).code == 0
    assert len(CatalogStore.open(store)) == 1500


def test_verify_without_a_store_is_one_line(command, tmp_path):
    assert "not a catalogue store" in command("verify", "--store", tmp_path).error()


def test_import_takes_files_or_hats(command, tmp_path):
    assert "--hats" in command("import", "--store", tmp_path / "new").error()
    line = command("import", "--hats", tmp_path / "absent", "--store", tmp_path / "new").error()
    assert "absent" in line
