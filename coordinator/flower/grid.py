"""The nodes' open streams as a Flower grid: strategies run on it as on Flower's own.

One grid per run, with a fixed cohort. The streams come and go from the threads of the gRPC
server (`attach`, `accept`, `detach`); the run's own thread pushes messages, waits and pulls.
Execution is at least once: whatever is unanswered is sent again when its node comes back.
"""

import enum
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.supercore.run import Run

from coordinator.flower.exchange import Exchange
from coordinator.flower.wire import Letter, pack, unpack
from models.errors import ProtocolViolationError, RefusedError

_log = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why a line ended."""

    LOST = "the stream was lost"
    REPLACED = "a newer stream of the same node took over"
    CLOSED = "the run needs the node no longer"
    GARBLED = "an answer broke the protocol"


class Line:
    """The letters for one node on one open stream.

    It holds their ids alone: what nobody waits for any more is neither sent nor kept, however
    long the node is silent. `find` gives the letter of an id, or None.
    """

    def __init__(self, find: Callable[[str], Letter | None]) -> None:
        self._find = find
        self._letters: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending | None:
        """Give why the line ended, or None while it is open."""
        return self._ending

    def send(self, letter: Letter) -> None:
        """Queue a letter."""
        self._letters.put(letter.message_id)

    def end(self, ending: Ending) -> None:
        """End the line and wake whoever waits in `take`; the first reason stays."""
        self._ending = self._ending or ending
        self._letters.put(None)

    def take(self, *, seconds: float) -> Letter | None:
        """Give the next letter; None if none came in time, it is stale, or the line has ended."""
        if self._ending is not None:
            return None
        try:
            message_id = self._letters.get(timeout=seconds)
        except queue.Empty:
            return None
        return None if message_id is None else self._find(message_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Who is there.

    Attributes:
        absent: seconds without a stream, per department that has none.
        said: how many answers each department has sent, wanted or not.
        change: what `StreamGrid.wait` is to be given.
    """

    absent: Mapping[str, float]
    said: Mapping[str, int]
    change: int


