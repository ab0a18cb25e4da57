"""Where every run that goes on stands right now, for those who watch."""

import threading
from collections.abc import Callable, Iterator

from models.governance.states import ended
from models.governance.views import RunStatus


class Board:
    """The newest status of each run of this process; every method is safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shown: dict[int, RunStatus] = {}
        self._closed = False

    def show(self, status: RunStatus) -> None:
        """Put up a run's newest status; one that has ended stays as it is."""
        with self._changed:
            before = self._shown.get(status.run_id)
            if before is None or not ended(before.state):
                self._shown[status.run_id] = status
                self._changed.notify_all()

    def get(self, run_id: int) -> RunStatus | None:
        """Give the newest status of a run, or None if this process has not moved it."""
        with self._changed:
            return self._shown.get(run_id)

    def watch(
        self, run_id: int, *, active: Callable[[], bool], seconds: float
    ) -> Iterator[RunStatus]:
        """Give a run's status at once and after each change, until it ends.

        Whoever is slow misses what was between, never the last. `active` is asked every
        `seconds` whether anybody still listens.
        """
        told: RunStatus | None = None
        while active():
            with self._changed:
                status = self._shown.get(run_id)
                if status is None or self._closed:
                    return
                if status == told:
                    self._changed.wait(seconds)
                    continue
            told = status
            yield status
            if ended(status.state):
                return

    def close(self) -> None:
        """Let all who watch go: the coordinator is going down."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
