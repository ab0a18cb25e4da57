"""A node's ledger for tests: opened in a folder, charged, exported."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.governance.cost import Event, PrivacyCost
from models.governance.step import StepKey
from models.ledger.entries import Head, fingerprint, key_text
from models.ledger.limits import DEFAULT, Limits
from node.ledger.export import lines
from node.ledger.journal import Journal, Owner
from node.ledger.ledger import Ledger, Subject

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUPILS = Subject(dataset="pupils", population="residents")


class Open:
    """A ledger in a folder; its clock can be set."""

    def __init__(
        self,
        folder: Path,
        *,
        key: Ed25519PrivateKey = KEY,
        limits: Limits = DEFAULT,
        department: str = "school",
    ) -> None:
        self.clock = NOW
        self.key = key
        owner = Owner(department=department, key=key)
        self.journal = Journal(folder / "node.db", owner=owner, now=lambda: self.clock)
        self.ledger = Ledger(self.journal, limits=limits)
        self.limits = limits

    @property
    def fingerprint(self) -> str:
        return fingerprint(key_text(self.key.public_key()))

    def charge(
        self,
        number: int,
        *events: Event,
        study: str = "a" * 64,
        step: str | None = None,
        about: Subject = PUPILS,
    ) -> None:
        """Charge one step, as long as the limits allow it."""
        self.ledger.charge(
            step=StepKey(study=study, run=7, step=step or f"train/{number}"),
            request="r",
            cost=PrivacyCost(events=events),
            about=about,
            allow=lambda _: None,
        )

    def head(self) -> Head:
        with self.journal.database.read() as connection:
            return self.journal.head(connection).head

    def export(self, since: Head | None = None) -> bytes:
        given = lines(
            self.journal, key=self.key, delta=self.limits.delta, at=self.clock, since=since
        )
        return b"".join(line + b"\n" for line in given)

    def close(self) -> None:
        self.journal.close()
