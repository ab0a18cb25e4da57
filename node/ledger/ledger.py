"""What every step cost and what was answered: charged first, answered once.

The ledger only grows: charges are never changed or deleted (the database refuses it), so a
crash cannot give anything back. Execution is at least once: an answered step is answered
again from here, free of charge; a step that was charged but not answered is done again and
charged again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

from models import documents
from models.errors import ProtocolViolationError
from models.governance.cost import Event, PrivacyCost, SampledGaussianEvent
from models.governance.step import StepKey
from models.quantities import NoiseMultiplier, SamplingRate
from node.ledger.database import Database
from protos.codec import read_json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    request TEXT NOT NULL, cost BLOB NOT NULL, charged_at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS charges_by_study ON charges (study, step);
CREATE TABLE IF NOT EXISTS answers (
    study TEXT NOT NULL, run INTEGER NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    reply BLOB NOT NULL, weight REAL, answered_at TEXT NOT NULL,
    PRIMARY KEY (study, run, step, attempt)
) STRICT;
CREATE TRIGGER IF NOT EXISTS charges_stay BEFORE UPDATE ON charges
    BEGIN SELECT RAISE(ABORT, 'charges are never changed'); END;
CREATE TRIGGER IF NOT EXISTS charges_remain BEFORE DELETE ON charges
    BEGIN SELECT RAISE(ABORT, 'charges are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS answers_stay BEFORE UPDATE ON answers
    BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END;
CREATE TRIGGER IF NOT EXISTS answers_remain BEFORE DELETE ON answers
    BEGIN SELECT RAISE(ABORT, 'answers are never deleted'); END;
"""
_OF_STEP = "study = ? AND run = ? AND step = ? AND attempt = ?"
_TRAINING = "step LIKE 'train/%'"
_EVALUATION = "step = 'evaluate'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Everything a study was charged at this node, every attempt counted; None is nothing.

    Training and evaluation use disjoint residents, so they are kept apart. `charges` is how
    often something was charged.
    """

    training: PrivacyCost | None = None
    evaluation: PrivacyCost | None = None
    charges: int = 0

    def total(self) -> PrivacyCost | None:
        """Give both composed, or None if nothing was charged."""
        return compose([(cost, 1) for cost in (self.training, self.evaluation) if cost])


def compose(costs: Iterable[tuple[PrivacyCost, int]]) -> PrivacyCost | None:
    """Give each cost, so many times, composed; equal sampled sums are counted together."""
    sampled: dict[tuple[SamplingRate, NoiseMultiplier], int] = {}
    others: list[Event] = []
    for cost, times in costs:
        for event in cost.events:
            if isinstance(event, SampledGaussianEvent):
                key = (event.sampling, event.noise)
                sampled[key] = sampled.get(key, 0) + times * event.count
            else:
                others.extend([event] * times)
    merged = (
        SampledGaussianEvent(sampling=sampling, noise=noise, count=count)
        for (sampling, noise), count in sampled.items()
    )
    events: tuple[Event, ...] = (*others, *merged)
    return PrivacyCost(events=events) if events else None


class Ledger:
    """The charges and answers of one node, in its database."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        """Open the ledger in the database at `path`; `now` dates its entries."""
        self._database = Database(path, schema=_SCHEMA)
        self._now = now

    def answered(self, step: StepKey, request: str) -> bytes | None:
        """Give the stored answer to the step, or None if it has not been answered.

        `request` is the digest of what the step was asked to work on.

        Raises:
            ProtocolViolationError: the step was asked before with another request.
        """
        with self._database.read() as connection:
            self._same_request(connection, step, request)
            row = connection.execute(
                f"SELECT reply FROM answers WHERE {_OF_STEP}",  # noqa: S608 - a constant
                _key(step),
            ).fetchone()
        return None if row is None else bytes(row[0])

    def charge(
        self,
        *,
        step: StepKey,
        request: str,
        cost: PrivacyCost,
        allow: Callable[[Spending], None],
    ) -> bool:
        """Charge the step durably, if `allow` accepts what the study will then have spent.

        The question and the charge are one transaction: two runs of a study cannot both take
        the last of its budget. Nothing is charged when `allow` raises, or when the step has
        been answered already: then it gives False, and nothing may be released but that answer.

        Raises:
            ProtocolViolationError: the step was asked before with another request.
            BudgetExhaustedError, RefusedError: whatever `allow` raises.
            StorageError: the charge could not be made durable.
        """
        with self._database.write() as connection:
            self._same_request(connection, step, request)
            answered = connection.execute(
                f"SELECT 1 FROM answers WHERE {_OF_STEP}",  # noqa: S608 - a constant
                _key(step),
            ).fetchone()
            if answered is not None:
                return False
            row = (*_key(step), request, documents.write(cost), self._now().isoformat())
            connection.execute(
                "INSERT INTO charges (study, run, step, attempt, request, cost, charged_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            allow(_spent(connection, step.study))
        return True

    def answer(self, step: StepKey, reply: bytes, weight: float | None) -> None:
        """Store the released content of a charged step; the first answer stands (`answered`).

        Raises:
            ProtocolViolationError: the step was never charged.
        """
        with self._database.write() as connection:
            charged = connection.execute(
                f"SELECT 1 FROM charges WHERE {_OF_STEP}",  # noqa: S608 - a constant
                _key(step),
            ).fetchone()
            if charged is None:
                raise ProtocolViolationError(f"the step {step} was answered but never charged")
            connection.execute(
                "INSERT OR IGNORE INTO answers (study, run, step, attempt, reply, weight,"
                " answered_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_key(step), reply, weight, self._now().isoformat()),
            )

    def weight(self, study: str, run: int) -> float | None:
        """Give the weight that a step of the study released first, or None.

        This run's, else an earlier run's of the same study: what was paid for once is known.
        """
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT weight FROM answers WHERE study = ? AND weight IS NOT NULL"
                " ORDER BY run <> ?, rowid LIMIT 1",
                (study, run),
            ).fetchone()
        return None if row is None else float(row[0])

    def spending(self, study: str) -> Spending:
        """Give what the study (its hash) was charged, training and evaluation apart."""
        with self._database.read() as connection:
            return _spent(connection, study)

    def spent(self, study: str) -> PrivacyCost | None:
        """Give everything the study (its hash) was charged, or None."""
        return self.spending(study).total()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @staticmethod
    def _same_request(connection: Connection, step: StepKey, request: str) -> None:
        row = connection.execute(
            f"SELECT 1 FROM charges WHERE {_OF_STEP} AND request <> ?",  # noqa: S608 - a constant
            (*_key(step), request),
        ).fetchone()
        if row is not None:
            raise ProtocolViolationError(
                f"the step {step} was asked again with other parameters",
                hint="A changed request needs an attempt of its own.",
            )


def _key(step: StepKey) -> tuple[str, int, str, int]:
    return (step.study, step.run, step.step, step.attempt)


def _spent(connection: Connection, study: str) -> Spending:
    def charged(condition: str) -> list[tuple[PrivacyCost, int]]:
        rows = connection.execute(
            f"SELECT cost, COUNT(*) FROM charges WHERE study = ? AND {condition} GROUP BY cost",  # noqa: S608 - constants
            (study,),
        )
        return [(read_json(PrivacyCost, row[0], what="a charge"), row[1]) for row in rows]

    training, evaluation = charged(_TRAINING), charged(_EVALUATION)
    return Spending(
        training=compose(training),
        evaluation=compose(evaluation),
        charges=sum(times for _, times in (*training, *evaluation)),
    )
