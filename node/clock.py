"""How far this machine's clock is from the coordinator's, as the running node saw it last."""

import json
from datetime import timedelta
from pathlib import Path

from models.errors import ConfigurationError
from node.link.keyring import Keyring

SKEW = timedelta(seconds=30)
"""More than this apart is worth a warning."""

_FILE = "clock.json"


def note(keyring: Keyring, apart: timedelta) -> None:
    """Keep what was seen, for `doctor`."""
    keyring.write(_FILE, json.dumps({"seconds": apart.total_seconds()}).encode())


def read(state: Path) -> timedelta | None:
    """Give what was seen last, or None.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    path = state / _FILE
    if not path.exists():
        return None
    try:
        return timedelta(seconds=float(json.loads(path.read_bytes())["seconds"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise ConfigurationError(
            f"{path} is damaged", hint="Remove it; the node writes it anew."
        ) from None
