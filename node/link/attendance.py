"""The node's place in the fleet: attend, be told, come back after every break, for ever."""

import threading
from collections.abc import Callable
from typing import Protocol

from models.errors import DatalabbetError
from models.governance.views import Notice
from node import telemetry
from node.link.coordinator import Coordinator, connect
from node.link.keyring import Credentials
from node.link.retry import Backoff


class Duties(Protocol):
    """What the node does when it is told something."""

    def arrived(self, coordinator: Coordinator) -> None:
        """The coordinator answers on a new connection."""
        ...

    def noticed(self, notice: Notice, coordinator: Coordinator) -> bool:
        """All that is asked now. True asks for a new connection (the certificate is fresh)."""
        ...


class Attendance:
    """Holds the one connection of the node, and the stream of notices on it."""

    def __init__(
        self,
        *,
        credentials: Callable[[], Credentials],
        address: str | None,
        software: str,
        backoff: Backoff,
        stop: threading.Event,
    ) -> None:
        """Keep what is needed; `credentials` is asked anew for every connection."""
        self._credentials = credentials
        self._address = address
        self._software = software
        self._backoff = backoff
        self._stop = stop
        self._lock = threading.Lock()
        self._coordinator: Coordinator | None = None
        self._cancel: Callable[[], object] | None = None

    def connection(self) -> Coordinator:
        """Give the present connection, made now if there is none; for other threads too."""
        with self._lock:
            if self._coordinator is None:
                self._coordinator = connect(self._credentials(), address=self._address)
            return self._coordinator

    def run(self, duties: Duties) -> None:
        """Attend until `stop` is set."""
        while not self._stop.is_set():
            try:
                again = self._attend(duties)
            except DatalabbetError as error:
                if not self._stop.is_set():
                    telemetry.failed("the connection to the coordinator ended", error)
                again = False
            except Exception as error:  # noqa: BLE001 - whatever it was, the node must come back
                telemetry.failed("attending failed", error)
                again = False
            if again:
                self._renew()
            else:
                self._stop.wait(self._backoff.next())
        self._renew()

    def interrupt(self) -> None:
        """End the present stream of notices."""
        with self._lock:
            if self._cancel is not None:
                self._cancel()

    def _renew(self) -> None:
        """Close the connection; the next one is made with the credentials on disk."""
        with self._lock:
            old, self._coordinator = self._coordinator, None
        if old is not None:
            old.close()

    def _attend(self, duties: Duties) -> bool:
        coordinator = self.connection()
        notices = coordinator.attend(self._software)
        with self._lock:
            self._cancel = notices.cancel
        try:
            if self._stop.is_set():  # it was set before there was anything to cancel
                return False
            first = True
            for notice in notices:
                if self._stop.is_set():
                    return False
                if first:
                    self._backoff.reset()
                    telemetry.log("connected to the coordinator")
                    duties.arrived(coordinator)
                    first = False
                if duties.noticed(notice, coordinator):
                    return True
            return False
        finally:
            with self._lock:
                self._cancel = None
            notices.cancel()
