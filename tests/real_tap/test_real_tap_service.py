"""The service that the other tests stand on: real, whole, and gone afterwards; and what it does to others."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pytest
from archive_rows import assert_same_rows, rows_of_dr2, rows_of_dr3
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from debian import ServiceError
from interference import aborting
from service import HERE, Service

from sky_patches.schema import SCHEMA

EVERYTHING = "SELECT * FROM gaiadr3.gaia_source"


@pytest.fixture
def plain(service: Service):
    """astroquery's client as everybody uses it."""
    from astroquery.utils.tap import TapPlus

    return TapPlus(url=service.url)


def _dump(service: Service, statement: str) -> Table:
    """Rows straight from the database."""
    text = service.sql(f"COPY ({statement}) TO STDOUT WITH (FORMAT csv, HEADER)")
    names = text.partition("\n")[0].split(",")
    values = np.genfromtxt(io.StringIO(text), delimiter=",", skip_header=1, dtype=np.float64)
    table = Table(values, names=names)
    table["source_id"] = [int(line.partition(",")[0]) for line in text.splitlines()[1:]]
    return table


def test_the_database_holds_the_synthetic_tables(service: Service):
    names = ", ".join(SCHEMA)
    found = _dump(service, f"SELECT {names} FROM gaiadr3.gaia_source")
    # PostgreSQL prints the shortest digits of a float4: they mean that float4, not the float64 beside it.
    for name in SCHEMA:
        if service.sql(f"SELECT pg_typeof({name}) FROM gaiadr3.gaia_source LIMIT 1") == "real":
            found[name] = found[name].astype(np.float32).astype(np.float64)
    assert_same_rows(found, rows_of_dr3())
    assert int(service.sql("SELECT count(*) FROM gaiadr2.gaia_source")) == len(rows_of_dr2())
    listed = np.isfinite(rows_of_dr2()["ruwe"]).sum()
    assert 0 < int(service.sql("SELECT count(*) FROM gaiadr2.ruwe")) == listed < len(rows_of_dr2())


def test_a_killed_service_comes_back_with_its_jobs(service: Service):
    order = urllib.parse.urlencode(
        {"REQUEST": "doQuery", "LANG": "ADQL", "PHASE": "RUN", "QUERY": EVERYTHING}
    )
    with urllib.request.urlopen(f"{service.url}/async", data=order.encode()) as reply:
        job = reply.geturl().rpartition("/")[2]
    service.kill9()
    assert not service.answers()
    service.start()
    end = time.monotonic() + 30
    while service.jobs()[job] != "COMPLETED":
        assert time.monotonic() < end, service.jobs()
        time.sleep(0.1)


def test_destroying_takes_every_process_along(tmp_path: Path):
    """Also those of jobs, and also when the owner dies: the guard sees its standard input end."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "settings.json").write_text(json.dumps({"port": 1, "database_port": 2, "row_limit": 3}))
    environment = {**os.environ, "GAVOSETTINGS": str(state / "gavo.rc")}
    ours = subprocess.Popen(["sleep", "100"], env=environment)
    alien = subprocess.Popen(["sleep", "100"])
    try:
        words = [sys.executable, HERE / "service.py", "guard", "--state", state]
        subprocess.run(words, input=b"", check=True, timeout=30)
        assert ours.wait(5) != 0
        assert alien.poll() is None
        assert not state.exists()
    finally:
        for process in (ours, alien):
            process.kill()
            process.wait()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ServiceError, match="not empty: destroy it first, or name another folder"):
        Service.create(tmp_path)
    with pytest.raises(ServiceError, match="holds no service"):
        Service.open(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_negative_control_astroquery_stops_at_the_row_limit_and_says_nothing(plain, service: Service):
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        job = plain.launch_job_async(EVERYTHING)
        rows = job.get_results()
    assert job.get_phase() == "COMPLETED"
    assert len(rows) == service.row_limit < len(rows_of_dr3())


def test_negative_control_astroquery_saves_no_row_of_an_aborted_job_and_says_nothing(
    plain, service: Service, tmp_path: Path
):
    saved = tmp_path / "result.vot"
    with aborting(service, times=1) as aborted, warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        plain.launch_job_async(EVERYTHING, dump_to_file=True, output_file=str(saved))
    assert len(aborted) == 1 and service.jobs()[aborted[0]] == "ABORTED"
    assert saved.exists() and b"<TABLE" not in saved.read_bytes()


def test_negative_control_astroquery_without_top_asks_for_2000_rows_and_says_nothing(plain):
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        assert len(plain.launch_job(EVERYTHING).get_results()) == 2000
