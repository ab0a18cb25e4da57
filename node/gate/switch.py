"""The stop switch: a file in the node's state. While it is there, nothing is answered."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.errors import ConfigurationError

FILE = "stopped.json"
_DAMAGED = "what was noted with it cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why the node is stopped, and since when (both may be lost; the stop holds)."""

    reason: str = ""
    since: str = ""

    def __str__(self) -> str:
        """Give a clause: `since ...: reason`."""
        return ": ".join(
            part for part in (self.since and f"since {self.since}", self.reason) if part
        )


class Switch:
    """The stop switch of one node.

    It is looked at before every step and before every message leaves, by reading the disk anew:
    it works on a running node and needs none. If in doubt the node is stopped: a file that cannot
    be read, or be looked for, stops it as well as one that can.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the folder: the node's state."""
        self._folder = folder
        self._path = folder / FILE

    def stopped(self) -> Stop | None:
        """Give the stop, or None while the node may work."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            return Stop(reason=_DAMAGED)
        try:
            said = json.loads(content)
            return Stop(reason=str(said["reason"])[:500], since=str(said["since"])[:40])
        except (ValueError, KeyError, TypeError, RecursionError):
            return Stop(reason=_DAMAGED)

    def stop(self, reason: str, *, now: datetime) -> None:
        """Stop the node; it holds when this returns, also over a crash of the machine.

        Raises:
            ConfigurationError: it cannot be written.
        """
        try:
            # The empty file stops already, and needs no free block on a full disk.
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._sync()
            self._write(json.dumps({"reason": reason, "since": now.isoformat(timespec="seconds")}))
        except OSError as error:
            if self.stopped() is None:
                raise ConfigurationError(
                    f"{self._path} cannot be written: {error.strerror}",
                    hint="Stop the node's process instead, and keep it from being started.",
                ) from None

    def resume(self) -> bool:
        """Let the node work again; give whether it was stopped.

        Raises:
            ConfigurationError: the file cannot be removed.
        """
        try:
            self._path.unlink()
            self._sync()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be removed: {error.strerror}") from None
        return True

    def _write(self, text: str) -> None:
        handle, fresh = tempfile.mkstemp(dir=self._folder, prefix=f".{FILE}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(fresh).replace(self._path)
        except BaseException:  # an interrupt too: no half-written file may stay
            with contextlib.suppress(OSError):
                Path(fresh).unlink()
            raise
        self._sync()

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
