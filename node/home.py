"""The folder that a node lives in, and the lock that keeps two processes out of it.

node.toml      settings
datasets/      the declarations, one YAML file per dataset
state/         keys, certificate, node.db; mode 0700
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigurationError
from node import config
from node.config import Settings
from node.link.keyring import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A node's home with its settings."""

    path: Path
    settings: Settings

    @property
    def state(self) -> Path:
        """Give the folder of keys, certificate and database."""
        return self.path / "state"

    @property
    def database(self) -> Path:
        """Give the database of the ledger and the decisions."""
        return self.state / "node.db"

    @property
    def datasets(self) -> Path:
        """Give the folder of the declarations."""
        return self.path / self.settings.datasets

    def keyring(self) -> Keyring:
        """Give the keys. Raises as `Keyring`."""
        return Keyring(self.state)


def create(path: Path) -> tuple[Path, ...]:
    """Make a home (or what it lacks) and give what was made.

    Raises:
        ConfigurationError: it cannot be made.
    """
    made: list[Path] = []
    try:
        for folder, mode in ((path, 0o750), (path / "datasets", 0o750), (path / "state", 0o700)):
            if not folder.is_dir():
                folder.mkdir(mode=mode, parents=True)
                made.append(folder)
        file = path / config.FILE
        if not file.exists():
            file.write_text(config.TEMPLATE, encoding="utf-8")
            made.append(file)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be made: {error.strerror}", hint="Choose another folder with --home."
        ) from None
    return tuple(made)


def open_home(path: Path) -> Home:
    """Give the home in a folder.

    Raises:
        ConfigurationError: it is not one, or its settings are not valid.
    """
    if not (path / config.FILE).is_file():
        raise ConfigurationError(
            f"{path} is not a node's home", hint="Run `datalabbet-node --home DIR init` first."
        )
    return Home(path=path, settings=config.load(path))


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the node's lock, so that two processes never answer for one department.

    Raises:
        ConfigurationError: another process holds it.
    """
    handle = os.open(state / "run.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                "this node is running already", hint="Stop the other process first."
            ) from None
        yield
    finally:
        os.close(handle)


def running(state: Path) -> bool:
    """Tell whether a process runs the node whose state folder this is."""
    if not (state / "run.lock").exists():
        return False
    try:
        with alone(state):
            return False
    except ConfigurationError:
        return True
