"""The messages of a run with secure sums, and what came back, read exactly.

The names are those of `protos.sums`. Every answer is held against what was asked before any of
its bytes are read: the arrays it holds, their dtype, shape and length, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from coordinator.flower.grid import StreamGrid
from coordinator.flower.question import Question
from coordinator.flower.replies import ARRAYS
from models import documents
from models.errors import InvalidDocumentError, ProtocolViolationError, RefusedError
from models.governance.study import Study
from models.secagg import agreement
from models.secagg.agreement import Cohort, Joined, Offer, Offers
from models.secagg.contexts import Context
from models.secagg.node import Masked
from models.secagg.rings import SumPlan
from models.secagg.witness import MaskSum, SetRequest, SignedSet
from models.training import messages
from protos import sums
from protos.codec import read_json

Arrays = Mapping[str, npt.NDArray[np.generic]]
T = TypeVar("T")

_CONFIG = "config"
_ROOM = 65_536
_DIGEST = 32
_PLAIN_TYPES = {messages.HISTOGRAM: sums.HISTOGRAM, messages.EVALUATE: sums.SCORES}


class SumMessages:
    """What is asked of the members of one run, over their open streams.

    Args:
        study: what is summed.
        run_id: the run.
        nodes: the node id of each member: the departments, and the witness if there is one.
    """

    def __init__(self, *, study: Study, run_id: int, nodes: Mapping[str, int]) -> None:
        self._study = study
        self._hash = study.digest()
        self._run = run_id
        self._nodes = dict(nodes)
        self._names = {node_id: name for name, node_id in nodes.items()}
        self.grid = StreamGrid(run_id=run_id, nodes=nodes, limit=largest_answer(study))

    def asked(self, names: Iterable[str]) -> tuple[str, ...]:
        """Give those of the members who are still asked in this run."""
        taking_part = set(self.grid.get_node_ids())
        return tuple(name for name in names if self._nodes[name] in taking_part)

    def present(self) -> frozenset[str]:
        """Give the departments that are asked and have a stream now."""
        absent = self.grid.standing().absent
        return frozenset(n for n in self.asked(self._study.departments) if n not in absent)

    def offer(self, names: Sequence[str]) -> Question[Offer]:
        """Ask members for their signed keys."""

        def read(name: str, message: Message) -> Offer:
            found = _document(Offer, _opened(message, {"offer"})["offer"], what="an offer")
            if found.statement.member != name:
                raise ProtocolViolationError("an offer in another's name")
            roster = self._study.signed_roster
            try:
                agreement.keyed(roster, found, study=self._hash, run=self._run)
            except RefusedError as error:
                raise ProtocolViolationError(error.message) from None
            return found

        return self._ask(sums.OFFER, names, read=read)

    def join(
        self, names: Sequence[str], offers: Sequence[Offer], *, cohort: Cohort
    ) -> Question[Joined]:
        """Ask members to agree on the cohort that these offers make."""
        digest = cohort.digest()

        def read(name: str, message: Message) -> Joined:
            del name
            found = _document(Joined, _opened(message, {"cohort"})["cohort"], what="a cohort")
            if found.cohort != digest:
                raise ProtocolViolationError("agreed on another cohort")
            return found

        content = documents.write(Offers(offers=tuple(offers)))
        return self._ask(sums.JOIN, names, read=read, arrays={"offers": _raw(content)})

    def sum(self, names: Sequence[str], context: Context, arrays: Arrays) -> Question[Masked]:
        """Ask departments for their masked sums in a context, computed with `arrays`."""
        digest = context.digest()

        def read(name: str, message: Message) -> Masked:
            found = _opened(message, {"context", "sum"})
            if _bytes(found["context"], most=_DIGEST).hex() != digest:
                raise ProtocolViolationError("computed under another context")
            payload = _elements(found["sum"], plan=context.plan)
            return Masked(member=name, context=digest, payload=payload)

        kind, config = _step(context)
        content = {name: Array(array) for name, array in arrays.items()}
        return self._ask(kind, names, read=read, config=config, arrays=content)

    def masks(self, witness: str, request: SetRequest) -> Question[MaskSum]:
        """Ask the witness for the sum of its masks with those who answered."""

        def read(name: str, message: Message) -> MaskSum:
            del name
            found = _opened(message, {"set", "sum"})
            signed = _document(SignedSet, found["set"], what="a set")
            return MaskSum(
                signed=signed, payload=_elements(found["sum"], plan=request.context.plan)
            )

        content = {"request": _raw(documents.write(request))}
        return self._ask(sums.MASKS, (witness,), read=read, arrays=content)

    def _ask(
        self,
        kind: str,
        names: Sequence[str],
        *,
        read: Callable[[str, Message], T],
        config: Mapping[str, int] = MappingProxyType({}),
        arrays: Mapping[str, Array] = MappingProxyType({}),
    ) -> Question[T]:
        content = RecordDict({_CONFIG: ConfigRecord({**config}), ARRAYS: ArrayRecord({**arrays})})
        letters = [Message(content, self._nodes[name], kind) for name in self.asked(names)]
        return Question(grid=self.grid, names=self._names, messages=letters, read=read)


def largest_answer(study: Study) -> int:
    """Give the most bytes that an answer in a run of the study may have."""
    shapes = set(messages.sums(study).values())
    return _ROOM + sums.MOST_RAW + max(shape.length * shape.ring.octets for shape in shapes)


def _step(context: Context) -> tuple[str, dict[str, int]]:
    """Give the type and the numbers of the message that asks for a step."""
    plain = _PLAIN_TYPES.get(context.step)
    if plain is not None:
        return plain, {"attempt": context.attempt}
    number = int(context.step.removeprefix(messages.train(0).removesuffix("0")))
    return sums.STEP, {"step": number, "attempt": context.attempt}


def _raw(content: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(content),), stype=sums.RAW, data=content)


def _opened(message: Message, names: set[str]) -> Mapping[str, Array]:
    """Give the arrays of an answer, which must have these names and nothing beside them."""
    arrays = message.content.get(ARRAYS)
    if set(message.content) != {ARRAYS} or not isinstance(arrays, ArrayRecord):
        raise ProtocolViolationError("an answer with other records than arrays")
    if set(arrays) != names:
        raise ProtocolViolationError("an answer with other arrays than were asked for")
    return arrays


def _bytes(array: Array, *, most: int) -> bytes:
    form = (array.dtype, tuple(array.shape), array.stype)
    if form != ("uint8", (len(array.data),), sums.RAW) or len(array.data) > most:
        raise ProtocolViolationError("an answer with bytes of another form than was agreed")
    return array.data


def _elements(array: Array, *, plan: SumPlan) -> bytes:
    form = (array.dtype, tuple(array.shape), array.stype)
    if form != (f"uint{plan.ring.value}", (plan.length,), sums.RAW):
        raise ProtocolViolationError("a sum with another dtype or length than was asked for")
    if len(array.data) != plan.length * plan.ring.octets:
        raise ProtocolViolationError("a sum with another length than it says")
    return array.data


def _document(kind: type[T], array: Array, *, what: str) -> T:
    try:
        return read_json(kind, _bytes(array, most=sums.MOST_RAW), what=what)
    except InvalidDocumentError:  # its text names fields of the peer's document
        raise ProtocolViolationError(f"{what} that is not a document of its kind") from None
