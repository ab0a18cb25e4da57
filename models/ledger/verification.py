"""Verifying an export with nothing but the fingerprint of the node's public key."""

import base64
import json
from dataclasses import dataclass

from models import documents
from models.errors import AccountingError, InvalidDocumentError
from models.ledger.book import Book, EntryError
from models.ledger.entries import (
    Balance,
    ChargeEntry,
    Closing,
    KeyEntry,
    SignedClosing,
    SignedHead,
    fingerprint,
    signed_by,
)
from models.ledger.export import ENTRY, Header, SignedHeader
from models.ledger.spending import balances
from models.ledger.tree import Frontier

_CLOSE_ENOUGH = 1e-6
"""Two computers' transforms differ by far less, relatively; a smaller lie changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an export was found to be.

    Attributes:
        problem: the first thing that is wrong, with its line; None: everything is right.
        closing: the signed closing, if everything is right.
        head: the newest signed head that was found right; `since` if nothing came after it.
        keys: fingerprints of the keys that signed, in order.
        charges: those of the export, if everything is right.
    """

    problem: str | None
    closing: Closing | None
    head: SignedHead | None
    keys: tuple[str, ...]
    charges: tuple[ChargeEntry, ...] = ()


def verify(content: bytes, *, key: str, since: SignedHead | None = None) -> Verdict:
    """Hold an export against the fingerprint of the key that is in force at its end.

    Finds whatever was changed, left out, repeated, put elsewhere or added since it was signed,
    balances that are not what the events add up to, and, with an earlier head (`since`), that
    the ledger does not continue what it then was, or that another key signed it.
    """
    reader = _Reader(key=key, since=since)
    problem = None
    try:
        *lines, rest = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                reader.read(line)
            except EntryError as error:
                raise EntryError(f"line {number} {error}") from None
        reader.end(rest)
    except EntryError as error:
        problem = str(error)
    return Verdict(
        problem=problem,
        closing=None if problem else reader.closing,
        head=reader.head,
        keys=tuple(reader.keys),
        charges=() if problem else tuple(reader.charges),
    )


