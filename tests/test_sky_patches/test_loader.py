"""Whatever the file, the stars are the same, every row is accounted for, and every failure is a LoadError."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sky_patches.errors import LoadError, SkyPatchesError
from sky_patches.loader import read_stars
from sky_patches.schema import SCHEMA, star_table, validate

BIG = 6_886_566_887_578_398_977  # odd and above 2^53: a float64 cannot hold it


def stars(n: int = 50, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=n) for name in SCHEMA if name != "source_id"}
    columns |= {
        "source_id": BIG + 2 * np.arange(n),
        "ra": rng.uniform(0, 360, n),
        "dec": rng.uniform(-90, 90, n),
    }
    columns["radial_velocity"][::3] = np.nan
    return star_table(columns)


def write(table: Table, path: Path) -> Path:
    kinds = {".fits": "fits", ".ecsv": "ascii.ecsv", ".vot": "votable", ".csv": "ascii.csv"}
    if path.suffix == ".parquet":
        table.write(path, format="parquet")
    elif path.suffix == ".gz":
        inner = write(table, path.with_suffix(""))
        path.write_bytes(gzip.compress(inner.read_bytes()))
    elif path.suffix == ".vot":
        table.write(path, format="votable", tabledata_format="binary2")
    else:
        table.write(path, format=kinds[path.suffix])
    return path


def assert_same_stars(found: Table, expected: Table) -> None:
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        assert np.array_equal(found[name], expected[name], equal_nan=name != "source_id"), name


SUFFIXES = [".fits", ".ecsv", ".vot", ".csv", ".parquet", ".csv.gz", ".fits.gz", ".ecsv.gz", ".vot.gz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_stars_bit_for_bit(suffix: str, tmp_path: Path) -> None:
    expected = stars()
    loaded = read_stars(write(expected, tmp_path / f"stars{suffix}"))
    assert_same_stars(validate(loaded.stars), expected)
    assert len(loaded.rejected) == 0
    assert loaded.report.rows_kept == loaded.report.rows_read == 50
    assert loaded.report.converted == {}
    declares_units = "csv" not in suffix or "ecsv" in suffix
    assert bool(loaded.report.units_assumed) != declares_units


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet"])
def test_an_unknown_extension_is_settled_by_the_first_bytes(suffix: str, tmp_path: Path) -> None:
    path = write(stars(), tmp_path / f"stars{suffix}")
    assert_same_stars(read_stars(path.rename(tmp_path / "download.tmp")).stars, stars())


def test_gaias_bulk_files_are_ecsv_under_the_name_of_csv(tmp_path: Path) -> None:
    text = (
        "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# - {name: source_id, datatype: int64}\n"
        + "".join(
            f"# - {{name: {name}, datatype: float64, unit: {SCHEMA[name].unit.to_string('vounit')}}}\n"
            for name in ("ra", "dec", "pmra", "pmdec", "parallax")
        )
        + f"source_id,ra,dec,pmra,pmdec,parallax\n{BIG},1.5,2.5,3.5,4.5,null\n"
        + f"{BIG + 2},1.5,2.5,null,null,0.5\n"
    )
    path = tmp_path / "GaiaSource_000000-003111.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    loaded = read_stars(path)
    assert loaded.stars["source_id"].tolist() == [BIG]
    assert np.isnan(loaded.stars["parallax"][0])
    assert loaded.report.rejected == {"pmra is not finite": 1}
    assert loaded.report.units_assumed == ()


def test_vizier_names_in_any_case_are_recognised() -> None:
    names = [
        "Source",
        "RA_ICRS",
        "DE_ICRS",
        "pmRA",
        "pmDE",
        "Plx",
        "e_Plx",
        "Gmag",
        "BP-RP",
        "RUWE",
        "pmRApmDEcor",
    ]
    table = Table({name: np.array([BIG]) if name == "Source" else [1.0] for name in names})
    report = read_stars(table).report
    assert sorted(report.recognised.values()) == sorted(names)
    assert report.recognised["dec"] == "DE_ICRS"
    assert report.recognised["bp_rp"] == "BP-RP"
    table.rename_column("Source", "SOURCE_ID")
    assert read_stars(table).stars["source_id"][0] == BIG


def test_the_schemas_own_name_wins_over_an_alias_and_a_choice_over_both() -> None:
    table = stars()
    table["RA_ICRS"] = np.full(50, 7.0)
    assert read_stars(table).report.recognised["ra"] == "ra"
    assert "RA_ICRS" in read_stars(table).report.ignored
    chosen = read_stars(table, columns={"ra": "RA_ICRS"})
    assert np.all(chosen.stars["ra"] == 7.0)


@pytest.mark.parametrize("quantities", [False, True])
def test_declared_units_are_converted(quantities: bool) -> None:
    expected = stars()
    table = expected.copy()
    table["ra"] = (
        np.radians(np.asarray(expected["ra"])) * u.rad
        if quantities
        else Column(np.radians(np.asarray(expected["ra"])), unit="rad")
    )
    table["pmra"] = Column(expected["pmra"] / 1000, unit="arcsec/yr")
    table["radial_velocity"].unit = "m/s"
    loaded = read_stars(QTable(table) if quantities else table)
    np.testing.assert_allclose(loaded.stars["ra"], expected["ra"], rtol=1e-14)
    np.testing.assert_allclose(loaded.stars["pmra"], expected["pmra"], rtol=1e-14)
    np.testing.assert_allclose(loaded.stars["radial_velocity"], expected["radial_velocity"] / 1000)
    assert loaded.report.converted == {
        "ra": "rad -> deg",
        "pmra": "arcsec / yr -> mas / yr",
        "radial_velocity": "m / s -> km / s",
    }
    validate(loaded.stars)


def test_a_unit_that_does_not_convert_names_column_found_and_expected() -> None:
    table = stars()
    table["pmra"].unit = "km/s"
    with pytest.raises(LoadError, match=r"'pmra' is in km / s.*mas / yr"):
        read_stars(table)


def test_the_source_is_not_changed() -> None:
    table = stars()
    table["ra"] -= 180.0
    before = table.copy()
    read_stars(table)
    assert_same_stars(table, before)


def test_negative_right_ascensions_are_wrapped_and_counted() -> None:
    table = stars(4)
    table["ra"] = [-0.5, 359.0, 360.0, -1e-20]
    loaded = read_stars(table)
    assert loaded.stars["ra"].tolist() == [359.5, 359.0, 0.0, 0.0]
    assert loaded.report.ra_wrapped == 3


def test_every_rejected_row_is_kept_with_its_reason() -> None:
    table = stars(9)
    table["member"] = np.arange(9)
    table["pmra"][0] = np.nan
    table["dec"][1] = np.inf
    table["ra"][2] = 400.0
    table["dec"][3] = -90.5
    table["source_id"][5] = table["source_id"][4]
    table["source_id"] = MaskedColumn(table["source_id"], mask=np.arange(9) == 6)
    loaded = read_stars(table, keep=["member"])
    assert loaded.stars["member"].tolist() == [4, 7, 8]
    assert dict(zip(loaded.rejected["member"].tolist(), loaded.rejected["reason"].tolist(), strict=True)) == {
        0: "pmra is not finite",
        1: "dec is not finite",
        2: "ra is outside [-180, 360] deg",
        3: "dec is outside [-90, 90] deg",
        5: "source_id repeats an earlier row",
        6: "source_id is missing",
    }
    assert loaded.rejected["source_id"].mask.tolist() == [False] * 5 + [True]
    assert loaded.report.rows_read == loaded.report.rows_kept + sum(loaded.report.rejected.values()) == 9
    assert "rejected 1: source_id is missing" in str(loaded.report)


def test_colour_is_derived_only_where_absent() -> None:
    table = stars()
    assert read_stars(table).report.derived == ()
    del table["bp_rp"]
    loaded = read_stars(table)
    assert loaded.report.derived == ("bp_rp",)
    assert np.array_equal(loaded.stars["bp_rp"], table["phot_bp_mean_mag"] - table["phot_rp_mean_mag"])


def test_masked_optional_values_become_nan() -> None:
    table = stars()
    table["ruwe"] = MaskedColumn(np.ones(50), mask=np.arange(50) < 3)
    assert np.isnan(read_stars(table).stars["ruwe"]).sum() == 3


def test_identifiers_above_2_to_the_53_survive_a_csv_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(f"source_id,ra,dec,pmra,pmdec\n{BIG},1,2,3,4\n,1,2,3,4\n{2**63 - 1},1,2,3,4\n")
    loaded = read_stars(path)
    assert loaded.stars["source_id"].tolist() == [BIG, 2**63 - 1]
    assert loaded.report.rejected == {"source_id is missing": 1}


def test_designations_are_identifiers() -> None:
    table = stars(2)
    table["source_id"] = [f"Gaia DR3 {BIG}", str(BIG + 2)]
    assert read_stars(table).stars["source_id"].tolist() == [BIG, BIG + 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([BIG, 1], dtype=np.float64), r"float64.*above 2\^53.*save it as int64"),
        (np.array([1.0, 2.5]), "fractions such as 2.5"),
        (np.array([1.0, 2.0], dtype=np.float32), "arrives as float32"),
        (np.array([2**63 + 1, 5], dtype=np.uint64), "does not fit"),
        (np.array(["abc", "5"]), "row 0 holds 'abc'"),
        (np.array(["99999999999999999999", "5"]), "row 0 holds|does not fit"),
        (np.array([True, False]), "holds bool"),
        (np.ones((2, 3), dtype=int), "one number per row"),
    ],
)
def test_inexact_identifiers_are_refused(values: np.ndarray, message: str) -> None:
    table = stars(2)
    table.replace_column("source_id", Column(values))
    with pytest.raises(LoadError, match=message):
        read_stars(table)


def test_small_identifiers_may_arrive_as_floats() -> None:
    table = stars(2)
    table["source_id"] = [7.0, 8.0]
    assert read_stars(table).stars["source_id"].dtype == np.int64


def test_a_missing_column_is_named_with_what_is_there_and_what_is_near() -> None:
    table = stars()
    table.rename_column("pmdec", "pm_decl")
    with pytest.raises(LoadError, match=r"\['pmdec'\] not found.*'pm_decl'.*nearest \['pm_decl'"):
        read_stars(table)


def test_names_of_the_user_are_checked() -> None:
    with pytest.raises(LoadError, match=r"\['parallaxe'\] are not names of the schema.*'parallax'"):
        read_stars(stars(), columns={"parallaxe": "parallax"})
    with pytest.raises(LoadError, match=r"columns\['ra'\] = 'RAA' is not in the file"):
        read_stars(stars(), columns={"ra": "RAA"})
    with pytest.raises(LoadError, match="keep names 'membre'"):
        read_stars(stars(), keep=["membre"])
    with pytest.raises(LoadError, match="keep must be a list"):
        read_stars(stars(), keep="member")
    reserved = stars()
    reserved["reason"] = 1
    with pytest.raises(LoadError, match="'reason' is a reserved name"):
        read_stars(reserved, keep=["reason"])


def test_text_where_numbers_belong_is_refused() -> None:
    table = stars(2)
    table["pmra"] = ["3.1", "fast"]
    with pytest.raises(LoadError, match=r"column 'pmra' holds.*expected numbers"):
        read_stars(table)


def test_paths_that_are_no_tables(tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(LoadError, match=message):
            read_stars(path)

    refused(tmp_path, "is a directory")
    refused(tmp_path / "none.fits", "does not exist")
    for name in ("empty.csv", "empty.fits", "empty.xyz", "empty.parquet"):
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name, r"is empty \(0 bytes\)")
    (tmp_path / "void.csv.gz").write_bytes(gzip.compress(b""))
    refused(tmp_path / "void.csv.gz", "empty once decompressed")
    (tmp_path / "header.csv").write_text("source_id,ra,dec,pmra,pmdec\n")
    refused(tmp_path / "header.csv", "has no rows")
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path / "notes.txt", "unknown extension and content")
    write(stars(), tmp_path / "a.fits").rename(tmp_path / "b.csv")
    refused(tmp_path / "b.csv", "the extension says csv, the content is fits")
    fits.writeto(tmp_path / "image.fits", np.zeros((4, 4)))
    refused(tmp_path / "image.fits", "cannot be read as fits")
    pq.write_table(pa.table({"ra": pa.array([], pa.float64())}), tmp_path / "none.parquet")
    refused(tmp_path / "none.parquet", "has no rows")
    with pytest.raises(LoadError, match="no rows"):
        read_stars(stars()[:0])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_a_load_error(suffix: str, share: float, tmp_path: Path) -> None:
    content = write(stars(), tmp_path / f"whole{suffix}").read_bytes()
    stop = int(share * len(content))
    if suffix == ".csv":  # plain text has no end mark: only a row that is cut short can be noticed
        stop = content.rfind(b"\n", 0, stop) + 20
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[:stop])
    with pytest.raises(LoadError, match=r"cut\."):
        read_stars(path)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".vot", ".csv", ".parquet", ".csv.gz"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 1), junk=st.binary(min_size=1, max_size=40))
def test_damage_never_raises_anything_else(suffix: str, start: float, junk: bytes, tmp_path: Path) -> None:
    whole = tmp_path / f"whole{suffix}"
    content = bytearray((whole if whole.exists() else write(stars(5), whole)).read_bytes())
    position = int(start * (len(content) - 1))
    content[position : position + len(junk)] = junk
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(bytes(content))
    try:
        validate(read_stars(path).stars)
    except SkyPatchesError as error:
        assert isinstance(error, LoadError)


def test_a_file_with_several_tables_says_which_was_read(tmp_path: Path) -> None:
    path = write(stars(), tmp_path / "two.fits")
    stars(3).write(path, append=True)
    loaded = read_stars(path)
    assert loaded.report.rows_read == 50
    assert "multiple tables" in str(loaded.report)


@pytest.mark.real_data
def test_blancos_negative_right_ascensions(shared_data: Callable[[str], Path]) -> None:
    loaded = read_stars(shared_data("blanco1_gaia_dr2_labelled.csv.gz"), keep=["member"])
    assert len(loaded.stars) == 14_785
    assert loaded.stars["member"].sum() == 262
    assert loaded.report.ra_wrapped == 4_463
    assert loaded.report.derived == ("bp_rp",)


@pytest.mark.real_data
def test_streamfinder_members_load_with_two_names_given(shared_data: Callable[[str], Path]) -> None:
    loaded = read_stars(
        shared_data("streamfinder_gaiadr3.fits"),
        columns={"bp_rp": "B-R", "radial_velocity": "VHel"},
        keep=["Stream"],
    )
    assert len(loaded.stars) + len(loaded.rejected) == 24_540
    assert set(loaded.report.rejected) == {"source_id repeats an earlier row"}
    assert loaded.stars["source_id"].dtype == np.int64