class StreamGrid(Exchange):
    """A run's cohort as Flower sees it.

    Args:
        run_id: stamped on every message.
        nodes: the node id of each department of the cohort, from the coordinator's register.
        limit: the largest answer in bytes that a stream may carry.
    """

    def __init__(self, *, run_id: int, nodes: Mapping[str, int], limit: int) -> None:
        self._run = Run.create_empty(run_id)
        self._nodes = dict(nodes)
        self.limit = limit
        self._changed = threading.Condition()
        self._changes = 0
        self._closed = False
        self._lines: dict[int, Line] = {}
        self._absent_since = dict.fromkeys(self._nodes.values(), time.monotonic())
        self._left_out: set[int] = set()
        self._said = dict.fromkeys(self._nodes, 0)
        self._sent: dict[str, Letter] = {}
        self._replies: dict[str, Message | None] = {}  # None: garbled

    # --- the nodes' side: called by the threads that hold the streams ---

    def attach(self, department: str) -> Line:
        """Give the line of a node's new stream; an older one of the same node ends.

        Raises:
            RefusedError: the department is not in the cohort, or the run is over.
        """
        node_id = self._nodes.get(department)
        with self._changed:
            if node_id is None or self._closed:
                raise RefusedError(f"this run is not assigned to {department} now")
            older, line = self._lines.get(node_id), Line(self._letter)
            self._lines[node_id] = line
            self._absent_since.pop(node_id, None)
            for letter in self._sent.values():
                if letter.node_id == node_id:
                    line.send(letter)
            self._bump()
        if older is not None:
            older.end(Ending.REPLACED)
        return line

    def detach(self, department: str, line: Line) -> None:
        """End a stream's line; the node is absent unless a newer stream has replaced it."""
        line.end(Ending.LOST)
        node_id = self._nodes[department]
        with self._changed:
            if self._lines.get(node_id) is line:
                del self._lines[node_id]
                self._absent_since[node_id] = time.monotonic()
                self._bump()

    def accept(self, department: str, message_id: str, data: bytes) -> None:
        """Take an answer from a node's stream; a late, repeated or foreign one is dropped.

        Raises:
            ProtocolViolationError: the bytes are not an answer; the stream should end. The
                message counts as answered, since the node would only say the same again.
        """
        node_id = self._nodes[department]
        if not self._awaits(message_id, department):
            _log.info("run %s: dropped an answer of %s", self._run.run_id, department)
            return
        try:
            reply = unpack(data)  # may be large: not under the lock
        except ProtocolViolationError:
            self._settle(message_id, None)
            raise
        to, source = reply.metadata.reply_to_message_id, reply.metadata.src_node_id
        if to != message_id or source != node_id:
            _log.warning("run %s: %s answered for another", self._run.run_id, department)
            return
        self._settle(message_id, reply)

    def _settle(self, message_id: str, reply: Message | None) -> None:
        with self._changed:
            if self._sent.pop(message_id, None) is not None:
                self._replies[message_id] = reply
                self._bump()

    def _awaits(self, message_id: str, department: str) -> bool:
        """Tell whether an answer of the department to that message is still wanted."""
        with self._changed:
            self._said[department] += 1
            sent = self._sent.get(message_id)
            return sent is not None and sent.node_id == self._nodes[department]

    def _letter(self, message_id: str) -> Letter | None:
        with self._changed:
            return self._sent.get(message_id)

    # --- the run's side ---

    def standing(self) -> Standing:
        """Give who has a stream now, who has not, and for how long."""
        now = time.monotonic()
        with self._changed:
            absent = {
                department: now - self._absent_since[node_id]
                for department, node_id in self._nodes.items()
                if node_id in self._absent_since
            }
            return Standing(absent=absent, said={**self._said}, change=self._changes)

    def wait(self, *, change: int, seconds: float) -> None:
        """Return when something changed since `change` (of `standing`), or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != change, timeout=seconds)

    def wake(self) -> None:
        """Make `wait` return, as if something had changed."""
        with self._changed:
            self._bump()

    def leave_out(self, department: str) -> None:
        """Ask this department no more in this run."""
        with self._changed:
            self._left_out.add(self._nodes[department])
            self._bump()

    def take(self, message_ids: Iterable[str]) -> dict[str, Message | None]:
        """Give the answers that have come to these messages, each once; None: a garbled one."""
        with self._changed:
            return {i: self._replies.pop(i) for i in message_ids if i in self._replies}

    def forget(self, message_ids: Iterable[str]) -> None:
        """Await these messages no longer; answers that still come are dropped."""
        with self._changed:
            for message_id in message_ids:
                self._sent.pop(message_id, None)
                self._replies.pop(message_id, None)

    def close(self) -> None:
        """End every stream and take no new one."""
        with self._changed:
            self._closed = True
            lines = tuple(self._lines.values())
            self._sent.clear()
            self._bump()
        for line in lines:
            line.end(Ending.CLOSED)

    def _bump(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    # --- Flower's side: what strategies call ---

    @property
    def run(self) -> Run:
        """Give the run, as Flower describes it."""
        return self._run

    def get_node_ids(self) -> Iterable[int]:
        """Give the cohort without the departments left out, connected or not, in order."""
        with self._changed:
            return sorted(set(self._nodes.values()) - self._left_out)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages, now or when their nodes connect; give their ids in the same order."""
        named = [(uuid.uuid4().hex, message) for message in messages]
        letters = pack(named, run_id=self._run.run_id)  # not under the lock either
        with self._changed:
            for letter in letters:
                self._sent[letter.message_id] = letter
                if (line := self._lines.get(letter.node_id)) is not None:
                    line.send(letter)
        return [message_id for message_id, _ in named]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Give the answers that have come to these messages; each is given once."""
        return [reply for reply in self.take(message_ids).values() if reply is not None]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Give the answers to messages, in their order; an error for each that did not come."""
        asked = tuple(messages)
        ids = self.push_messages(asked)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not any(i in self._sent for i in ids), timeout=timeout
            )
        came = self.take(ids)
        self.forget(ids)
        late = Error(ErrorCode.NODE_UNAVAILABLE, "no answer in time")
        return [
            came.get(message_id) or Message(late, reply_to=message)
            for message_id, message in zip(ids, asked, strict=True)
        ]
