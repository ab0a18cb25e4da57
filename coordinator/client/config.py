"""What the client takes from its surroundings: the profile's place, the clock, the terminal."""

import os
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

VARIABLE = "DATALABBET_PROFILE"
"""The environment variable that names the profile folder."""


def profile_folder(given: Path | None = None) -> Path:
    """Give the profile folder: the given one, else `DATALABBET_PROFILE`, else the user's own."""
    if given is not None:
        return given.expanduser()
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".config" / "datalabbet"


def now() -> datetime:
    """Give the present time."""
    return datetime.now(tz=UTC)


def version() -> str:
    """Give the installed version."""
    return metadata.version("datalabbet")
