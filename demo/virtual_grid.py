"""Flower's own grid of a simulation, as a run asks for it: a few messages at a time."""

import itertools
from collections import deque
from collections.abc import Iterable
from typing import NoReturn

from flwr.app import Message
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from coordinator.flower.exchange import Exchange
from models.errors import RunFailedError


class VirtualGrid(Exchange):
    """The virtual nodes of Flower's simulation runtime.

    That runtime looks through every message it holds, for every node, ten times a second: with
    1,000 messages for 1,000 nodes it does little else. So it gets `window` messages at a time.

    A department that fails ends the simulation: nothing is to be learned from a part of it.
    """

    def __init__(self, inner: Grid, *, window: int) -> None:
        self._inner = inner
        self._window = window
        self._numbers = itertools.count(1)
        self._waiting: deque[tuple[str, Message]] = deque()
        self._sent: dict[str, str] = {}  # Flower's id of a message to ours
        self._answers: dict[str, Message] = {}

    @property
    def run(self) -> Run:
        """Give the run, as Flower describes it."""
        return self._inner.run

    def get_node_ids(self) -> Iterable[int]:
        """Give the virtual nodes, in order."""
        return sorted(self._inner.get_node_ids())

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages, some of them later; give their ids in the same order."""
        named = [(str(next(self._numbers)), message) for message in messages]
        self._waiting.extend(named)
        self._refill()
        return [message_id for message_id, _ in named]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Give the answers that have come to these messages; each is given once."""
        return [reply for reply in self.take(message_ids).values() if reply is not None]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> NoReturn:
        """Refuse: a simulation takes answers as they come."""
        raise NotImplementedError("answers are taken as they come")

    def take(self, message_ids: Iterable[str]) -> dict[str, Message | None]:
        """Give the answers that have come to these messages, each once.

        Raises:
            RunFailedError: a department failed.
        """
        if self._sent:
            for message in self._inner.pull_messages(tuple(self._sent)):
                if message.has_error():
                    raise RunFailedError(f"a virtual department failed: {message.error.reason}")
                self._answers[self._sent.pop(message.metadata.reply_to_message_id)] = message
        self._refill()
        return {i: self._answers.pop(i) for i in message_ids if i in self._answers}

    def forget(self, message_ids: Iterable[str]) -> None:
        """Do nothing: a simulation awaits every answer."""

    def _refill(self) -> None:
        room = min(self._window - len(self._sent), len(self._waiting))
        named = [self._waiting.popleft() for _ in range(room)]
        ids = self._inner.push_messages([message for _, message in named])
        self._sent |= dict(zip(ids, (name for name, _ in named), strict=True))
