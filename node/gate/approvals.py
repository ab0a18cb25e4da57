"""The steward's decisions, kept at the node: what is not approved here does not run here."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sqlite3 import Connection

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models import documents
from models.errors import RefusedError
from models.governance.any_study import AnyStudy
from models.governance.approval import Approval, Decision, verify
from node.ledger.journal import Journal
from node.ledger.tables import DECISIONS, decision_entry
from protos.codec import read_json, read_study

_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDecision:
    """What was decided here about a study, and whether the coordinator has heard it."""

    study: AnyStudy
    approval: Approval
    submitted: bool


class Approvals:
    """The local decisions of one department, each verified with its own key when it is read.

    Formal guarantee: `approved` gives a study only if this department's identity key signed a
    yes to the hash of exactly that study, and that yes is the newest decision on it in the
    signed ledger. (Who can write the file can neither forge a yes nor take a newer no away,
    short of putting back an older copy of all of it.) Every decision is an entry of the ledger,
    in one transaction with its being kept.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        department: str,
        key: Ed25519PublicKey,
        now: Callable[[], datetime],
    ) -> None:
        """Open the store in the journal's database."""
        self._journal = journal
        self._database = journal.database
        self._department = department
        self._key = key
        self._now = now
        # What was verified once is not again: the same bytes under the same key stay signed. It
        # is asked for at every step, and reading a study takes longer than all else there.
        self._verified: dict[tuple[str, bytes, bytes], tuple[AnyStudy, Approval]] = {}
        with self._database.write() as connection:
            for statement in DECISIONS:
                connection.execute(statement)

    def store(self, study: AnyStudy, approval: Approval) -> int:
        """Keep a decision, not yet submitted; give its number.

        Raises:
            RefusedError: it is not this department's signed decision on that study.
        """
        self._verify(study, study.digest(), approval)
        content = documents.write(approval)
        with self._database.write() as connection:
            number = connection.execute(
                "INSERT INTO decisions (study, document, approval) VALUES (?, ?, ?)",
                (study.digest(), study.canonical(), content),
            ).lastrowid
            self._journal.append(connection, decision_entry(approval, content))
        assert number is not None  # noqa: S101 - an INSERT has given the row a number
        return number

    def submitted(self, number: int) -> None:
        """Note that the coordinator has taken the decision."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE decisions SET submitted_at = ? WHERE id = ?",
                (self._now().isoformat(), number),
            )

    def newest(self, study: str) -> LocalDecision | None:
        """Give the newest decision on the study (its hash), or None.

        Raises:
            RefusedError: what is stored was changed since it was signed.
        """
        with self._database.read() as connection:
            return self._newest(connection, study)

    def all(self) -> tuple[LocalDecision, ...]:
        """Give the newest decision of each study, in the order they were made.

        Raises:
            RefusedError: what is stored was changed since it was signed.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT study, document, approval, submitted_at FROM decisions WHERE id IN"
                " (SELECT MAX(id) FROM decisions GROUP BY study) ORDER BY id"
            ).fetchall()
        return tuple(self._read(*row) for row in rows)

    def once_approved(self) -> Iterator[AnyStudy]:
        """Give every study that was ever approved here, in the order of the decisions.

        What was refused later counts too: the keys in it were compared.

        Raises:
            RefusedError: what is stored was changed since it was signed.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT study, document, approval, submitted_at FROM decisions ORDER BY id"
            ).fetchall()
        for row in rows:
            decision = self._read(*row)
            if decision.approval.statement.decision is Decision.APPROVED:
                yield decision.study

    def unsubmitted(self) -> tuple[tuple[int, LocalDecision], ...]:
        """Give the newest decision of each study that the coordinator has not heard."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, study, document, approval FROM decisions WHERE submitted_at IS NULL"
                " AND id IN (SELECT MAX(id) FROM decisions GROUP BY study) ORDER BY id"
            ).fetchall()
        return tuple((row[0], self._read(row[1], row[2], row[3], None)) for row in rows)

    def approved(self, study: str) -> AnyStudy:
        """Give the study (named by its hash) that the steward approved. Raises as `approval`."""
        return self.approval(study).study

    def approval(self, study: str) -> LocalDecision:
        """Give the steward's yes to a study (named by its hash).

        Raises:
            RefusedError: it was not approved here, was refused, or what is stored was changed.
            StorageError: the ledger cannot be read, or is not what was signed.
        """
        # In one transaction, so that row and entry are of one moment.
        with self._database.read() as connection:
            decision = self._newest(connection, study)
            noted = self._journal.book(connection).decisions.get(study)
        if decision is None or decision.approval.statement.decision is not Decision.APPROVED:
            said = "was not approved" if decision is None else "was refused"
            raise RefusedError(
                f"the study {study[:12]} {said} at this node",
                hint="The steward can look at it with `datalabbet-node studies show`.",
            )
        said_here = (Decision.APPROVED, _digest(decision.approval))
        if noted is None or (noted.decision, noted.approval) != said_here:
            raise RefusedError(
                f"the newest decision on the study {study[:12]} is not the one in the ledger",
                hint="The node's database was changed. Restore it, then decide again.",
            )
        return decision

    def _newest(self, connection: Connection, study: str) -> LocalDecision | None:
        row = connection.execute(
            "SELECT document, approval, submitted_at FROM decisions WHERE study = ?"
            " ORDER BY id DESC LIMIT 1",
            (study,),
        ).fetchone()
        return None if row is None else self._read(study, *row)

    def _read(
        self, study: str, document: bytes, approval: bytes, submitted_at: str | None
    ) -> LocalDecision:
        key = study, document, approval
        found = self._verified.get(key)
        if found is None:
            found = (
                read_study(document, what="the stored study"),
                read_json(Approval, approval, what="the stored approval"),
            )
            self._verify(found[0], study, found[1])
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[key] = found
        return LocalDecision(study=found[0], approval=found[1], submitted=submitted_at is not None)

    def _verify(self, study: AnyStudy, study_hash: str, approval: Approval) -> None:
        """Refuse a decision that is not ours, not on this study, or not signed by our key."""
        statement = verify(approval, self._key)
        if statement.department != self._department:
            raise RefusedError("the stored decision is another department's")
        if not study.digest() == study_hash == statement.study:
            raise RefusedError(
                "the stored decision is about another study than the one it lies with",
                hint="The node's database was changed. Restore it, then decide again.",
            )


@lru_cache(maxsize=_REMEMBERED)
def _digest(approval: Approval) -> str:
    """Give the hash by which the ledger names a decision; it is asked for at every step."""
    return hashlib.sha256(documents.write(approval)).hexdigest()
