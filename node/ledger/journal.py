"""The ledger's entries in the node's database: each with a signed head, in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models import documents
from models.errors import (
    ConfigurationError,
    InvalidDocumentError,
    RefusedError,
    StorageError,
)
from models.ledger.book import Book, EntryError
from models.ledger.entries import (
    ChargeEntry,
    DecisionEntry,
    Entry,
    Head,
    KeyEntry,
    LimitsEntry,
    SignedHead,
    key_text,
    sign,
    signed_by,
)
from node.ledger.database import Database
from node.ledger.tables import CONTEXTS, make
from protos.codec import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose ledger it is, and the identity key that signs it."""

    department: str
    key: Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What a journal wrote last: entries by their text, and the head. It is not parsed again."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    head: SignedHead | None = None


class Journal:
    """The entries of one node, and what they add up to.

    Formal guarantee: an entry is durable only together with a head over it and everything
    before it, signed by the key in force. What lies in the database is held against the newest
    head: its end before each entry, all of it when it is opened. A node does not go on with a
    ledger in which it found an entry changed, left out or moved; a journal that found one
    refuses everything from then on. (Who has the identity key, cuts the end off while no node
    runs, or puts another ledger in its place, can only be found with a head kept elsewhere.)
    """

    def __init__(self, path: Path, *, owner: Owner, now: Callable[[], datetime]) -> None:
        """Open the database at `path`; a database of an earlier version is brought to this one.

        Raises:
            ConfigurationError: it is the ledger of another department.
            StorageError: it cannot be opened, or is not what was signed.
        """
        self.database = Database(path)
        self.now = now
        self._owner = owner
        self.public_key = key_text(owner.key.public_key())
        self._book = Book()
        self._charged_at: datetime | None = None
        self._failure: str | None = None
        self._newest: tuple[str, SignedHead] | None = None
        self._own = _Own()
        with self.database.write() as connection:
            noted = make(connection)
            before = None if noted is not None else self.book(connection).owner
            entries = () if noted is None else noted.entries
            if before is not None and before.department != owner.department:
                raise ConfigurationError(
                    f"{path.name} is the ledger of the department {before.department!r}, "
                    f"and this node is enrolled as {owner.department!r}",
                    hint=f"Enrol the node as {before.department!r} again, or give the department "
                    f"{owner.department!r} a home folder of its own.",
                )
            if before is None or not self._is_ours(before):
                own = KeyEntry(
                    number=0, at=now(), department=owner.department, public_key=self.public_key
                )
                self._write(connection, (own, *entries))
            for statement in CONTEXTS:
                connection.execute(statement)

    def append(
        self, connection: Connection, *entries: LimitsEntry | DecisionEntry | ChargeEntry
    ) -> int:
        """Put entries at the end, in the transaction that is open; give the last one's number.

        The numbers are set here.

        Raises:
            RefusedError: the ledger has passed to another key since it was opened.
            StorageError: what lies there is not what was signed.
        """
        owner = self.book(connection).owner
        if owner is None or not self._is_ours(owner):
            raise RefusedError(
                "the node's identity key was changed while it ran",
                hint="Start the node again: it then signs with the key that is in force.",
            )
        return self._write(connection, entries)

    def take_in(self) -> None:
        """Read what has become durable: if it is cut off later, it is missed.

        Raises:
            StorageError: what lies there is not what was signed.
        """
        with self.database.read() as connection:
            self.book(connection)

    def book(self, connection: Connection) -> Book:
        """Give the ledger as it was when the open transaction began; read it, change nothing.

        Raises:
            StorageError: what lies there is not what was signed.
        """
        self._hold()
        before = self._book.tree.size
        try:
            rows = connection.execute(
                "SELECT document FROM entries WHERE number >= ? ORDER BY number", (before,)
            )
            for (document,) in rows:
                entry = self._read(document)
                if isinstance(entry, ChargeEntry):
                    self._charged_at = entry.at
            self._check(connection, fresh=self._book.tree.size > before)
        except EntryError as error:
            # What is left may fit together, a shorter ledger for one: it is not read again.
            self._failure = str(error)
            self._hold()
        return self._book

    def time(self) -> datetime:
        """Give the time to charge under: now, but never before the newest charge.

        A clock that went back must not open a year that has passed. Only charges count, as
        `book` read them last: a decision has the time of the steward's clock.
        """
        now = self.now()
        return now if self._charged_at is None else max(now, self._charged_at)

    def head(self, connection: Connection) -> SignedHead:
        """Give the newest head.

        Raises:
            EntryError: there is none, or it is damaged.
            StorageError: the ledger was found not to be what was signed.
        """
        self._hold()
        (document,) = connection.execute(
            "SELECT document FROM heads ORDER BY size DESC LIMIT 1"
        ).fetchone() or (None,)
        if document is None:
            raise EntryError("has no head")
        if self._newest is not None and self._newest[0] == document:
            return self._newest[1]
        try:
            found = read_json(SignedHead, document.encode(), what="the stored head")
        except InvalidDocumentError:
            raise EntryError("has a damaged head") from None
        self._newest = document, found
        return found

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _hold(self) -> None:
        """Refuse to go on with a ledger that was once found changed."""
        if self._failure is not None:
            raise StorageError(
                "the ledger in the node's database is not what was signed: an entry "
                f"{self._failure}",
                hint="Nothing runs on it. Keep the file and find out what changed it. If a backup "
                "is put back instead, every charge made after it is lost, and what those charges "
                "spent could be spent again.",
            )

    def _is_ours(self, entry: KeyEntry) -> bool:
        return (entry.department, entry.public_key) == (self._owner.department, self.public_key)

    def _read(self, document: str) -> Entry:
        """Take in the next entry. One that this journal wrote was an entry before it was text."""
        content, known = document.encode(), self._own.entries.get(document)
        return self._book.read(content) if known is None else self._book.take(known, content)

    def _check(self, connection: Connection, *, fresh: bool) -> None:
        """Hold what was read against the newest head, and a head that is new against its key.

        A head that is, to the letter, the one that this journal signed last needs no proof: it
        signs with the key in force only (`append`).
        """
        signed = self.head(connection)
        fresh = fresh and signed != self._own.head
        tree, owner = self._book.tree, self._book.owner
        if (signed.head.size, signed.head.root) != (tree.size, tree.root().hex()):
            raise EntryError("was changed, left out, added or moved")
        if owner is None or (
            fresh and not signed_by(signed.head, signed.signature, owner.public_key)
        ):
            raise EntryError("has a head with a wrong signature")

    def _write(
        self,
        connection: Connection,
        entries: Sequence[KeyEntry | LimitsEntry | DecisionEntry | ChargeEntry],
    ) -> int:
        """Insert entries and their head; give the number of the last.

        The book takes them in when they are durable: later.
        """
        tree, own = self._book.tree, {}
        for entry in entries:
            numbered = replace(entry, number=tree.size)
            content = documents.write(numbered)
            own[content.decode()] = numbered
            connection.execute(
                "INSERT INTO entries (number, document) VALUES (?, ?)",
                (tree.size, content.decode()),
            )
            tree = tree.add(content)
        head = Head(size=tree.size, root=tree.root().hex(), at=self.now())
        signed = SignedHead(head=head, signature=sign(head, self._owner.key))
        connection.execute(
            "INSERT INTO heads (size, document) VALUES (?, ?)",
            (tree.size, documents.write(signed).decode()),
        )
        # Good also if the transaction fails: what is never stored is never looked for here.
        self._own = _Own(entries=own, head=signed)
        return tree.size - 1
