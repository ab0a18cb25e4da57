"""One question asked of several nodes at once, and what they said to it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from flwr.app import Message

from coordinator.flower.exchange import Exchange
from models.errors import ProtocolViolationError
from models.governance import answers
from models.governance.answers import Fault

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a question ended.

    Attributes:
        enough: whether enough departments answered; if not, asking the same again mends nothing.
        without: who did not answer and why, for people; empty: nobody.
        faults: what the departments said that did not do it.
    """

    enough: bool
    without: str
    faults: Mapping[str, Fault]


class Question(Generic[T]):
    """One step asked of several nodes.

    Attributes:
        answers: the checked answers, by department.
        faults: departments that said they did not do the step, and why.
        misfits: departments whose answer is not one to this question, and what is wrong with it.
    """

    def __init__(
        self,
        *,
        grid: Exchange,
        names: Mapping[int, str],
        messages: Iterable[Message],
        read: Callable[[str, Message], T],
    ) -> None:
        """Send the messages. `read` gives the checked answer of a department in its message.

        What `read` refuses with a `ProtocolViolationError` is a misfit.
        """
        self._grid = grid
        self._read = read
        self._messages = {names[m.metadata.dst_node_id]: m for m in messages}
        self._open = dict(
            zip(grid.push_messages(self._messages.values()), self._messages, strict=True)
        )
        self.answers: dict[str, T] = {}
        self.faults: dict[str, Fault] = {}
        self.misfits: dict[str, str] = {}

    def collect(self) -> None:
        """Take what has come in since the last call."""
        for message_id, message in self._grid.take(tuple(self._open)).items():
            department = self._open.pop(message_id)
            if message is not None and message.has_error():
                self.faults[department] = answers.read(message.error.reason or "")
                continue
            try:
                self.answers[department] = self._opened(department, message)
            except ProtocolViolationError as error:
                run = self._grid.run.run_id
                _log.warning("run %s: %s sent a misfit: %s", run, department, error.message)
                self.misfits[department] = error.message

    def _opened(self, department: str, message: Message | None) -> T:
        if message is None:
            raise ProtocolViolationError("what is not a message")
        return self._read(department, message)

    def again(self, department: str) -> None:
        """Ask a department that failed once more."""
        del self.faults[department]
        [message_id] = self._grid.push_messages([self._messages[department]])
        self._open[message_id] = department

    def close(self) -> None:
        """Wait for no further answers."""
        self._grid.forget(tuple(self._open))
