"""The messages of a run of a linked study, and what came back, read exactly.

The names are those of `protos.linked`; how an answer is read is `coordinator.flower.keyed`. What
is sealed stays as it is: the coordinator carries it and cannot open it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from flwr.app import Array, Message

from coordinator.flower.keyed import (
    KeyMessages,
    document,
    elements,
    octets,
    opened,
    raw,
    raw_elements,
)
from coordinator.flower.question import Question
from coordinator.flower.replies import ARRAYS
from models import documents
from models.errors import ProtocolViolationError
from models.governance.linked import LinkedStudy
from models.linkage.plan import TOTALS, plan
from models.replicated.messages import Begin, Begun, Box, Erased, Mix, Mixes, Seeds, Spine
from models.replicated.sealing import TAG
from models.replicated.sharing import Held
from protos import linked, sums

T = TypeVar("T")
Bodies = Mapping[str, bytes]
"""Of each department the sealed share 2."""

_ROOM = 65_536
_FIRST = 1
"""The server whose crossing part the coordinator reads; the other's is sealed for this one."""


class LinkedMessages(KeyMessages):
    """What is asked of departments and servers of one run, over their open streams.

    Args:
        study: what is asked.
        run_id: the run.
        nodes: the node id of each party.
    """

    def __init__(self, *, study: LinkedStudy, run_id: int, nodes: Mapping[str, int]) -> None:
        self._study = study
        self._plan = plan(study)
        self._crossed = sum(item.width for item in self._plan.layout.derived)
        super().__init__(study=study, run_id=run_id, nodes=nodes, limit=largest_answer(study))

    # --- before any record is opened ---

    def mix(self) -> Question[Mix]:
        """Ask the departments for their parts of the common secret, sealed for each other."""

        def read(name: str, message: Message) -> Mix:
            found = document(Mix, opened(message, {"mix"})["mix"], what="a mix")
            _addressed(found.boxes, set(self._study.departments) - {name})
            return found

        return self._ask(linked.MIX, self._study.departments, read=read)

    def spine(self, mixes: Mapping[str, Mixes]) -> Question[Spine]:
        """Ask each department how long its spine is, and for its digest."""

        def read(name: str, message: Message) -> Spine:
            del name
            found = document(Spine, opened(message, {"spine"})["spine"], what="a spine")
            _addressed(found.boxes, set(self._study.committee.names))
            return found

        each = {name: {"mixes": raw(documents.write(item))} for name, item in mixes.items()}
        return self._ask_each(linked.SPINE, each, read=read)

    def seeds(self) -> Question[Seeds]:
        """Ask the departments to charge, and for the seeds of their shares."""

        def read(name: str, message: Message) -> Seeds:
            del name
            found = document(Seeds, opened(message, {"seeds"})["seeds"], what="seeds")
            Held.at_coordinator(found)  # of the right length, or refused here
            _addressed(found.boxes, set(self._study.committee.names))
            return found

        return self._ask(linked.SEEDS, self._study.departments, read=read)

    def begin(self, each: Mapping[str, Begin], *, residents: int) -> Question[Begun]:
        """Tell each server what it begins with; it must find the same number of residents."""

        def read(name: str, message: Message) -> Begun:
            del name
            found = document(Begun, opened(message, {"begun"})["begun"], what="a beginning")
            if found.residents != residents:
                raise ProtocolViolationError("began with another number of residents")
            return found

        asked = {name: {"begin": raw(documents.write(item))} for name, item in each.items()}
        return self._ask_each(linked.BEGIN, asked, read=read)

    # --- shares ---

    def share(self, chunk: int, *, residents: int) -> Question[bytes]:
        """Ask the departments for their sealed shares of a chunk."""
        ring, rows = self._plan.ring, self._rows(chunk, residents)

        def size(name: str) -> int:
            return rows * self._plan.layout.columns(name) * ring.octets + TAG

        names = self._study.departments
        return self._ask(linked.SHARE, names, read=_body(size), config={"chunk": chunk})

    def totals(self) -> Question[bytes]:
        """Ask the departments for their sealed shares of the totals."""
        size = TOTALS * self._plan.ring.octets + TAG
        return self._ask(linked.TOTALS, self._study.departments, read=_body(lambda _: size))

    def fold(self, chunk: int, bodies: Bodies, *, residents: int) -> Question[bytes | None]:
        """Have the servers fold a chunk.

        With derived groups they answer with what the others need: the first server's elements,
        and what the second has sealed for the first.
        """
        if not self._crossed:
            return self._carry(linked.FOLD, bodies, read=_nothing, config={"chunk": chunk})
        ring = self._plan.ring
        length = self._rows(chunk, residents) * self._crossed

        def read(name: str, message: Message) -> bytes:
            [array] = opened(message, {linked.TURNED}).values()
            if name == self._study.committee.names[_FIRST - 1]:
                return elements(array, ring=ring, length=length)
            return _exactly(array, size=length * ring.octets + TAG)

        return self._carry(linked.FOLD, bodies, read=read, config={"chunk": chunk})

    def cross(self, chunk: int, *, sealed: bytes, own: bytes) -> Question[None]:
        """Carry to the first server what the second sealed for it, to the second our own part."""
        first, second = self._study.committee.names
        each = {
            first: {linked.TURNED: raw(sealed)},
            second: {linked.TURNED: raw_elements(own, ring=self._plan.ring)},
        }
        return self._ask_each(linked.CROSS, each, read=_nothing, config={"chunk": chunk})

    # --- the end ---

    def open(self, bodies: Bodies) -> Question[bytes]:
        """Ask the servers for their parts of all tables and totals, with their noise."""
        ring, length = self._plan.ring, self._plan.noise.length

        def read(name: str, message: Message) -> bytes:
            del name
            return elements(opened(message, {"sum"})["sum"], ring=ring, length=length)

        return self._carry(linked.OPEN, bodies, read=read)

    def erase(self) -> Question[Erased]:
        """Have the servers forget their shares."""

        def read(name: str, message: Message) -> Erased:
            del name
            return document(Erased, opened(message, {"erased"})["erased"], what="an erasure")

        return self._ask(linked.ERASE, self._study.committee.names, read=read)

    def _rows(self, chunk: int, residents: int) -> int:
        return min(self._plan.rows, residents - (chunk - 1) * self._plan.rows)

    def _carry(
        self,
        kind: str,
        bodies: Bodies,
        *,
        read: Callable[[str, Message], T],
        config: Mapping[str, int] | None = None,
    ) -> Question[T]:
        arrays = {f"{linked.BODY}.{name}": raw(body) for name, body in bodies.items()}
        names = self._study.committee.names
        return self._ask(kind, names, read=read, config=config or {}, arrays=arrays)


