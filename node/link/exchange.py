"""One run's stream at the node: it comes and goes, the work goes on.

Messages are worked on one after the other in a thread of their own, so that the stream can
end, or be replaced, meanwhile. An answer goes out on whichever stream is open then; if none
is, it is asked for again and answered from the ledger.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from models.errors import DatalabbetError, ProtocolViolationError
from node import telemetry
from node.link.coordinator import Coordinator, Letter
from node.link.retry import Backoff


class Answering(Protocol):
    """What a run does with messages."""

    @property
    def limit(self) -> int:
        """Give the most bytes a message may have."""
        ...

    def answer(self, data: bytes) -> bytes:
        """Give the reply to a message.

        Raises:
            ProtocolViolationError: there is nothing to answer.
        """
        ...

    def close(self) -> None:
        """Remove what was prepared."""
        ...


class Exchange:
    """The data plane of one run at one node."""

    def __init__(
        self,
        run_id: int,
        *,
        prepare: Callable[[], Answering],
        connection: Callable[[], Coordinator],
        backoff: Backoff,
    ) -> None:
        """Keep what is needed; `prepare` is called in the worker's thread, before the stream."""
        self._run = run_id
        self._prepare = prepare
        self._connection = connection
        self._backoff = backoff
        self._stop = threading.Event()
        self._inbox: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._outbox: queue.SimpleQueue[Letter | None] | None = None
        self._cancel: Callable[[], object] | None = None
        self._worker = threading.Thread(target=self._work, name=f"run-{run_id}-work", daemon=True)

    def start(self) -> None:
        """Begin: prepare, open the stream, answer."""
        self._worker.start()

    @property
    def alive(self) -> bool:
        """Tell whether it works; False after it could not prepare, or has stopped."""
        return self._worker.is_alive()

    def stop(self) -> None:
        """End the stream, and the work after the step at hand. Does not wait."""
        self._stop.set()
        self._inbox.put(None)
        self.interrupt()

    def interrupt(self) -> None:
        """End the present stream; a new one is opened unless `stop` was called."""
        with self._lock:
            if self._cancel is not None:
                self._cancel()

    def join(self, seconds: float) -> None:
        """Wait until the work has ended, at most `seconds`."""
        self._worker.join(seconds)

    def _work(self) -> None:
        try:
            answering = self._prepare()
        except Exception as error:  # noqa: BLE001 - a thread's last line: nobody else hears it
            telemetry.failed("a run could not be prepared", error, run=self._run)
            return
        reader = threading.Thread(
            target=self._read, args=(answering.limit,), name=f"run-{self._run}-read", daemon=True
        )
        reader.start()
        try:
            while (letter := self._inbox.get()) is not None and not self._stop.is_set():
                self._answer(answering, letter)
        finally:
            # Without a worker nobody answers: the stream must not stay in a later worker's place.
            self._stop.set()
            self.interrupt()
            answering.close()

    def _answer(self, answering: Answering, letter: Letter) -> None:
        try:
            reply = answering.answer(letter.data)
        except ProtocolViolationError as error:
            telemetry.failed("a message was dropped", error, run=self._run)
            return
        with self._lock:
            if self._outbox is not None:
                self._outbox.put(Letter(message_id=letter.message_id, data=reply))

    def _read(self, limit: int) -> None:
        while not self._stop.is_set():
            try:
                self._stream(limit)
            except DatalabbetError as error:
                if not self._stop.is_set():
                    telemetry.failed("a run's stream ended", error, run=self._run)
            except Exception as error:  # noqa: BLE001 - whatever it was, the run must go on
                telemetry.failed("a run's stream failed", error, run=self._run)
            self._stop.wait(self._backoff.next())

    def _stream(self, limit: int) -> None:
        outbox: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()

        def outgoing() -> Iterator[Letter]:
            while (letter := outbox.get()) is not None:
                yield letter

        letters = self._connection().exchange(self._run, outgoing=outgoing(), limit=limit)
        with self._lock:
            self._outbox, self._cancel = outbox, letters.cancel
        try:
            if self._stop.is_set():
                return
            for letter in letters:
                self._backoff.reset()
                self._inbox.put(letter)
        finally:
            with self._lock:
                self._outbox = self._cancel = None
            outbox.put(None)
            letters.cancel()
