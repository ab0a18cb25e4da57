"""What every step cost and what was answered: charged first, answered once.

The ledger only grows: entries are never changed or deleted (the database refuses it, and the
signed heads would show it), so a crash cannot give anything back. Execution is at least once: an
answered step is answered again from here, free of charge; a step that was charged but not
answered is done again and charged again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection

from models.errors import ProtocolViolationError, StorageError
from models.governance.cost import PrivacyCost
from models.governance.step import StepKey
from models.ledger.book import Book
from models.ledger.entries import ChargeEntry, LimitsEntry, Part
from models.ledger.limits import Limits
from models.privacy.counts import counted, merged
from models.secagg.contexts import UsedContexts
from node.ledger.contexts import ChargedContexts
from node.ledger.journal import Journal
from node.ledger.meter import Meter

_OF_STEP = "study = ? AND run = ? AND step = ? AND attempt = ?"
_OF_CHARGE = f"kind = 'charge' AND {_OF_STEP}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a charge is about.

    Attributes:
        population: the residents of the dataset; None: it was declared public.
    """

    dataset: str
    population: str | None


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
        if self.training is None or self.evaluation is None:
            return self.training or self.evaluation
        return merged(self.training + self.evaluation)


class Ledger:
    """The charges and answers of one node."""

    def __init__(self, journal: Journal, *, limits: Limits) -> None:
        """Keep the journal, and the limits on each population."""
        self._journal = journal
        self._database = journal.database
        self._limits = limits
        self._meter = Meter(limits)

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
        about: Subject,
        allow: Callable[[Spending], None],
    ) -> bool:
        """Charge the step durably, if `allow` and the limits accept what will then be spent.

        `allow` is asked about the study, the limits about its population. The questions and the
        charge are one transaction: two runs cannot both take the last of a budget. Nothing is
        charged when either refuses, or when the step has been answered already: then it gives
        False, and nothing may be released but that answer.

        Raises:
            ProtocolViolationError: the step was asked before with another request.
            BudgetExhaustedError, RefusedError: a limit, or whatever `allow` raises.
            StorageError: the charge could not be made durable, or the ledger was changed.
        """
        with self._database.write() as connection:
            self._same_request(connection, step, request)
            answered = connection.execute(
                f"SELECT 1 FROM answers WHERE {_OF_STEP}",  # noqa: S608 - a constant
                _key(step),
            ).fetchone()
            if answered is not None:
                return False
            self._pay(connection, step=step, request=request, cost=cost, about=about, allow=allow)
        self._journal.take_in()
        return True

    def contexts(
        self,
        *,
        step: StepKey,
        request: str,
        cost: PrivacyCost,
        about: Subject,
        allow: Callable[[Spending], None],
    ) -> UsedContexts:
        """Give the memory of the node's one message to a step of a secure sum, which charges it.

        `use` raises, besides what `UsedContexts` says, whatever `charge` does: then nothing was
        noted and nothing charged. The parameters are those of `charge`.
        """

        def pay(connection: Connection) -> int:
            self._never_charged(connection, step)
            return self._pay(
                connection, step=step, request=request, cost=cost, about=about, allow=allow
            )

        return ChargedContexts(self._journal, step=step, pay=pay)

    def answer(self, step: StepKey, reply: bytes, weight: float | None) -> None:
        """Store the released content of a charged step; the first answer stands (`answered`).

        Raises:
            ProtocolViolationError: the step was never charged.
        """
        with self._database.write() as connection:
            charged = connection.execute(
                f"SELECT 1 FROM entries WHERE {_OF_CHARGE}",  # noqa: S608 - a constant
                _text_key(step),
            ).fetchone()
            if charged is None:
                raise ProtocolViolationError(f"the step {step} was answered but never charged")
            connection.execute(
                "INSERT OR IGNORE INTO answers (study, run, step, attempt, reply, weight,"
                " answered_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_key(step), reply, weight, self._journal.now().isoformat()),
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
        with self.book() as book:
            return _spent(book, study)

    def spent(self, study: str) -> PrivacyCost | None:
        """Give everything the study (its hash) was charged, or None."""
        return self.spending(study).total()

    @contextmanager
    def book(self) -> Iterator[Book]:
        """Give the ledger as it is now, for reading.

        Raises:
            StorageError: it cannot be read, or is not what was signed.
        """
        with self._database.read() as connection:
            yield self._journal.book(connection)

    def close(self) -> None:
        """Close the database."""
        self._journal.close()

    def _pay(
        self,
        connection: Connection,
        *,
        step: StepKey,
        request: str,
        cost: PrivacyCost,
        about: Subject,
        allow: Callable[[Spending], None],
    ) -> int:
        """Append the charge, if `allow` and the limits accept it; give its number."""
        book = self._journal.book(connection)
        entry = ChargeEntry(
            number=0,
            at=self._journal.time(),
            study=step.study,
            run=str(step.run),
            step=step.step,
            attempt=step.attempt,
            request=request,
            dataset=about.dataset,
            population=about.population,
            cost=cost,
        )
        allow(_spent(book, step.study, entry))
        self._meter.check(book, entry)
        return self._journal.append(connection, *self._changed_limits(book, entry.at), entry)

    @staticmethod
    def _never_charged(connection: Connection, step: StepKey) -> None:
        """Refuse a charge whose context is gone: the ledger is signed, the contexts are not."""
        row = connection.execute(
            f"SELECT 1 FROM entries WHERE {_OF_CHARGE}",  # noqa: S608 - a constant
            _text_key(step),
        ).fetchone()
        if row is not None:
            raise StorageError(
                f"the step {step} was charged, and its context is not among those that were used",
                hint="Nothing was sent. Keep the node's database and find out what changed it.",
            )

    def _changed_limits(self, book: Book, at: datetime) -> tuple[LimitsEntry, ...]:
        """Give an entry for the limits, if the ledger does not say that they hold."""
        if book.limits == self._limits:
            return ()
        limits = self._limits
        entry = LimitsEntry(
            number=0,
            at=at,
            per_year=limits.per_year,
            total=limits.total,
            delta=limits.delta,
        )
        return (entry,)

    @staticmethod
    def _same_request(connection: Connection, step: StepKey, request: str) -> None:
        row = connection.execute(
            f"SELECT 1 FROM entries WHERE {_OF_CHARGE} AND request <> ?",  # noqa: S608 - a constant
            (*_text_key(step), request),
        ).fetchone()
        if row is not None:
            raise ProtocolViolationError(
                f"the step {step} was asked again with other parameters",
                hint="A changed request needs an attempt of its own.",
            )


def _key(step: StepKey) -> tuple[str, int, str, int]:
    return (step.study, step.run, step.step, step.attempt)


def _text_key(step: StepKey) -> tuple[str, str, str, int]:
    """Give the key as entries have it: a run is a text in JSON."""
    return (step.study, str(step.run), step.step, step.attempt)


def _spent(book: Book, study: str, more: ChargeEntry | None = None) -> Spending:
    """Give what a study was charged, with one charge more."""
    account = book.studies
    if more is not None:
        account = account.plus(study, more.part, more.cost)
    parts = account.studies.get(study, {})
    costs = {part: counted(tally) for part, tally in parts.items()}
    return Spending(
        training=costs.get(Part.TRAINING),
        evaluation=costs.get(Part.EVALUATION),
        charges=account.charges.get(study, 0),
    )