def largest_answer(study: LinkedStudy) -> int:
    """Give the most bytes that an answer in a run of the study may have."""
    agreed = plan(study)
    widest = max(agreed.layout.columns(name) for name in study.departments)
    crossed = sum(item.width for item in agreed.layout.derived)
    most = max(agreed.rows * max(widest, crossed), agreed.noise.length)
    return _ROOM + sums.MOST_RAW + most * agreed.ring.octets


def _addressed(boxes: Sequence[Box], wanted: Collection[str]) -> None:
    """Refuse boxes for others than `wanted`, two for one, or too few."""
    if sorted(box.to for box in boxes) != sorted(wanted):
        raise ProtocolViolationError("boxes for others than they are meant for")


def _body(size: Callable[[str], int]) -> Callable[[str, Message], bytes]:
    def read(name: str, message: Message) -> bytes:
        return _exactly(opened(message, {linked.BODY})[linked.BODY], size=size(name))

    return read


def _exactly(array: Array, *, size: int) -> bytes:
    found = octets(array, most=size)
    if len(found) != size:
        raise ProtocolViolationError("a share of another length than the study's columns")
    return found


def _nothing(name: str, message: Message) -> None:
    """Read an answer that says no more than that it is done."""
    del name
    if set(message.content) - {ARRAYS} or message.content.get(ARRAYS):
        raise ProtocolViolationError("an answer with other arrays than were asked for")
