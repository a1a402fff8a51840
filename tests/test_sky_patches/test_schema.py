"""A star table is what the schema says, and nothing else passes for one."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table

from sky_patches.errors import SchemaError
from sky_patches.schema import REQUIRED, SCHEMA, star_table, validate


def plain(n: int = 4) -> dict[str, np.ndarray]:
    return {name: np.arange(1, n + 1).astype(SCHEMA[name].dtype) for name in REQUIRED}


def test_every_unit_and_type_of_the_schema_is_set() -> None:
    table = star_table({name: np.ones(3, dtype=spec.dtype) for name, spec in SCHEMA.items()})
    assert table.colnames == list(SCHEMA)
    for name, spec in SCHEMA.items():
        assert table[name].unit == spec.unit
        assert table[name].dtype == spec.dtype
        assert table[name].description == spec.description


def test_required_columns_are_those_of_a_five_parameter_cut() -> None:
    assert set(REQUIRED) == {"source_id", "ra", "dec", "pmra", "pmdec"}


def test_no_alias_belongs_to_two_columns() -> None:
    names = [name for spec in SCHEMA.values() for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


def test_colour_is_derived_where_absent_and_kept_where_present() -> None:
    magnitudes = {"phot_bp_mean_mag": np.full(4, 16.5), "phot_rp_mean_mag": np.full(4, 15.25)}
    assert np.all(star_table({**plain(), **magnitudes})["bp_rp"] == 1.25)
    given = star_table({**plain(), **magnitudes, "bp_rp": np.full(4, 9.0)})
    assert np.all(given["bp_rp"] == 9.0)


def test_columns_the_schema_does_not_know_are_carried_along() -> None:
    table = star_table(plain(), extra={"member": np.array([True, False, True, False])})
    assert table["member"].tolist() == [True, False, True, False]


def test_validate_returns_the_table_itself() -> None:
    table = star_table(plain())
    assert validate(table) is table


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_column_is_named(name: str) -> None:
    table = star_table(plain())
    del table[name]
    with pytest.raises(SchemaError, match=f"required column '{name}' is missing"):
        validate(table)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("pmra", Column(np.ones(4), unit=u.deg / u.yr), "expected unit mas / yr, found deg / yr"),
        ("pmra", Column(np.ones(4)), "expected unit mas / yr, found None"),
        ("pmra", Column(np.ones(4, np.float32), unit="mas/yr"), "expected type float64, found float32"),
        ("pmra", Column(np.ones((4, 2)), unit="mas/yr"), r"expected shape \(n,\)"),
        ("pmra", MaskedColumn(np.ones(4), unit="mas/yr"), "is masked"),
        ("source_id", Column(np.ones(4)), "expected type int64, found float64"),
        ("pmra", Column([1.0, np.nan, 1.0, 1.0], unit="mas/yr"), "1 rows have no finite 'pmra'"),
        ("ra", Column([1.0, 2.0, 360.0, 4.0], unit="deg"), "the first is row 2: ra=360.0"),
        ("dec", Column([1.0, -90.1, 3.0, 4.0], unit="deg"), "the first is row 1.*dec=-90.1"),
    ],
)
def test_what_is_wrong_with_a_column_is_said(name: str, column: Column, message: str) -> None:
    table = star_table(plain())
    table.replace_column(name, column)
    with pytest.raises(SchemaError, match=message):
        validate(table)


def test_all_problems_are_listed_at_once() -> None:
    table = star_table(plain())
    del table["dec"]
    table["pmra"].unit = "deg/yr"
    with pytest.raises(SchemaError, match=r"(?s)(?=.*'dec' is missing)(?=.*expected unit mas / yr)"):
        validate(table)


def test_tables_of_quantities_and_other_objects_are_refused() -> None:
    with pytest.raises(SchemaError, match="Quantity; expected a plain Column"):
        validate(QTable(star_table(plain())))
    with pytest.raises(SchemaError, match="found dict"):
        validate(plain())  # type: ignore[arg-type]


def test_star_table_refuses_unknown_names_and_unequal_lengths() -> None:
    with pytest.raises(SchemaError, match=r"\['pm_ra'\] are not in the schema"):
        star_table({**plain(), "pm_ra": np.ones(4)})
    with pytest.raises(SchemaError, match="one length"):
        star_table({**plain(), "ruwe": np.ones(5)})
    with pytest.raises(SchemaError, match="expected int64, found values of type float64"):
        star_table({**plain(), "source_id": np.ones(4)})


def test_a_table_without_rows_is_a_star_table() -> None:
    assert len(validate(star_table({name: values[:0] for name, values in plain().items()}))) == 0
    assert isinstance(star_table(plain()), Table)
