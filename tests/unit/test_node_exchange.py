"""A run's worker and its stream at the node end together."""

import threading
from collections.abc import Iterator

import pytest
from scripted import ScriptedEntropy

from node.link.coordinator import Letter
from node.link.exchange import Exchange
from node.link.retry import Backoff


class Stream:
    """Gives one message, then stays open until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def __iter__(self) -> Iterator[Letter]:
        yield Letter(message_id="a" * 32, data=b"")
        self.cancelled.wait(20)

    def cancel(self) -> None:
        self.cancelled.set()


class Broken:
    """Work that fails in a way that nobody foresaw."""

    limit = 100

    def answer(self, data: bytes) -> bytes:
        raise MemoryError

    def close(self) -> None: ...


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_stream_ends_with_its_worker() -> None:
    streams: list[Stream] = []

    class Connection:
        def exchange(self, *_: object, **__: object) -> Stream:
            streams.append(Stream())
            return streams[-1]

    exchange = Exchange(
        7,
        prepare=Broken,
        connection=Connection,
        backoff=Backoff(entropy=ScriptedEntropy(1)),
    )
    exchange.start()
    exchange.join(10)
    assert not exchange.alive
    assert streams[0].cancelled.wait(10)
    assert len(streams) == 1
