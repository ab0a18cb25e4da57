"""Writing the ledger of this node into an export."""

from collections.abc import Iterator
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models import documents
from models.errors import RefusedError
from models.ledger.book import Book
from models.ledger.entries import Closing, Head, SignedClosing, sign
from models.ledger.export import entry_line, header_line
from models.ledger.spending import balances
from models.quantities import Delta
from node.ledger.journal import Journal


def lines(
    journal: Journal, *, key: Ed25519PrivateKey, delta: Delta, at: datetime, since: Head | None
) -> Iterator[bytes]:
    """Give the lines of an export: of everything, or of what came after the head `since`.

    Raises:
        RefusedError: the ledger does not continue what it was at `since`.
        StorageError: the ledger cannot be read, or is not what was signed.
    """
    with journal.database.read() as connection:
        book = journal.book(connection)
        first, heads = 0 if since is None else since.size, 0
        rows = connection.execute("SELECT document FROM entries ORDER BY number")
        signed = dict(connection.execute("SELECT size, document FROM heads"))
        before = Book()
        if since is None:
            yield header_line(None)
        for (document,) in rows:
            content = document.encode()
            if before.tree.size >= first:
                yield entry_line(content)
            before.read(content)
            if since is not None and before.tree.size == first:
                if before.tree.root().hex() != since.root:
                    break
                yield header_line(before)
            elif before.tree.size > first and before.tree.size in signed:
                heads += 1
                yield signed[before.tree.size].encode()
        if before.tree.size != book.tree.size or before.tree.size < first:
            raise RefusedError(
                "this ledger does not continue what it was at the earlier head",
                hint="Is the head of another node, or was an older copy of node.db put back?",
            )
        assert book.owner is not None  # noqa: S101 - every ledger begins with one
        closing = Closing(
            department=book.owner.department,
            first=first,
            size=book.tree.size,
            heads=heads,
            at=at,
            delta=delta,
            balances=() if first else balances(book, delta=delta),
        )
        yield documents.write(SignedClosing(closing=closing, signature=sign(closing, key)))
