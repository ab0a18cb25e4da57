"""The folder that a node lives in, and the lock that keeps two processes out of it.

node.toml      settings
datasets/      the declarations, one YAML file per dataset
state/         keys, certificate, node.db; mode 0700
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigurationError
from models.ledger.limits import Limits
from models.linkage.identity import Admission, Mode
from models.quantities import Delta, Epsilon
from node import config
from node.config import Settings
from node.link.keyring import Keyring
from node.shelf import Shelf


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

    def shelf(self) -> Shelf:
        """Give the declared datasets. Raises as `admission`; reading them as `Shelf`."""
        return Shelf(self.datasets, admission=self.admission())

    def admission(self) -> Admission:
        """Give which personal numbers the node takes.

        Raises:
            ConfigurationError: the list of test numbers cannot be read.
        """
        file = self.settings.test_numbers
        numbers = frozenset[str]() if file is None else _numbers(self.path / file)
        return Admission(mode=self.settings.mode, test_numbers=numbers)

    def limits(self) -> Limits:
        """Give how much all studies on one population may add up to."""
        settings = self.settings
        return Limits(
            per_year=Epsilon(settings.epsilon_per_year),
            total=Epsilon(settings.epsilon_total),
            delta=Delta(settings.limits_delta),
        )

    def keyring(self) -> Keyring:
        """Give the keys. Raises as `Keyring`."""
        return Keyring(self.state)


def _numbers(path: Path) -> frozenset[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    known = isinstance(found, list) and all(
        isinstance(item, str) and re.fullmatch(r"[0-9]{12}", item) for item in found
    )
    if not known:
        raise ConfigurationError(
            f"{path} (test_numbers) is not a list of test numbers",
            hint='It must be JSON: a list of texts of twelve digits, such as ["189001019802"].',
        )
    return frozenset(found)


def create(path: Path, *, mode: Mode | None = None) -> tuple[Path, ...]:
    """Make a home (or what it lacks) and give what was made.

    Args:
        path: its folder.
        mode: of the node; None leaves a home as it is, and makes a new one for production.

    Raises:
        ConfigurationError: it cannot be made, or is there already in another mode.
    """
    made: list[Path] = []
    try:
        folders = {path: 0o750, path / "datasets": 0o750, path / "state": 0o700}
        for folder, permissions in folders.items():
            if not folder.is_dir():
                folder.mkdir(mode=permissions, parents=True)
                made.append(folder)
        file = path / config.FILE
        if not file.exists():
            file.write_text(config.template(mode or Mode.PRODUCTION), encoding="utf-8")
            made.append(file)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be made: {error.strerror}", hint="Choose another folder with --home."
        ) from None
    if mode is not None and (own := config.load(path).mode) is not mode:
        raise ConfigurationError(
            f"{path / config.FILE} is there already, and says mode {own}",
            hint=f'Make another home with --home, or write mode = "{mode}" in that file.',
        )
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
