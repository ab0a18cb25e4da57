"""What the entries of a ledger say, added up as they are read."""

import json
from dataclasses import dataclass, field
from datetime import UTC

from models import documents
from models.errors import InvalidDocumentError
from models.ledger.account import Account
from models.ledger.entries import (
    AnyEntry,
    ChargeEntry,
    DecisionEntry,
    Entry,
    KeyEntry,
    LimitsEntry,
)
from models.ledger.limits import Limits
from models.ledger.tree import Frontier

TOTAL = "total"


class EntryError(Exception):
    """An entry is not what may stand at its place; the text says why, for people."""


@dataclass(slots=True)
class Book:
    """A ledger as far as it was read.

    Attributes:
        tree: of the entries; for a ledger whose beginning is not at hand, of those before too.
        owner: the key entry in force.
        limits: the limits entry in force.
        decisions: the newest decision on each study (its hash).
        studies: everything charged, whatever the population.
        accounts: per population, and per year or `total`.
    """

    tree: Frontier = field(default_factory=Frontier)
    owner: KeyEntry | None = None
    limits: Limits | None = None
    decisions: dict[str, DecisionEntry] = field(default_factory=dict)
    studies: Account = field(default_factory=Account)
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)

    def read(self, content: bytes) -> Entry:
        """Take in the next entry (JSON) and give it.

        Raises:
            EntryError: it is not a known entry, or not the next one.
        """
        try:
            found = documents.read(AnyEntry, {"entry": json.loads(content)}, what="the entry").entry
        except (ValueError, RecursionError):
            raise EntryError("is not JSON") from None
        except InvalidDocumentError as error:
            raise EntryError(f"is not a known entry: {error.message}") from None
        return self.take(found, content)

    def take(self, found: Entry, content: bytes) -> Entry:
        """Take in the next entry, whose JSON is `content`, and give it.

        Raises:
            EntryError: it is not the next one.
        """
        if found.number != self.tree.size:
            raise EntryError(f"has number {found.number} where {self.tree.size} must follow")
        if not self.tree.size and not isinstance(found, KeyEntry):
            raise EntryError("is not a key, with which every ledger begins")
        try:
            self._add(found, content)
        except OverflowError:
            raise EntryError("has an impossible time") from None
        return found

    def _add(self, entry: Entry, content: bytes) -> None:
        self.tree = self.tree.add(content)
        if isinstance(entry, KeyEntry):
            self.owner = entry
        elif isinstance(entry, LimitsEntry):
            self.limits = Limits(per_year=entry.per_year, total=entry.total, delta=entry.delta)
        elif isinstance(entry, DecisionEntry):
            self.decisions[entry.study] = entry
        elif isinstance(entry, ChargeEntry):
            self.studies.add(entry.study, entry.part, entry.cost)
            for key in keys(entry):
                account = self.accounts.setdefault(key, Account())
                account.add(entry.study, entry.part, entry.cost)

    def account(self, population: str, what: str) -> Account:
        """Give what a population was charged in a year, or in `total`."""
        return self.accounts.get((population, what), Account())


def keys(entry: ChargeEntry) -> tuple[tuple[str, str], ...]:
    """Give the accounts that a charge belongs to: of its population, in all and for its year."""
    if entry.population is None:
        return ()
    return ((entry.population, TOTAL), (entry.population, year(entry)))


def year(entry: ChargeEntry) -> str:
    """Give the calendar year (UTC) of a charge."""
    return f"{entry.at.astimezone(UTC).year:04d}"
