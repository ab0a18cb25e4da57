"""The messages about keys, and how every answer of documents and raw bytes is read: exactly.

Every answer is held against what was asked before any of its bytes are read: the arrays it holds,
their dtype, shape and length, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from coordinator.flower.grid import StreamGrid
from coordinator.flower.question import Question
from coordinator.flower.replies import ARRAYS
from models import documents
from models.errors import InvalidDocumentError, ProtocolViolationError, RefusedError
from models.governance.any_study import AnyStudy
from models.governance.linked import LinkedStudy
from models.secagg import agreement
from models.secagg.agreement import Cohort, Joined, Offer, Offers
from models.secagg.rings import Ring
from protos import sums
from protos.codec import read_json

T = TypeVar("T")

_CONFIG = "config"


class KeyMessages:
    """What is asked of the members of one run about their keys, over their open streams.

    Args:
        study: what they compute together.
        run_id: the run.
        nodes: the node id of each member: the departments, and whoever is beside them.
        limit: the most bytes that an answer may have.
    """

    def __init__(
        self, *, study: AnyStudy, run_id: int, nodes: Mapping[str, int], limit: int
    ) -> None:
        self._roster = study.signed_roster
        self._hash = study.digest()
        self._run = run_id
        self._nodes = dict(nodes)
        self._names = {node_id: name for name, node_id in nodes.items()}
        linked = isinstance(study, LinkedStudy)
        self.members: tuple[str, ...] = study.parties if linked else study.departments
        self.grid = StreamGrid(run_id=run_id, nodes=nodes, limit=limit)

    def asked(self, names: Iterable[str]) -> tuple[str, ...]:
        """Give those of the members who are still asked in this run."""
        taking_part = set(self.grid.get_node_ids())
        return tuple(name for name in names if self._nodes[name] in taking_part)

    def present(self) -> frozenset[str]:
        """Give those of `members` (who mask in pairs) that are asked and have a stream now."""
        absent = self.grid.standing().absent
        return frozenset(n for n in self.asked(self.members) if n not in absent)

    def offer(self, names: Sequence[str]) -> Question[Offer]:
        """Ask members for their signed keys."""

        def read(name: str, message: Message) -> Offer:
            found = document(Offer, opened(message, {"offer"})["offer"], what="an offer")
            if found.statement.member != name:
                raise ProtocolViolationError("an offer in another's name")
            try:
                agreement.keyed(self._roster, found, study=self._hash, run=self._run)
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
            found = document(Joined, opened(message, {"cohort"})["cohort"], what="a cohort")
            if found.cohort != digest:
                raise ProtocolViolationError("agreed on another cohort")
            return found

        content = documents.write(Offers(offers=tuple(offers)))
        return self._ask(sums.JOIN, names, read=read, arrays={"offers": raw(content)})

    def _ask(
        self,
        kind: str,
        names: Sequence[str],
        *,
        read: Callable[[str, Message], T],
        config: Mapping[str, int] = MappingProxyType({}),
        arrays: Mapping[str, Array] = MappingProxyType({}),
    ) -> Question[T]:
        """Ask all of `names` the same."""
        content = _content(config, arrays)
        return self._sent(kind, dict.fromkeys(names, content), read=read)

    def _ask_each(
        self,
        kind: str,
        each: Mapping[str, Mapping[str, Array]],
        *,
        read: Callable[[str, Message], T],
        config: Mapping[str, int] = MappingProxyType({}),
    ) -> Question[T]:
        """Ask each member with arrays of its own."""
        content = {name: _content(config, arrays) for name, arrays in each.items()}
        return self._sent(kind, content, read=read)

    def _sent(
        self, kind: str, each: Mapping[str, RecordDict], *, read: Callable[[str, Message], T]
    ) -> Question[T]:
        letters = [Message(each[name], self._nodes[name], kind) for name in self.asked(each)]
        return Question(grid=self.grid, names=self._names, messages=letters, read=read)


def _content(config: Mapping[str, int], arrays: Mapping[str, Array]) -> RecordDict:
    return RecordDict({_CONFIG: ConfigRecord({**config}), ARRAYS: ArrayRecord({**arrays})})


def raw(content: bytes) -> Array:
    """Give bytes as an array of a message."""
    return Array(dtype="uint8", shape=(len(content),), stype=sums.RAW, data=content)


def raw_elements(content: bytes, *, ring: Ring) -> Array:
    """Give elements of a ring, already in their bytes, as an array of a message."""
    many = len(content) // ring.octets
    return Array(dtype=f"uint{ring.value}", shape=(many,), stype=sums.RAW, data=content)


def opened(message: Message, names: set[str]) -> Mapping[str, Array]:
    """Give the arrays of an answer, which must have these names and nothing beside them.

    Raises:
        ProtocolViolationError: it has others.
    """
    arrays = message.content.get(ARRAYS)
    if set(message.content) != {ARRAYS} or not isinstance(arrays, ArrayRecord):
        raise ProtocolViolationError("an answer with other records than arrays")
    if set(arrays) != names:
        raise ProtocolViolationError("an answer with other arrays than were asked for")
    return arrays


def octets(array: Array, *, most: int) -> bytes:
    """Give the bytes of an array of bytes.

    Raises:
        ProtocolViolationError: it is another array, or has more than `most`.
    """
    form = (array.dtype, tuple(array.shape), array.stype)
    if form != ("uint8", (len(array.data),), sums.RAW) or len(array.data) > most:
        raise ProtocolViolationError("an answer with bytes of another form than was agreed")
    return array.data


def elements(array: Array, *, ring: Ring, length: int) -> bytes:
    """Give the bytes of an array of exactly `length` elements of a ring.

    Raises:
        ProtocolViolationError: it is another array.
    """
    form = (array.dtype, tuple(array.shape), array.stype)
    if form != (f"uint{ring.value}", (length,), sums.RAW):
        raise ProtocolViolationError("a sum with another dtype or length than was asked for")
    if len(array.data) != length * ring.octets:
        raise ProtocolViolationError("a sum with another length than it says")
    return array.data


def document(kind: type[T], array: Array, *, what: str, most: int = sums.MOST_RAW) -> T:
    """Give the document in an array of bytes.

    Raises:
        ProtocolViolationError: there is none of its kind.
    """
    try:
        return read_json(kind, octets(array, most=most), what=what)
    except InvalidDocumentError:  # its text names fields of the peer's document
        raise ProtocolViolationError(f"{what} that is not a document of its kind") from None
