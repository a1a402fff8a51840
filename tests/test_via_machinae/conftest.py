"""One small sky and one finished scan of it, shared by all tests of the conductor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Column, Table

from streams import StreamCatalog
from via_machinae import Config, Run, load_config
from via_machinae.cli import main
from via_machinae.ingest import import_files
from via_machinae.jobs import catalogue_job, scan_job

__all__: list[str] = []

SETTINGS = """
[run]
seed = 3
workers = 2
[windows]
step = 3.0
[detector]
folds = 2
members = 1
[flow]
layers = 2
hidden = 16
epochs = 3
[regions]
step = 3.0
[significance]
null_skies = 20
"""
STREAM_STARS = 250


def small_sky(field: int = 5000, stream: int = STREAM_STARS) -> Table:
    """A 5 deg circle of field stars with one strong straight stream; its stars are the last rows."""
    rng = np.random.default_rng(7)
    radius, angle = 5 * np.sqrt(rng.random(field)), rng.uniform(0, 2 * np.pi, field)
    along, across = rng.uniform(-4.2, 4.2, stream), rng.normal(0, 0.1, stream)
    x = np.r_[radius * np.cos(angle), along * np.cos(0.5) - across * np.sin(0.5)]
    dec = 30 + np.r_[radius * np.sin(angle), along * np.sin(0.5) + across * np.cos(0.5)]
    number = field + stream
    return Table(
        {
            "source_id": 10**17 + rng.permutation(number),
            "ra": 150 + x / np.cos(np.radians(dec)),
            "dec": dec,
            "pmra": np.r_[rng.normal(0, 4, field), rng.normal(7, 0.25, stream)],
            "pmdec": np.r_[rng.normal(-1, 4, field), rng.normal(5, 0.25, stream)],
            "parallax": rng.normal(0.1, 0.2, number),
            "parallax_error": np.full(number, 0.2),
            "phot_g_mean_mag": np.r_[20 - rng.exponential(1.5, field), rng.uniform(17, 20, stream)],
            "bp_rp": np.r_[rng.normal(1.0, 0.35, field), rng.normal(0.7, 0.05, stream)],
            "ruwe": rng.normal(1.0, 0.1, number),
        }
    )


@dataclass(frozen=True)
class Scanned:
    """The sky as a file and as a store, the configuration, and the finished run; nobody may change them."""

    csv: Path
    stream_ids: np.ndarray
    settings: Path
    config: Config
    store: Path
    run: Run


@pytest.fixture(scope="session")
def sky() -> Table:
    return small_sky()


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory, sky: Table) -> Scanned:
    root = tmp_path_factory.mktemp("scanned")
    csv, settings, store = root / "stars.csv", root / "settings.toml", root / "store"
    sky.write(csv)
    settings.write_text(SETTINGS)
    config = load_config(settings)
    import_files([csv], store)
    run = scan_job(store, root / "run", config)
    catalogue_job(run, config)
    return Scanned(csv, np.asarray(sky["source_id"][-STREAM_STARS:]), settings, config, store, run)


@pytest.fixture
def run_copy(scanned: Scanned, tmp_path: Path) -> Run:
    """The finished run again, to be damaged."""
    shutil.copytree(scanned.run.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture
def store_copy(scanned: Scanned, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scanned.store, tmp_path / "store"))


@pytest.fixture
def write_settings(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the shared settings with some text replaced, and more text after them."""

    def write(more: str = "", **replaced: str) -> Path:
        text = SETTINGS
        for old, new in replaced.items():
            lines = [line for line in text.splitlines() if line.startswith(f"{old} =")]
            assert len(lines) == 1, f"{old} is {len(lines)} times in the settings"
            text = text.replace(lines[0], f"{old} = {new}")
        path = tmp_path / "changed.toml"
        path.write_text(text + more)
        return path

    return write


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code and what it printed."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of an expected failure; fails where there is no such line, more, or a traceback."""
        lines = self.err.strip().splitlines()
        assert self.code not in (0, None), self
        assert len(lines) == 1 and lines[0].startswith("error: "), self
        assert "Traceback" not in self.out + self.err, self
        return lines[0]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """A function that runs the entry point in this process."""

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["via-machinae", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Outcome(stop.value.code or 0, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def program() -> str:
    """The installed program."""
    found = shutil.which("via-machinae", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.fail("via-machinae is not installed beside this Python; pip install -e .")
    return found


@pytest.fixture
def shell(program: str) -> Callable[..., Outcome]:
    """A function that runs the installed program in a process of its own."""

    def run(*words: object, **options: object) -> Outcome:
        done = subprocess.run(
            [program, *map(str, words)], capture_output=True, text=True, check=False, timeout=120, **options
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def differences() -> Callable[[StreamCatalog, StreamCatalog], list[str]]:
    """A function that names the columns in which two catalogues differ; NaN is equal to NaN."""

    def find(one: StreamCatalog, other: StreamCatalog) -> list[str]:
        found = []
        for part in ("candidates", "members"):
            first, second = getattr(one, part), getattr(other, part)
            if first.colnames != second.colnames or len(first) != len(second):
                found.append(f"{part}: {len(first)} and {len(second)} rows")
                continue
            found += [f"{part}.{name}" for name in first.colnames if not _equal(first[name], second[name])]
        return found

    return find


def _equal(one: Column, other: Column) -> bool:
    """Values of one kind, to the last bit, and their unit."""
    first, second = np.asarray(one), np.asarray(other)
    same = np.array_equal(first, second, equal_nan=first.dtype.kind == second.dtype.kind == "f")
    return same and one.unit == other.unit


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """A function that gives all files below a directory with their contents."""

    def read(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return read


@pytest.fixture(scope="session")
def scores_by_star() -> Callable[[Run], dict[tuple[str, int], bytes]]:
    """A function that gives the bits of every score of a run, by window and source_id."""

    def read(run: Run) -> dict[tuple[str, int], bytes]:
        found = {}
        for unit in run.units:
            if run.scores_path(unit).exists():
                with np.load(run.scores_path(unit)) as saved:
                    pairs = zip(saved["source_id"].tolist(), saved["log_ratio"], strict=True)
                    found |= {(unit.label, star): value.tobytes() for star, value in pairs}
        return found

    return read
