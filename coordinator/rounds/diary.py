"""A run's status: kept in the database, shown on the board, and neither ahead of the other."""

import dataclasses
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine

from coordinator.rounds.board import Board
from coordinator.rounds.settings import RunSettings
from coordinator.store import runs
from coordinator.store.database import writing
from models.errors import StorageError
from models.governance.states import RunState
from models.governance.views import RunStatus

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST = 2000


class Stopped(Exception):  # noqa: N818 - not an error: a person stopped the run
    """The run is to end as stopped."""


class Left(Exception):  # noqa: N818 - not an error: the coordinator goes down
    """The run's thread is to end and the run to be resumed later."""


class Halt:
    """How a run is interrupted from outside."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._leave = False
        self._obeyed = False

    def stop(self) -> None:
        """Have the run end as stopped."""
        self._event.set()

    def leave(self) -> None:
        """Have the run's thread end without changing the run."""
        self._leave = True
        self._event.set()

    def obey(self) -> None:
        """Take note that the run is being stopped: `check` and `pause` no longer raise for it."""
        self._obeyed = True
        if not self._leave:
            self._event.clear()

    def check(self) -> None:
        """Raise `Left` or `Stopped` if the run was interrupted."""
        self.pause(0.0)

    def pause(self, seconds: float) -> None:
        """Wait; raise `Left` or `Stopped` as soon as the run is interrupted."""
        if self._event.wait(seconds):
            if self._leave:
                raise Left
            if not self._obeyed:
                raise Stopped


class Diary:
    """The status of one run, written by the run's thread alone."""

    def __init__(
        self,
        *,
        status: RunStatus,
        database: Engine,
        board: Board,
        halt: Halt,
        settings: RunSettings,
        clock: Callable[[], datetime],
        releases: int = 1,
    ) -> None:
        """Keep where the status is written; `releases`: how many runs of the study may finish."""
        self._releases = releases
        self._status = status
        self._database = database
        self._board = board
        self._halt = halt
        self._settings = settings
        self._clock = clock
        board.show(status)

    @property
    def status(self) -> RunStatus:
        """Give the status as it was last kept."""
        return self._status

    def note(
        self,
        state: RunState,
        message: str = "",
        *,
        also: Callable[[Connection], None] | None = None,
        rounds_done: int | None = None,
        rounds_total: int | None = None,
        departments: tuple[str, ...] | None = None,
    ) -> None:
        """Keep a new status, together with what `also` writes, or try until it can be kept.

        Raises:
            Stopped, Left: the run was interrupted meanwhile; nothing was kept.
        """
        now = self._status
        status = dataclasses.replace(
            now,
            state=state,
            message=message[:_LONGEST],
            rounds_done=now.rounds_done if rounds_done is None else rounds_done,
            rounds_total=now.rounds_total if rounds_total is None else rounds_total,
            departments=now.departments if departments is None else departments,
            updated_at=self._clock(),
        )

        def write() -> None:
            with writing(self._database) as connection:
                runs.change(connection, status, releases=self._releases)
                if also is not None:
                    also(connection)

        self.insist(write)
        self._status = status
        self._board.show(status)

    def mention(self, message: str) -> None:
        """Change the message, if it is another one."""
        if message[:_LONGEST] != self._status.message:
            self.note(self._status.state, message)

    def insist(self, work: Callable[[], T]) -> T:
        """Give what `work` gives, trying again as long as the database fails.

        What the run has in memory is kept meanwhile, and the board says why it waits.

        Raises:
            Stopped, Left: the run was interrupted meanwhile.
        """
        failed = False
        while True:
            try:
                result = work()
            except StorageError as error:
                if not failed:
                    _log.warning("run %s: %s", self._status.run_id, error.message)
                failed = True
                self._show_trouble(error)
                self._halt.pause(self._settings.storage_seconds)
            else:
                if failed:
                    self._board.show(self._status)
                return result

    def _show_trouble(self, error: StorageError) -> None:
        message = f"the coordinator's database cannot be used: {error.message}"
        trouble = dataclasses.replace(
            self._status, state=RunState.WAITING, message=message, updated_at=self._clock()
        )
        self._board.show(trouble)
