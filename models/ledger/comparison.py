"""Holding a department's verified export against what the coordinator says it received.

Two books by two parties who need not trust each other: the department's ledger says what was
charged, the coordinator's chain what came out. A department that answers without charging its
residents, or that rewrites its ledger after it told its head, contradicts the coordinator's
chain; and a coordinator that takes something out of its chain is found by its earlier marks
(`models.ledger.received.Mark`).
"""

import enum
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models.errors import UsageError
from models.ledger.book import Book
from models.ledger.entries import ChargeEntry, Closing, fingerprint, signed_by
from models.ledger.export import ENTRY
from models.ledger.received import (
    AnswerEntry,
    ContradictionEntry,
    Entry,
    HeadEntry,
    Problem,
)

Step = tuple[str, str, str, int]
"""Study (hash), run, step and attempt."""

SKEW = timedelta(seconds=30)
"""What two clocks may be apart. What is that close to an export's closing may be after it."""

_PROBLEMS = {
    Problem.FEWER: "fewer entries than",
    Problem.OTHER: "other entries than",
}


class Kind(enum.StrEnum):
    """In what the two books contradict each other."""

    UNCHARGED = "answered without a charge"
    AFTERWARDS = "charged after it was answered"
    REWRITTEN = "not the ledger that was reported"
    CUT_OFF = "fewer entries than reported"
    UNKNOWN_KEY = "reported under a key that the ledger does not know"
    UNSIGNED = "reported with a wrong signature"
    REPORTED = "two ledgers were reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """One contradiction; `entry` is the number of the coordinator's entry it is about."""

    kind: Kind
    entry: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found.

    Attributes:
        department: whose export it is.
        charges: how many attempts the export charges.
        answers: how many of them the coordinator received an answer to.
        heads: how many reported heads the export continues.
        contradictions: none: the two books agree as far as the export goes.
        unanswered: charges without an answer that the coordinator took. It is no contradiction:
            an attempt is charged before it is made, and it may fail or be answered too late.
        later: how many entries of the coordinator are newer than the export, as far as its
            closing says when that was signed, and were not held against it.
    """

    department: str
    charges: int
    answers: int
    heads: int
    contradictions: tuple[Contradiction, ...]
    unanswered: tuple[Step, ...]
    later: int


def compare(
    export: bytes, *, closing: Closing, keys: Iterable[str], received: Iterable[Entry]
) -> Comparison:
    """Hold an export against the coordinator's chain.

    `closing` and `keys` are what `models.ledger.verification.verify` gave for the export.

    Formal guarantee: without a contradiction, every answer that the coordinator says it took
    from the department before the export was signed (by `SKEW`) was charged in it, before the
    next head that was reported (by `SKEW`) after it; and the export continues every head that
    the department reported before it was signed (RFC 6962, section 2.1: the tree of its first
    entries has the reported root, and SHA-256 does not collide).

    Raises:
        UsageError: the export is not whole.
    """
    if closing.first:
        raise UsageError(
            "only a whole export can be compared",
            hint="Export the ledger without --since.",
        )
    mine = [entry for entry in received if entry.department == closing.department]
    heads = [entry for entry in mine if isinstance(entry, HeadEntry)]
    roots, charges = _read(export, {entry.head.size for entry in heads})
    holder = _Holder(
        closing=closing, keys=frozenset(keys), roots=roots, charges=charges, heads=heads
    )
    for entry in mine:
        holder.hold(entry)
    return Comparison(
        department=closing.department,
        charges=len(charges),
        answers=len(holder.answered),
        heads=holder.heads,
        contradictions=tuple(holder.found),
        unanswered=tuple(step for step in charges if step not in holder.answered),
        later=holder.later,
    )


def _read(export: bytes, sizes: set[int]) -> tuple[dict[int, str], dict[Step, int]]:
    """Give the roots of the tree at these sizes, and where each charge stands, in order."""
    book = Book()
    roots: dict[int, str] = {}
    charges: dict[Step, int] = {}
    for line in export.split(b"\n"):
        if line.startswith(ENTRY):
            entry = book.read(line[len(ENTRY) : -1])
            if isinstance(entry, ChargeEntry):
                charges[entry.study, entry.run, entry.step, entry.attempt] = entry.number
            if book.tree.size in sizes:
                roots[book.tree.size] = book.tree.root().hex()
    return roots, charges


class _Holder:
    """Holds one entry of the coordinator after the other against an export."""

    def __init__(
        self,
        *,
        closing: Closing,
        keys: frozenset[str],
        roots: Mapping[int, str],
        charges: Mapping[Step, int],
        heads: Sequence[HeadEntry],
    ) -> None:
        self.found: list[Contradiction] = []
        self.answered: set[Step] = set()
        self.heads = self.later = 0
        self._keys = keys
        self._roots = roots
        self._charges = charges
        self._told = heads
        self._numbers = [entry.number for entry in heads]
        self._size = closing.size
        self._until = closing.at - SKEW

    def hold(self, entry: Entry) -> None:
        if isinstance(entry, AnswerEntry):
            self._answer(entry)
        elif isinstance(entry, HeadEntry):
            self._head(entry)
        else:
            self._reported(entry)

    def _answer(self, entry: AnswerEntry) -> None:
        step = (entry.study, entry.run, entry.step, entry.attempt)
        name = f"{entry.study[:12]}/{entry.run}/{entry.step}/{entry.attempt}"
        number = self._charges.get(step)
        if number is None:
            if entry.at > self._until:
                self.later += 1
            else:
                self._say(Kind.UNCHARGED, entry, f"{name}, received {_time(entry)}")
            return
        self.answered.add(step)
        after = self._next_head(entry)
        if after is not None and after.head.size <= number:
            text = f"{name}: entry {number} of the ledger, which had {after.head.size} entries"
            self._say(Kind.AFTERWARDS, entry, f"{text} when reported {_time(after)}")

    def _next_head(self, entry: AnswerEntry) -> HeadEntry | None:
        """Give the first head that was surely read after the answer had been sent.

        A head is on its way for less than `SKEW`: a node waits 20 seconds for the call. Both
        times are of the coordinator's clock.
        """
        start = bisect_right(self._numbers, entry.number)
        later = (head for head in self._told[start:] if head.at > entry.at + SKEW)
        return next(later, None)

    def _head(self, entry: HeadEntry) -> None:
        head, said = entry.head, f"{entry.head.size} entries, reported {_time(entry)}"
        if not signed_by(head, entry.signature, entry.public_key):
            self._say(Kind.UNSIGNED, entry, said)
        elif head.size > self._size:
            if head.at > self._until:
                self.later += 1
            else:
                self._say(Kind.CUT_OFF, entry, f"{said}; the export has {self._size}")
        elif fingerprint(entry.public_key) not in self._keys:
            self._say(Kind.UNKNOWN_KEY, entry, f"{said}, {fingerprint(entry.public_key)}")
        elif self._roots[head.size] != head.root:
            self._say(Kind.REWRITTEN, entry, said)
        else:
            self.heads += 1

    def _reported(self, entry: ContradictionEntry) -> None:
        if not signed_by(entry.head, entry.signature, entry.public_key):
            self._say(Kind.UNSIGNED, entry, f"{entry.head.size} entries, reported {_time(entry)}")
            return
        problem = _PROBLEMS[entry.problem]
        text = (
            f"{entry.head.size} entries, reported {_time(entry)}: {problem} entry {entry.against}"
        )
        self._say(Kind.REPORTED, entry, f"{text} of the coordinator's chain says")

    def _say(self, kind: Kind, entry: Entry, text: str) -> None:
        self.found.append(Contradiction(kind=kind, entry=entry.number, text=text))


def _time(entry: Entry) -> str:
    return f"{entry.at:%Y-%m-%d %H:%M:%S} UTC"
