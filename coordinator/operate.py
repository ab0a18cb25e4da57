"""What the operator does at the coordinator's machine, beside a coordinator that runs or not.

It works on the home and the database alone: a running coordinator reads both anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from coordinator import home
from coordinator.fleet.enrolment import Enrolment, Invitation
from coordinator.home import Surroundings
from coordinator.rpc import health
from coordinator.store import database, runs
from coordinator.store import fleet as rows
from models.governance.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A member as the operator sees it."""

    principal: Principal
    revoked: bool
    expires_at: datetime
    software: str
    node_id: int

    def row(self) -> tuple[str, bool, str, str, int]:
        """Give the member as plain values: `role/name`, revoked, expiry, software, node id."""
        name = f"{self.principal.role.value}/{self.principal.name}"
        return name, self.revoked, self.expires_at.isoformat(), self.software, self.node_id


def invite(around: Surroundings, who: Principal, *, valid: timedelta) -> Invitation:
    """Make a token for a member."""
    with _enrolment(around) as enrolment:
        return enrolment.invite(who, valid=valid)


def revoke(around: Surroundings, who: Principal) -> None:
    """Revoke a member.

    Raises:
        NotFoundError: there is none of that name.
    """
    with _enrolment(around) as enrolment:
        enrolment.revoke(who)


def members(around: Surroundings) -> tuple[Enrolled, ...]:
    """Give everyone who is enrolled, by role and name."""
    with _database(around) as engine, database.reading(engine) as connection:
        return tuple(
            Enrolled(
                principal=row.principal,
                revoked=row.revoked,
                expires_at=expires_at,
                software=row.software,
                node_id=row.node_id,
            )
            for row, expires_at in rows.list_members(connection)
        )


def status(around: Surroundings) -> dict[str, object]:
    """Give the state of the coordinator as plain values, to be printed."""
    authority = home.open_authority(around)
    with _database(around) as engine, database.reading(engine) as connection:
        enrolled = [row for row, _ in rows.list_members(connection) if not row.revoked]
        going_on = runs.unfinished(connection)
        kind = engine.dialect.name
    serving = health.probe(
        home.reachable(around).enrolment,
        authority_pem=authority.pem,
        name=around.settings.names[0],
    )
    return {
        "home": str(around.home),
        "serving": serving,
        "listening": home.reachable(around).main,
        "enrolment": home.reachable(around).enrolment,
        "database": kind,
        "members": len(enrolled),
        "unfinished_runs": len(going_on),
        "authority_expires_at": authority.expires_at.isoformat(),
    }


@contextmanager
def _database(around: Surroundings) -> Iterator[Engine]:
    engine = home.open_migrated(around)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _enrolment(around: Surroundings) -> Iterator[Enrolment]:
    authority = home.open_authority(around)
    with _database(around) as engine:
        yield home.open_enrolment(around, engine=engine, authority=authority)
