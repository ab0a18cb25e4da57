"""A coordinator's home: its settings, its authority, its database, and the lock on it."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from coordinator import config
from coordinator.config import Settings
from coordinator.fleet.authority import Authority
from coordinator.fleet.enrolment import Enrolment
from coordinator.store import database
from models import documents
from models.errors import ConfigurationError, StorageError, UsageError
from models.randomness import Entropy

_log = logging.getLogger(__name__)
_ADDRESSES = "listening.json"
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - read, not listened at


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a coordinator is given from outside: its home, settings, time and randomness."""

    home: Path
    settings: Settings
    clock: Callable[[], datetime]
    entropy: Entropy

    @property
    def state(self) -> Path:
        """Give the folder that only the coordinator writes."""
        return config.state_folder(self.home)


def initialise(around: Surroundings) -> Authority:
    """Make the authority and the database of a home whose settings file is there.

    Raises:
        ConfigurationError: it has them already, or cannot be written.
        StorageError: the database cannot be made.
    """
    make_state(around.home)
    open_migrated(around).dispose()
    return Authority.create(around.state / "authority", now=around.clock(), entropy=around.entropy)


def write_settings(home: Path, chosen: Mapping[str, str | list[str]]) -> None:
    """Write the settings file with what was chosen and an explanation of all the rest.

    Raises:
        ConfigurationError: there is one already, or the home cannot be written.
    """
    make_state(home)
    path = home / config.FILE
    # Strings and lists of strings are written alike in JSON and in TOML.
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.items())
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{config.TEMPLATE}\n{lines}" if lines else config.TEMPLATE)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already", hint="Edit it; each home is initialised once."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


def make_state(home: Path) -> None:
    """Make the home and the folder that only the coordinator writes, if they are not there.

    Raises:
        ConfigurationError: they cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        config.state_folder(home).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{home} cannot be written: {error.strerror}") from None


def open_authority(around: Surroundings) -> Authority:
    """Give the home's authority.

    Raises:
        ConfigurationError: the home was not initialised, or is damaged.
    """
    return Authority.load(around.state / "authority")


def open_migrated(around: Surroundings) -> Engine:
    """Give the database with its tables up to date, waiting for a server that is not up yet.

    Raises:
        StorageError: it did not come up in time.
    """
    engine = database.open_database(around.settings.database_url(around.home))
    end = time.monotonic() + around.settings.database_wait
    while True:
        try:
            database.migrate(engine)
        except StorageError as error:
            if engine.dialect.name == "sqlite" or time.monotonic() >= end:
                engine.dispose()
                raise
            _log.warning("waiting for the database: %s", error.message)
            time.sleep(1.0)
        else:
            return engine


def open_enrolment(around: Surroundings, *, engine: Engine, authority: Authority) -> Enrolment:
    """Give what admits and dismisses members."""
    return Enrolment(
        engine=engine,
        authority=authority,
        entropy=around.entropy,
        clock=around.clock,
        validity=timedelta(days=around.settings.certificate_days),
    )


class HomeLock:
    """Keeps a second coordinator out of a home: it would run every run a second time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lock; the system gives it back when the process ends, however it ends.

        Raises:
            ConfigurationError: another process holds it.
        """
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise ConfigurationError(
                f"another coordinator runs in {self._path.parent.parent}",
                hint="Stop it first; one home has one coordinator.",
            ) from None

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a coordinator listens (`host:port`)."""

    main: str
    enrolment: str


def write_addresses(around: Surroundings, *, main: str, enrolment: str) -> None:
    """Note where the running coordinator listens: with port 0 only it knows."""
    content = json.dumps({"main": main, "enrolment": enrolment})
    (around.state / _ADDRESSES).write_text(content, encoding="utf-8")


def remove_addresses(around: Surroundings) -> None:
    """Remove the note."""
    (around.state / _ADDRESSES).unlink(missing_ok=True)


def reachable(around: Surroundings) -> Listening:
    """Give where the coordinator can be reached from its own machine."""
    try:
        text = (around.state / _ADDRESSES).read_text(encoding="utf-8")
        found = documents.read(Listening, json.loads(text), what=_ADDRESSES)
    except (OSError, ValueError, UsageError):
        found = Listening(main=around.settings.listen, enrolment=around.settings.enrol_listen)
    return Listening(main=_from_here(found.main), enrolment=_from_here(found.enrolment))


def _from_here(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{_LOOPBACK.get(host, host)}:{port}"
