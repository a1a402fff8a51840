"""Synthetic tables under the names and types of the Gaia archive, and their description for DaCHS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import healpy as hp
import numpy as np
from astropy.table import MaskedColumn, Table

from sky_patches.schema import SCHEMA

__all__ = ["CLUMP", "dr2_tables", "dr3_table", "write_tables"]

CLUMP = (56.75, 24.1)
"""ra and dec in deg of the middle of a crowd that holds two fifths of the stars."""

_WIDTH = 5.0

_ARCSEC = 1 / 3600
_DOUBLES = {"ra", "dec", "parallax", "pmra", "pmdec"}
_ASTROMETRY = ("parallax", "parallax_error", "pmra", "pmra_error", "pmdec", "pmdec_error", "pmra_pmdec_corr")
_FURTHER = ("astrometric_params_solved", "phot_bp_rp_excess_factor")


def dr3_table(rows: int, seed: int) -> Table:
    """`gaiadr3.gaia_source`: every column of the schema, in the archive's types, sorted by source_id.

    A fortieth has two-parameter solutions (no parallax, no proper motion), faint stars have no radial
    velocity, some have no colour. As in Gaia, source_id tells the pixel of a first position, which is a few
    arcseconds off: near borders it is not the pixel of (ra, dec).
    """
    rng = np.random.default_rng(seed)
    stars = _positions(rng, rows)
    stars |= _motions(rng, rows) | _photometry(rng, rows)
    two_parameters = rng.uniform(size=rows) < 0.025
    no_colour = rng.uniform(size=rows) < 0.01
    faint = stars["phot_g_mean_mag"] > 15
    masks = dict.fromkeys((*_ASTROMETRY, "ruwe"), two_parameters)
    masks |= dict.fromkeys(("phot_bp_mean_mag", "bp_rp", "phot_bp_rp_excess_factor"), no_colour)
    masks |= dict.fromkeys(("radial_velocity", "radial_velocity_error"), faint)
    stars["astrometric_params_solved"] = np.where(two_parameters, 3, 31).astype(np.int16)
    table = Table()
    for name in dict.fromkeys([*SCHEMA, *_FURTHER]):
        exact = name in _DOUBLES or stars[name].dtype.kind == "i"
        values = stars[name] if exact else stars[name].astype(np.float32)
        table[name] = MaskedColumn(values, mask=masks.get(name, np.zeros(rows, bool)))
    table.sort("source_id")
    return table


def dr2_tables(rows: int, seed: int) -> dict[str, Table]:
    """`gaiadr2.gaia_source`, which has no ruwe, and `gaiadr2.ruwe`, which holds five-parameter solutions."""
    whole = dr3_table(rows, seed)
    ruwe = whole[["source_id", "ruwe"]][~whole["ruwe"].mask]
    whole.remove_column("ruwe")
    return {"gaia_source": whole, "ruwe": ruwe}


def write_tables(folder: Path, *, rows: int, seed: int) -> None:
    """One folder per archive schema, with a resource descriptor for DaCHS and one CSV file per table."""
    releases: Mapping[str, dict[str, Table]] = {
        "gaiadr3": {"gaia_source": dr3_table(rows, seed)},
        "gaiadr2": dr2_tables(rows // 4, seed + 1),
    }
    for name, tables in releases.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "q.rd").write_text(_descriptor(name, tables))
        for title, table in tables.items():
            table.write(folder / name / f"{title}.csv", format="ascii.csv", fill_values=[("--", "")])


def _positions(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    crowd = np.arange(rows) < 2 * rows // 5
    ra, dec = rng.uniform(0, 360, rows), np.degrees(np.arcsin(rng.uniform(-1, 1, rows)))
    dec = np.where(crowd, rng.normal(CLUMP[1], _WIDTH, rows), dec)
    ra = np.where(crowd, rng.normal(CLUMP[0], _WIDTH / np.cos(np.radians(CLUMP[1])), rows), ra) % 360
    first_dec = np.clip(dec + rng.normal(0, 20 * _ARCSEC, rows), -90, 90)
    pixel = hp.ang2pix(4096, ra, first_dec, nest=True, lonlat=True).astype(np.int64)
    # A running number within the pixel; Gaia's own numbers go in steps of 128 too.
    order = np.argsort(pixel, kind="stable")
    _, start, count = np.unique(pixel[order], return_index=True, return_counts=True)
    running = np.empty(rows, np.int64)
    running[order] = np.arange(rows) - np.repeat(start, count)
    return {"source_id": (pixel << 35) + 128 * (running + 1), "ra": ra, "dec": dec}


def _motions(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    errors = 0.02 * rng.lognormal(0, 1, (5, rows))
    names = ("ra_error", "dec_error", "parallax_error", "pmra_error", "pmdec_error")
    return dict(zip(names, errors, strict=True)) | {
        "parallax": rng.lognormal(0, 0.7, rows) + rng.normal(0, errors[2]),
        "pmra": rng.normal(0, 8, rows),
        "pmdec": rng.normal(-3, 8, rows),
        "pmra_pmdec_corr": rng.uniform(-1, 1, rows),
        "ruwe": rng.lognormal(0.02, 0.12, rows),
        "radial_velocity": rng.normal(0, 40, rows),
        "radial_velocity_error": rng.lognormal(0, 1, rows),
    }


def _photometry(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    g = np.clip(20.7 - rng.exponential(2.0, rows), 3, 21)
    colour = rng.normal(1.2, 0.5, rows)
    bands = {"phot_bp_mean_mag": g + 0.4 * colour, "phot_rp_mean_mag": g - 0.6 * colour}
    excess = {"phot_bp_rp_excess_factor": rng.lognormal(0.2, 0.1, rows)}
    return {"phot_g_mean_mag": g, "bp_rp": colour} | bands | excess


def _descriptor(schema: str, tables: Mapping[str, Table]) -> str:
    """What DaCHS wants to know; the empty import makes the tables, PostgreSQL's COPY fills them faster."""
    found = [f'<resource schema="{schema}" resdir="{schema}">']
    metas = {"title": f"Synthetic {schema}", "creationDate": "2026-01-01T00:00:00Z", "creator": "test",
             "description": "Made-up rows for tests on loopback.", "subject": "tests"}  # fmt: skip
    found += [f"<meta name={quoteattr(name)}>{text}</meta>" for name, text in metas.items()]
    for title, table in tables.items():
        found += [f'<table id="{title}" onDisk="True" adql="True" primary="source_id">']
        found += [_column(name, table[name].dtype) for name in table.colnames]
        found += ["</table>"]
    made = "".join(f'<make table="{title}"/>' for title in tables)
    return "\n".join([*found, f'<data id="import"><nullGrammar/>{made}</data>', "</resource>"])


def _column(name: str, dtype: np.dtype) -> str:
    kinds = {"i8": "bigint", "i2": "smallint", "f8": "double precision", "f4": "real"}
    words = {"name": name, "type": kinds[dtype.str[1:]]}
    if name == "source_id" or dtype.kind == "i":
        words["required"] = "True"
    if name in SCHEMA:
        spec = SCHEMA[name]
        words |= {"ucd": spec.ucd, "description": spec.description}
        words |= {"unit": spec.unit.to_string("vounit")} if spec.unit else {}
    return "<column " + " ".join(f"{key}={quoteattr(text)}" for key, text in words.items()) + "/>"
