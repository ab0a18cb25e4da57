"""The ledger's tables, and what an earlier version had noted without them."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from sqlite3 import Connection

from models.errors import InvalidDocumentError, StorageError
from models.governance.approval import Approval
from models.governance.cost import NonPrivateEvent, PrivacyCost
from models.ledger.entries import ChargeEntry, DecisionEntry
from protos.codec import read_json

POPULATION = "residents"
"""The residents of a department: whom its datasets are about unless its settings say otherwise."""


def _never(table: str) -> tuple[str, ...]:
    """Give the triggers that keep every row of a table as it was written."""
    return tuple(
        f"CREATE TRIGGER IF NOT EXISTS {table}_{name} BEFORE {action} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} are never {done}'); END"
        for name, action, done in (("stay", "UPDATE", "changed"), ("remain", "DELETE", "deleted"))
    )


_TABLES = (
    # The columns are read out of the document: there is nothing that could contradict it.
    """
    CREATE TABLE entries (
        number INTEGER PRIMARY KEY, document TEXT NOT NULL,
        kind TEXT GENERATED ALWAYS AS (json_extract(document, '$.kind')),
        study TEXT GENERATED ALWAYS AS (json_extract(document, '$.study')),
        run TEXT GENERATED ALWAYS AS (json_extract(document, '$.run')),
        step TEXT GENERATED ALWAYS AS (json_extract(document, '$.step')),
        attempt INTEGER GENERATED ALWAYS AS (json_extract(document, '$.attempt')),
        request TEXT GENERATED ALWAYS AS (json_extract(document, '$.request'))
    ) STRICT
    """,
    "CREATE INDEX entries_by_step ON entries (study, run, step, attempt) WHERE kind = 'charge'",
    "CREATE TABLE heads (size INTEGER PRIMARY KEY, document TEXT NOT NULL) STRICT",
    """
    CREATE TABLE IF NOT EXISTS answers (
        study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
        reply BLOB NOT NULL, weight REAL, answered_at TEXT NOT NULL,
        PRIMARY KEY (study, run, step, attempt)
    ) STRICT
    """,
    *_never("entries"),
    *_never("heads"),
    *_never("answers"),
    # An earlier version of the program keeps its charges in a table of this name. It fails on
    # the view, rather than begin again with nothing spent.
    """
    CREATE VIEW charges AS SELECT number AS id, study, CAST(run AS INTEGER) AS run, step, attempt,
        request, json_extract(document, '$.cost') AS cost, json_extract(document, '$.at')
        AS charged_at FROM entries WHERE kind = 'charge'
    """,
)


DECISIONS = (
    """
    CREATE TABLE IF NOT EXISTS decisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        study TEXT NOT NULL, document BLOB NOT NULL, approval BLOB NOT NULL, submitted_at TEXT
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS decisions_by_study ON decisions (study, id)",
    """
    CREATE TRIGGER IF NOT EXISTS decisions_stay BEFORE UPDATE OF id, study, document, approval
        ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are never changed'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS decisions_remain BEFORE DELETE ON decisions
        BEGIN SELECT RAISE(ABORT, 'decisions are never deleted'); END
    """,
)
"""The steward's signed decisions, each of which is an entry too. For every database, old or new."""


CONTEXTS = (
    # A message of a secure sum is noted with its charge; what the witness gives costs nothing.
    """
    CREATE TABLE IF NOT EXISTS contexts (
        purpose TEXT NOT NULL, study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL,
        attempt INTEGER NOT NULL, document TEXT NOT NULL,
        charge INTEGER UNIQUE REFERENCES entries (number),
        PRIMARY KEY (purpose, study, run, step, attempt),
        CHECK ((purpose = 'message') = (charge IS NOT NULL))
    ) STRICT
    """,
    *_never("contexts"),
)
"""The contexts of secure sums that were used. For every database, old or new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What an earlier version had noted, in order of time; empty for a new database."""

    entries: tuple[DecisionEntry | ChargeEntry, ...] = ()


def make(connection: Connection) -> Noted | None:
    """Make the tables, in the transaction that is open; None: they were there already.

    Raises:
        StorageError: what an earlier version had noted cannot be read.
    """
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "entries" in names:
        return None
    try:
        decisions = _decisions(connection) if "decisions" in names else []
        charges = _charges(connection, "decisions" in names) if "charges" in names else []
    except (InvalidDocumentError, ValueError, LookupError, TypeError):
        raise StorageError(
            "the node's database holds a decision or charge of an earlier version that is damaged",
            hint="Nothing was changed. Keep the file; a backup in its place loses later charges.",
        ) from None
    if "charges" in names:
        connection.execute("DROP TABLE charges")
    for statement in _TABLES:
        connection.execute(statement)
    # Each keeps its own order, whatever its clock said: the newest decision stays the newest.
    return Noted(entries=tuple(merge(decisions, charges, key=lambda entry: entry.at)))


def decision_entry(approval: Approval, content: bytes) -> DecisionEntry:
    """Give the entry for a steward's decision; `content` are its canonical bytes."""
    return DecisionEntry(
        number=0,
        at=approval.statement.decided_at,
        study=approval.statement.study,
        decision=approval.statement.decision,
        approval=hashlib.sha256(content).hexdigest(),
    )


def _decisions(connection: Connection) -> list[DecisionEntry]:
    rows = connection.execute("SELECT approval FROM decisions ORDER BY id").fetchall()
    return [
        decision_entry(read_json(Approval, content, what="the stored approval"), content)
        for (content,) in rows
    ]


def _charges(connection: Connection, decided: bool) -> list[ChargeEntry]:  # noqa: FBT001 - a fact
    query = "SELECT DISTINCT study, document FROM decisions"
    documents = connection.execute(query).fetchall() if decided else []
    datasets = {study: json.loads(document)["dataset"] for study, document in documents}
    rows = connection.execute(
        "SELECT study, run, step, attempt, request, cost, charged_at FROM charges ORDER BY id"
    ).fetchall()
    found = []
    for study, run, step, attempt, request, content, charged_at in rows:
        cost = read_json(PrivacyCost, content, what="a charge")
        # A release without noise was never allowed but on data declared public.
        public = any(isinstance(event, NonPrivateEvent) for event in cost.events)
        found.append(
            ChargeEntry(
                number=0,
                at=datetime.fromisoformat(charged_at),
                study=study,
                run=str(run),
                step=step,
                attempt=attempt,
                request=request,
                dataset=datasets.get(study),
                population=None if public else POPULATION,
                cost=cost,
            )
        )
    return found
