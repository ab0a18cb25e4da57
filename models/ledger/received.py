"""What the coordinator's own chain holds: the heads it was told, and the answers it took.

The entries are the leaves of a tree as those of a node's ledger are (`models.ledger.tree`). The
coordinator does not sign: whoever wants to hold it to its word keeps size and root of the chain.
Evolution law as in `models.ledger.entries`.
"""

import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, Discriminator, Field

from models import documents
from models.errors import InvalidDocumentError, UsageError
from models.governance.record import RunText
from models.governance.step import Hex64
from models.ledger.entries import Head, Key, Position, Signature
from models.ledger.tree import frontier
from models.schema import STRICT, Line, Slug


class Problem(enum.StrEnum):
    """In what a head contradicts one that the same department reported before."""

    FEWER = "fewer"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEntry:
    """A department reported that its ledger has this head, signed by the key it is known by."""

    __pydantic_config__ = STRICT

    kind: Literal["head"] = "head"
    number: Position
    at: AwareDatetime
    department: Slug
    public_key: Key
    head: Head
    signature: Signature

    @property
    def subject(self) -> str:
        """Give what the entry is about: a chain notes the same thing once."""
        head = self.head
        return f"head/{self.department}/{self.public_key}/{head.size}/{head.root}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEntry:
    """A department's answer to one attempt of one step went into a result."""

    __pydantic_config__ = STRICT

    kind: Literal["answer"] = "answer"
    number: Position
    at: AwareDatetime
    department: Slug
    study: Hex64
    run: RunText
    step: Annotated[Line, Field(max_length=100)]
    attempt: Annotated[int, Field(strict=True, ge=1, lt=2**53)]

    @property
    def subject(self) -> str:
        """Give what the entry is about: a chain notes the same thing once."""
        return f"answer/{self.department}/{self.study}/{self.run}/{self.step}/{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionEntry:
    """A department reported a head that cannot follow the one it had reported before.

    Attributes:
        against: the number of the entry with the head that it contradicts.
        head: what was reported. It was not taken for the department's newest head.
    """

    __pydantic_config__ = STRICT

    kind: Literal["contradiction"] = "contradiction"
    number: Position
    at: AwareDatetime
    department: Slug
    against: Position
    problem: Problem
    public_key: Key
    head: Head
    signature: Signature

    @property
    def subject(self) -> str:
        """Give what the entry is about: one for each head and key, or each report would add one."""
        return f"contradiction/{self.department}/{self.public_key}/{self.against}"


Entry = Annotated[HeadEntry | AnswerEntry | ContradictionEntry, Discriminator("kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An entry as it is kept and sent; its canonical bytes are a leaf of the tree."""

    __pydantic_config__ = STRICT

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What to keep of a chain in order to know it again: its size and its root."""

    __pydantic_config__ = STRICT

    size: Position
    root: Hex64


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of the chain: entries in order, and what the whole chain is at that time."""

    entries: tuple[Received, ...]
    mark: Mark


def problem(head: Head, *, before: Head | None) -> Problem | None:
    """Tell in what a head contradicts the one before it; None: it may follow it.

    A larger head may hide another history. Whether it does shows in an export
    (`models.ledger.comparison`), which has the entries.
    """
    if before is None or head.size > before.size:
        return None
    if head.size < before.size:
        return Problem.FEWER
    return None if head.root == before.root else Problem.OTHER


def mark_of(entries: Iterable[Received]) -> Mark:
    """Give the mark of the chain that these entries are."""
    tree = frontier(documents.write(entry) for entry in entries)
    return Mark(size=tree.size, root=tree.root().hex())


def kept_mark(text: str) -> Mark:
    """Give the mark in what `datalabbet ledger received --output json` printed.

    Raises:
        UsageError: there is none.
    """
    try:
        found = json.loads(text)
        return documents.read(Mark, found["chain"], what="the chain's size and root")
    except (ValueError, RecursionError, LookupError, TypeError, InvalidDocumentError):
        raise UsageError(
            "there is no size and root of the coordinator's chain in the file",
            hint="Give what `datalabbet ledger received --output json` printed earlier.",
        ) from None