class _Reader:
    """Reads an export line by line and raises at the first thing that is wrong."""

    def __init__(self, *, key: str, since: SignedHead | None) -> None:
        self.head: SignedHead | None = None
        self.closing: Closing | None = None
        self.keys: list[str] = []
        self.charges: list[ChargeEntry] = []
        self._book = Book()
        self._key = key
        self._key_before: str | None = None
        self._since = since
        self._first: int | None = None
        self._heads = 0

    def read(self, line: bytes) -> None:
        if self._first is None:
            self._begin(_canonical(SignedHeader, line, "the header of an export").export)
        elif self.closing is not None:
            raise EntryError("follows the closing")
        elif line.startswith(ENTRY) and line.endswith(b"}"):
            entry = self._book.read(content := line[len(ENTRY) : -1])
            if documents.write(entry) != content:
                raise EntryError("is not in canonical form")
            if isinstance(entry, KeyEntry):
                self.keys.append(fingerprint(entry.public_key))
            elif isinstance(entry, ChargeEntry):
                self.charges.append(entry)
        elif line.startswith(b'{"head"'):
            self._at_head(_canonical(SignedHead, line, "a signed head"))
        else:
            self._close(_canonical(SignedClosing, line, "an entry, a signed head or a closing"))

    def end(self, rest: bytes) -> None:
        if self._first is None:
            raise EntryError("the file is empty")
        if self.closing is None:
            raise EntryError("the export ends without its closing: its end is missing")
        if rest:
            raise EntryError("something follows the closing")

    def _begin(self, header: Header) -> None:
        self._first = header.first
        if header.first:
            if self._since is None or self._since.head.size != header.first:
                raise EntryError(
                    f"begins at entry {header.first}: the head over exactly what came before "
                    "is needed (--since)"
                )
            if header.key is None:
                raise EntryError("does not say which key was in force")
            if base64.b64encode(base64.b64decode(header.key)).decode() != header.key:
                raise EntryError("is not in canonical form")
            self.keys.append(fingerprint(header.key))
        elif header.key is not None:
            raise EntryError("names a key before the first entry")
        try:
            peaks = tuple(bytes.fromhex(peak) for peak in header.peaks)
            self._book.tree = Frontier(size=header.first, peaks=peaks)
        except ValueError:
            raise EntryError("does not have the subtrees of what came before") from None
        self._key_before = header.key
        if header.first:
            self.head = self._since  # until a newer one comes; `_compare` holds it to this header
        self._compare()

    def _at_head(self, signed: SignedHead) -> None:
        tree, head = self._book.tree, signed.head
        if head.size != tree.size:
            raise EntryError(f"is a head over {head.size} entries, after {tree.size}")
        if self.head is not None and head.size <= self.head.head.size:
            raise EntryError("is a second head over the same entries")
        if head.root != tree.root().hex():
            raise EntryError(
                f"is a head over other entries than these {tree.size}: one of them was changed, "
                "left out, added or moved"
            )
        if not signed_by(head, signed.signature, self._public_key()):
            raise EntryError("is a head with a wrong signature")
        self.head, self._heads = signed, self._heads + 1
        self._compare()

    def _compare(self) -> None:
        """Hold the tree and its key against the earlier head, when the tree has that size."""
        tree, since = self._book.tree, self._since
        if since is None or tree.size != since.head.size:
            return
        if tree.root().hex() != since.head.root:
            raise EntryError(
                f"the first {tree.size} entries are not those of the earlier head: history was "
                "rewritten, or it is another ledger's"
            )
        if not signed_by(since.head, since.signature, self._public_key()):
            raise EntryError("has a key in force that did not sign the earlier head")
        self._since = None

    def _close(self, signed: SignedClosing) -> None:
        closing, tree = signed.closing, self._book.tree
        if fingerprint(self._public_key()) != self._key:
            raise EntryError(
                "closes a ledger that is signed with another key than the one given: "
                f"{fingerprint(self._public_key())}"
            )
        if not signed_by(closing, signed.signature, self._public_key()):
            raise EntryError("is a closing with a wrong signature")
        if self.head is None or self.head.head.size != tree.size:
            raise EntryError("closes the export, but no head covers the last entry")
        if (closing.first, closing.size) != (self._first, tree.size):
            raise EntryError(
                f"closes entries {closing.first} to {closing.size}, but {self._first} to "
                f"{tree.size} are there: some are missing"
            )
        if closing.heads != self._heads:
            raise EntryError(f"closes {closing.heads} heads, but {self._heads} are there")
        owner = self._book.owner
        if owner is not None and owner.department != closing.department:
            raise EntryError("closes another department's ledger")
        if self._since is not None:
            raise EntryError(
                f"closes {tree.size} entries, fewer than the {self._since.head.size} of the "
                "earlier head: the ledger was cut off or set back"
            )
        if not closing.first:
            self._recompute(closing)
        elif closing.balances:
            raise EntryError("gives balances, though the export is not whole")
        self.closing = closing

    def _recompute(self, closing: Closing) -> None:
        try:
            found = balances(self._book, delta=closing.delta)
        except AccountingError as error:
            raise EntryError(f"claims balances that cannot be computed: {error.message}") from None
        if not _agree(closing.balances, found):
            raise EntryError("claims balances that are not what the entries add up to")

    def _public_key(self) -> str:
        owner = self._book.owner
        key = self._key_before if owner is None else owner.public_key
        if key is None:
            raise EntryError("stands before any key")
        return key


def _agree(claimed: tuple[Balance, ...], found: tuple[Balance, ...]) -> bool:
    """Tell whether balances are the same, but for what two computers' transforms differ by."""
    if len(claimed) != len(found):
        return False
    for one, other in zip(claimed, found, strict=True):
        if (one.population, one.what, one.charges) != (
            other.population,
            other.what,
            other.charges,
        ):
            return False
        if one.epsilon is None or other.epsilon is None:
            if one.epsilon is not other.epsilon:
                return False
        elif abs(one.epsilon - other.epsilon) > _CLOSE_ENOUGH * max(1.0, other.epsilon):
            return False
    return True


def _canonical(kind: type[documents.T], line: bytes, what: str) -> documents.T:
    try:
        found = documents.read(kind, json.loads(line), what=what)
    except (ValueError, RecursionError, InvalidDocumentError):
        raise EntryError(f"is not {what}") from None
    if documents.write(found) != line:
        raise EntryError("is not in canonical form")
    return found
