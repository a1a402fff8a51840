#!/usr/bin/env python3
"""A real Virtual-Observatory service on loopback: GAVO DaCHS over a private PostgreSQL, all in one folder.

Needs Debian packages (`service.py install`) and nothing outside the standard library but `gaia_table`, which
makes the rows. As root it runs PostgreSQL and DaCHS as the user `postgres`; else as whoever calls it. Two
services live side by side: each has its own folder and its own free ports.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from debian import ServiceError, install, missing, packages, programs

__all__ = ["HERE", "PATIENCE", "Service"]

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0
"""Seconds for a start or a stop: a busy machine may need many times what an idle one needs (1 s)."""

_GAVO = Path("/usr/lib/python3/dist-packages/gavo")
_DATABASE = """
listen_addresses = '127.0.0.1'
port = {database_port}
unix_socket_directories = ''
fsync = off
full_page_writes = off
jit = off
shared_buffers = 32MB
max_connections = 60
"""
_DACHS = """
[general]
rootDir: {state}/gavo
tempDir: {state}/gavo/tmp
cacheDir: {state}/gavo/cache
group: {group}
gavoGroup: {group}
maintainerAddress: nobody@localhost.invalid
[web]
bindAddress: 127.0.0.1
serverPort: {port}
serverURL: http://127.0.0.1:{port}
sitename: Loopback TAP for tests
user:
[async]
defaultMAXREC: {row_limit}
hardMAXREC: {row_limit}
maxTAPRunning: 4
"""


@dataclass(frozen=True)
class Service:
    """One service and its folder.

    Attributes:
        state: folder that holds everything: database, results, logs.
        port: of the service, on loopback.
        database_port: of PostgreSQL, on loopback.
        row_limit: rows after which every answer is cut (the service's MAXREC).
    """

    state: Path
    port: int
    database_port: int
    row_limit: int

    @classmethod
    def create(cls, state: Path, *, rows: int = 60_000, row_limit: int = 15_000, seed: int = 1) -> Service:
        """Make a folder with a database and the synthetic tables; about 6 s.

        Raises:
            ServiceError: software is missing, the folder exists, or a step failed.
        """
        if missing():
            raise ServiceError(missing())
        if state.exists() and any(state.iterdir()):
            raise ServiceError(f"{state} exists and is not empty: destroy it first, or name another folder")
        port, database_port = _free_ports()
        service = cls(state.resolve(), port, database_port, row_limit)
        service._make_folder(rows, seed)
        service._make_database()
        return service

    @classmethod
    def open(cls, state: Path) -> Service:
        """The service that `create` made in this folder."""
        settings = state / "settings.json"
        if not settings.exists():
            raise ServiceError(f"{state} holds no service: make one with `service.py init --state {state}`")
        return cls(state=state.resolve(), **json.loads(settings.read_text()))

    @property
    def url(self) -> str:
        """Of the TAP endpoint."""
        return f"http://127.0.0.1:{self.port}/tap"

    def start(self) -> str:
        """Start database and service where they are down, wait until they answer, and return the URL; 1 s."""
        self._start_database()
        if not self.running():
            with (self.state / "dachs.log").open("ab") as log:
                process = self._popen(["gavo", "serve", "start", "-f"], stdout=log, stderr=log)
            (self.state / "dachs.pid").write_text(str(process.pid))
        _wait_for(self.answers, f"{self.url}/availability; see {self.state / 'dachs.log'}", self.running)
        return self.url

    def stop(self) -> None:
        """Stop service, jobs and database."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            with suppress(ServiceError):
                _wait_for(lambda: not self._processes(), "the service to end", patience=5.0)
                break
        self.stop_database()

    def kill9(self) -> None:
        """Kill the service as the kernel would; the jobs that run already live on in their own processes."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        _wait_for(lambda: not self.running(), "the service to die")

    def stop_database(self) -> None:
        """Stop the database at once: every query under way breaks off."""
        if (self.state / "pg" / "postmaster.pid").exists():
            self._call([*self._pg_ctl, "-m", "immediate", "stop"], check=False)

    def destroy(self) -> None:
        """Stop everything and remove the folder."""
        if not self.state.exists():
            return
        self.stop()
        # A job that was killed a moment ago may still be writing its last file.
        for _ in range(3):
            shutil.rmtree(self.state, ignore_errors=True)
        if self.state.exists():
            raise ServiceError(f"{self.state} could not be removed")

    def running(self) -> bool:
        """Whether the process of the service is there."""
        file = self.state / "dachs.pid"
        return file.exists() and _alive(int(file.read_text()))

    def answers(self) -> bool:
        """Whether the service answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/availability", timeout=5) as reply:
                return b"available>true" in reply.read()
        except (OSError, urllib.error.URLError):
            return False

    def sql(self, statement: str) -> str:
        """What the database says to `statement`, past the service."""
        return self._psql(["-At", "-c", statement]).strip()

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """While the block runs, every query on `table` waits."""
        psql = self._popen(self._psql_words(["-At"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            psql.stdin.write(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
            psql.stdin.flush()
            if psql.stdout.readline().strip() != "locked":
                raise ServiceError(f"{table} could not be locked")
            yield
        finally:
            psql.communicate()

    def terminate_queries(self) -> int:
        """Cut the database connections of all queries under way, and say how many there were."""
        cut = self.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE usename = 'untrusted' AND state = 'active'"
        )
        return int(cut)

    def jobs(self) -> dict[str, str]:
        """Phase of every asynchronous job by its identifier."""
        listed = self.sql("SELECT jobid || ' ' || phase FROM tap_schema.tapjobs WHERE coalesce(pid, 2) > 1")
        return dict(line.split() for line in listed.splitlines())

    def abort(self, job: str) -> None:
        """What anybody who knows the job's identifier can do."""
        order = urllib.request.Request(f"{self.url}/async/{job}/phase", data=b"PHASE=ABORT")
        urllib.request.urlopen(order, timeout=PATIENCE).close()

    @property
    def _pg(self) -> str:
        return str(self.state / "pg")

    @property
    def _pg_ctl(self) -> list[str]:
        return [str(programs() / "pg_ctl"), "-D", self._pg, "-s"]

    def _make_folder(self, rows: int, seed: int) -> None:
        from gaia_table import write_tables

        self.state.mkdir(parents=True, exist_ok=True)
        ports = {"port": self.port, "database_port": self.database_port, "row_limit": self.row_limit}
        # First of all: from now on `open` finds it, so whatever goes wrong, it can be destroyed.
        (self.state / "settings.json").write_text(json.dumps(ports))
        (self.state / "bin").mkdir()
        # A checkout below a home directory is closed to the user who runs the service.
        wrapper = shutil.copy(HERE / "dachs_as_archive.py", self.state / "bin" / "gavo")
        os.chmod(wrapper, 0o755)
        write_tables(self.state / "tables", rows=rows, seed=seed)
        owner = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        group = subprocess.run(["id", "-gn", owner.pw_name], capture_output=True, text=True, check=True)
        fields = {**ports, "state": self.state, "group": group.stdout.strip()}
        (self.state / "gavo.rc").write_text(_DACHS.format(**fields))
        self.state.chmod(0o755)
        for path in (self.state, *self.state.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _make_database(self) -> None:
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-U", "owner"]
        self._call([str(programs() / "initdb"), "-D", self._pg, *options])
        with (self.state / "pg" / "postgresql.conf").open("a") as settings:
            settings.write(_DATABASE.format(database_port=self.database_port))
        self._start_database()
        self._psql(["-c", "CREATE DATABASE gavo ENCODING 'UTF8' TEMPLATE template0"], database="postgres")
        where = f"host=127.0.0.1 port={self.database_port} dbname=gavo user=owner"
        self._call(["gavo", "init", "-d", where])
        for folder in sorted((self.state / "tables").iterdir()):
            inputs = self.state / "gavo" / "inputs" / folder.name
            self._call(["cp", "-r", str(folder), str(inputs)])
            self._call(["gavo", "imp", f"{folder.name}/q"])
            for rows in sorted(folder.glob("*.csv")):
                copy = f"\\copy {folder.name}.{rows.stem} FROM '{rows}' WITH (FORMAT csv, HEADER)"
                self._psql(["-c", copy, "-c", f"ANALYZE {folder.name}.{rows.stem}"])

    def _start_database(self) -> None:
        if self._call([*self._pg_ctl, "status"], check=False).returncode != 0:
            log = str(self.state / "pg.log")
            self._call([*self._pg_ctl, "-w", "-t", str(int(PATIENCE)), "-l", log, "start"])

    def _psql(self, words: list[str], database: str = "gavo") -> str:
        return self._call(self._psql_words(words, database)).stdout

    def _psql_words(self, words: list[str], database: str = "gavo") -> list[str]:
        where = ["-h", "127.0.0.1", "-p", str(self.database_port), "-U", "owner", "-d", database]
        return [str(programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *where, *words]

    def _popen(self, words: list[str], **options: object) -> subprocess.Popen[str]:
        settings, path = self.state / "gavo.rc", f"{self.state / 'bin'}:/usr/bin:/bin"
        environment = {
            "HOME": str(self.state),
            "GAVOSETTINGS": str(settings),
            "LANG": "C.UTF-8",
            "PATH": path,
        }
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        # Not from PATH of the caller: a virtual environment's python knows no DaCHS.
        program = str(self.state / "bin" / words[0]) if words[0] == "gavo" else words[0]
        options = {"stdin": subprocess.DEVNULL, **user, **options}
        # In a session of its own: an interrupt from the keyboard is for the tests, not for the service.
        return subprocess.Popen(
            [program, *words[1:]], env=environment, cwd="/", text=True, start_new_session=True, **options
        )

    def _call(self, words: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        # Into a file: a daemon that is started keeps a pipe open, and we would wait for its end.
        with tempfile.TemporaryFile("w+") as output:
            code = self._popen(words, stdout=output, stderr=subprocess.STDOUT).wait(PATIENCE)
            output.seek(0)
            answer = subprocess.CompletedProcess(words, code, output.read())
        if check and code != 0:
            raise ServiceError(
                f"{' '.join(words[:3])} failed with code {code}: {answer.stdout.strip()[-2000:]}"
            )
        return answer

    def _pid(self) -> int | None:
        file = self.state / "dachs.pid"
        pid = int(file.read_text()) if file.exists() else -1
        return pid if pid in self._processes() else None

    def _processes(self) -> list[int]:
        """Of service and jobs, known by the settings file that their environment names."""
        mark = f"GAVOSETTINGS={self.state / 'gavo.rc'}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0") and _alive(int(folder.name)):
                    found.append(int(folder.name))
        return found


def _alive(pid: int) -> bool:
    """Whether the process is there and not a zombie, whose parent has yet to look at it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(
    condition: Callable[[], bool],
    what: str,
    alive: Callable[[], bool] = lambda: True,
    patience: float = PATIENCE,
) -> None:
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end or not alive():
            raise ServiceError(f"waited in vain for {what}")
        time.sleep(0.05)


def _guard(state: Path) -> None:
    """Destroy the service as soon as standard input ends: when its owner has died, however it died."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    if (state / "settings.json").exists():
        Service.open(state).destroy()
    elif state.exists():
        state.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = ["up", "install", "packages", "init", "start", "stop", "kill9", "status", "destroy", "guard"]
    parser.add_argument("action", choices=actions)
    parser.add_argument("--state", type=Path, default=Path(tempfile.gettempdir()) / "real-tap")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--row-limit", type=int, default=15_000)
    words = parser.parse_args()
    try:
        _act(words)
    except ServiceError as error:
        sys.exit(f"error: {error}")


def _act(words: argparse.Namespace) -> None:
    if words.action == "packages":
        print(" ".join(packages()))
    if words.action in ("install", "up"):
        install()
    new = not (words.state / "settings.json").exists()
    if words.action == "init" or (words.action == "up" and new):
        Service.create(words.state, rows=words.rows, row_limit=words.row_limit)
    if words.action in ("start", "up"):
        print(Service.open(words.state).start())
    if words.action == "status":
        service = Service.open(words.state)
        print(f"{service.url} {'answers' if service.answers() else 'is down'}")
    if words.action in ("stop", "kill9", "destroy"):
        getattr(Service.open(words.state), words.action)()
    if words.action == "guard":
        _guard(words.state)


if __name__ == "__main__":
    main()
