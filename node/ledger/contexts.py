"""What was answered in secure sums, durably: a message only together with its charge."""

from collections.abc import Callable
from sqlite3 import Connection

from models import documents
from models.errors import InvalidDocumentError, RefusedError, StorageError
from models.governance.step import StepKey
from models.secagg.contexts import Entry, Purpose, UsedContexts
from node.ledger.journal import Journal
from protos.codec import read_json


class ChargedContexts(UsedContexts):
    """The memory of one step's message at a node (`node.ledger.ledger.Ledger.contexts`).

    Formal guarantee: the context and its charge are one transaction. After a crash at any point
    both are there or neither; only when both have reached the disk is there a receipt, hence a
    message. A slot that was used is not charged again, for nothing is sent for it again.
    """

    def __init__(
        self, journal: Journal, *, step: StepKey, pay: Callable[[Connection], int]
    ) -> None:
        """Keep which step it is, and what appends its charge and gives the entry's number."""
        self._journal = journal
        self._slot = (Purpose.MESSAGE, step.study, step.run, step.step, step.attempt)
        self._pay = pay

    def insert(self, entry: Entry) -> Entry | None:
        """Write and charge `entry` unless its slot has one; give the one that it had, or None.

        Raises:
            RefusedError: it is of another step, or not a node's message.
            BudgetExhaustedError, RefusedError: a limit, or the study's plan.
            StorageError: it could not be made durable, or the ledger was changed.
        """
        if entry.slot != self._slot:
            raise RefusedError("the context is of another step than the one that is charged")
        with self._journal.database.write() as connection:
            before = _earlier(connection, entry)
            if before is not None:
                return before
            _keep(connection, entry, charge=self._pay(connection))
        self._journal.take_in()
        return None


class WitnessContexts(UsedContexts):
    """The memory of a witness, which has no residents: nothing is charged."""

    def __init__(self, journal: Journal) -> None:
        """Keep them in the journal's database."""
        self._journal = journal

    def insert(self, entry: Entry) -> Entry | None:
        """Write `entry` unless its slot has one; give the one that it had, or None.

        Raises:
            RefusedError: it is a node's message, which must be charged.
            StorageError: it could not be made durable.
        """
        if entry.purpose is not Purpose.SET:
            raise RefusedError("a witness sends no message of its own")
        with self._journal.database.write() as connection:
            before = _earlier(connection, entry)
            if before is None:
                _keep(connection, entry, charge=None)
            return before


class ReleasedContexts(UsedContexts):
    """The memory of a department whose releases leave under masks: each was charged before.

    Formal guarantee: a context is only noted for a step whose release is stored, hence charged
    (`node.ledger.ledger.Ledger.answer`). To mask it again costs nothing, so nothing is charged.
    """

    def __init__(self, journal: Journal) -> None:
        """Keep them in the journal's database."""
        self._journal = journal

    def insert(self, entry: Entry) -> Entry | None:
        """Write `entry` unless its slot has one; give the one that it had, or None.

        Raises:
            RefusedError: the step has no stored release, or the entry is not about one.
            StorageError: it could not be made durable.
        """
        if entry.purpose is not Purpose.RELEASED:
            raise RefusedError("only a stored release is sent without a charge of its own")
        with self._journal.database.write() as connection:
            stored = connection.execute(
                "SELECT 1 FROM answers WHERE study = ? AND run = ? AND step = ?",
                (entry.study, entry.run, entry.step),
            ).fetchone()
            if stored is None:
                raise RefusedError("the step has no stored release")
            before = _earlier(connection, entry)
            if before is None:
                _keep(connection, entry, charge=None)
            return before


def _earlier(connection: Connection, entry: Entry) -> Entry | None:
    (document,) = connection.execute(
        "SELECT document FROM contexts"
        " WHERE purpose = ? AND study = ? AND run = ? AND step = ? AND attempt = ?",
        entry.slot,
    ).fetchone() or (None,)
    if document is None:
        return None
    try:
        return read_json(Entry, document.encode(), what="the stored context")
    except InvalidDocumentError:
        raise StorageError("a context in the node's database is damaged") from None


def _keep(connection: Connection, entry: Entry, *, charge: int | None) -> None:
    connection.execute(
        "INSERT INTO contexts (purpose, study, run, step, attempt, document, charge)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*entry.slot, documents.write(entry).decode(), charge),
    )
