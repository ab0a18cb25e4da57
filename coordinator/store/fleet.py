"""Members, their certificates, enrolment tokens and declared datasets, as rows.

Functions take the connection of a transaction that the caller opened with
`database.reading` or `database.writing`, so that a rule and its rows change together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from coordinator.store.tables import certificates, datasets, members, settings, tokens
from models import documents
from models.governance.principal import Principal, Role
from models.governance.views import CatalogueEntry
from models.schema import Declaration
from protos.codec import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A department or person that enrolled. `node_id` is 0 and the key empty for people."""

    principal: Principal
    identity_key: bytes
    node_id: int
    software: str
    revoked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """An enrolment token: whom it admits, until when, and which request used it."""

    principal: Principal
    expires_at: datetime
    used: bool
    request_id: str | None
    request_hash: str | None
    serial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """A certificate that was issued."""

    serial: str
    principal: Principal
    pem: str
    issued_at: datetime
    expires_at: datetime
    revoked: bool


# --- settings ------------------------------------------------------------------------------


def get_setting(connection: Connection, key: str) -> str | None:
    """Give the value kept under `key`."""
    value: str | None = connection.scalar(select(settings.c.value).where(settings.c.key == key))
    return value


def add_setting(connection: Connection, key: str, value: str) -> None:
    """Keep a value under a key that has none yet."""
    connection.execute(insert(settings).values(key=key, value=value))


# --- members -------------------------------------------------------------------------------


def get_member(connection: Connection, principal: Principal) -> MemberRow | None:
    """Give the member."""
    row = connection.execute(select(members).where(_is(members, principal))).one_or_none()
    return None if row is None else _member(row)


def list_members(connection: Connection) -> tuple[tuple[MemberRow, datetime], ...]:
    """Give each member and when its newest certificate expires, by role and name."""
    newest = (
        select(
            certificates.c.role,
            certificates.c.name,
            func.max(certificates.c.expires_at).label("expires_at"),
        )
        .group_by(certificates.c.role, certificates.c.name)
        .subquery()
    )
    same = and_(newest.c.role == members.c.role, newest.c.name == members.c.name)
    query = (
        select(members, newest.c.expires_at)
        .join(newest, same)
        .order_by(members.c.role, members.c.name)
    )
    return tuple((_member(row), row.expires_at) for row in connection.execute(query))


def save_member(
    connection: Connection,
    principal: Principal,
    *,
    identity_key: bytes,
    node_id: int,
    now: datetime,
) -> None:
    """Add the member, or give a returning one its new identity key; it is in good standing."""
    values = {"identity_key": identity_key or None, "node_id": node_id or None, "revoked_at": None}
    changed = connection.execute(update(members).where(_is(members, principal)).values(values))
    if changed.rowcount == 0:
        connection.execute(
            insert(members).values(
                role=principal.role.value,
                name=principal.name,
                software="",
                enrolled_at=now,
                **values,
            )
        )


def save_software(connection: Connection, principal: Principal, software: str) -> None:
    """Keep the version that the member's node told last."""
    query = update(members).where(_is(members, principal), members.c.software != software)
    connection.execute(query.values(software=software))


def revoke_member(connection: Connection, principal: Principal, *, now: datetime) -> int:
    """Revoke the member with its certificates, unused tokens and part of the catalogue.

    Who has not enrolled yet has tokens alone. Give how many tokens were withdrawn.
    """
    still = _is(members, principal), members.c.revoked_at.is_(None)
    connection.execute(update(members).where(*still).values(revoked_at=now))
    revoke_certificates(connection, principal, now=now)
    unused = _is(tokens, principal), tokens.c.used_at.is_(None)
    withdrawn = connection.execute(delete(tokens).where(*unused)).rowcount
    if principal.role is Role.DEPARTMENT:
        connection.execute(delete(datasets).where(datasets.c.department == principal.name))
    return withdrawn


def _member(row: Row[tuple[object, ...]]) -> MemberRow:
    return MemberRow(
        principal=Principal(Role(row.role), row.name),
        identity_key=row.identity_key or b"",
        node_id=row.node_id or 0,
        software=row.software,
        revoked=row.revoked_at is not None,
    )


# --- certificates --------------------------------------------------------------------------


def get_certificate(connection: Connection, serial: str) -> CertificateRow | None:
    """Give the certificate with that serial number."""
    query = select(certificates).where(certificates.c.serial == serial)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return CertificateRow(
        serial=row.serial,
        principal=Principal(Role(row.role), row.name),
        pem=row.pem,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
    )


def add_certificate(connection: Connection, certificate: CertificateRow) -> None:
    """Keep a certificate that was issued."""
    connection.execute(
        insert(certificates).values(
            serial=certificate.serial,
            role=certificate.principal.role.value,
            name=certificate.principal.name,
            pem=certificate.pem,
            issued_at=certificate.issued_at,
            expires_at=certificate.expires_at,
        )
    )


def revoke_certificates(connection: Connection, principal: Principal, *, now: datetime) -> None:
    """Revoke every certificate of the member that still stands."""
    still = _is(certificates, principal), certificates.c.revoked_at.is_(None)
    connection.execute(update(certificates).where(*still).values(revoked_at=now))


# --- tokens --------------------------------------------------------------------------------


def add_token(
    connection: Connection,
    secret_hash: str,
    principal: Principal,
    *,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep the hash of a fresh token."""
    connection.execute(
        insert(tokens).values(
            secret_hash=secret_hash,
            role=principal.role.value,
            name=principal.name,
            created_at=now,
            expires_at=expires_at,
        )
    )


def get_token(connection: Connection, secret_hash: str) -> TokenRow | None:
    """Give the token, held against other uses until the transaction ends."""
    query = select(tokens).where(tokens.c.secret_hash == secret_hash).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return TokenRow(
        principal=Principal(Role(row.role), row.name),
        expires_at=row.expires_at,
        used=row.used_at is not None,
        request_id=row.request_id,
        request_hash=row.request_hash,
        serial=row.serial,
    )


def use_token(
    connection: Connection,
    secret_hash: str,
    *,
    request_id: str,
    request_hash: str,
    serial: str,
    now: datetime,
) -> None:
    """Mark the token as used, by whom and for which certificate."""
    connection.execute(
        update(tokens)
        .where(tokens.c.secret_hash == secret_hash)
        .values(used_at=now, request_id=request_id, request_hash=request_hash, serial=serial)
    )


# --- the catalogue -------------------------------------------------------------------------


def replace_datasets(
    connection: Connection, who: Principal, declarations: Iterable[Declaration], *, now: datetime
) -> None:
    """Make `declarations` all that the department declares; unchanged ones keep their date."""
    department = who.name
    # Two lists of one department go one after the other.
    connection.execute(select(members.c.name).where(_is(members, who)).with_for_update())
    query = select(datasets).where(datasets.c.department == department)
    old = {row.name: row for row in connection.execute(query)}
    connection.execute(delete(datasets).where(datasets.c.department == department))
    for declaration in declarations:
        content = documents.write(declaration)
        before = old.get(declaration.name)
        same = before is not None and before.document == content
        connection.execute(
            insert(datasets).values(
                department=department,
                name=declaration.name,
                document=content,
                published_at=before.published_at if before is not None and same else now,
            )
        )


def list_datasets(connection: Connection, department: str = "") -> tuple[CatalogueEntry, ...]:
    """Give the catalogue by department and name, or one department's part of it."""
    query = select(datasets).order_by(datasets.c.department, datasets.c.name)
    if department:
        query = query.where(datasets.c.department == department)
    return tuple(
        CatalogueEntry(
            department=row.department,
            declaration=read_json(Declaration, row.document, what="a stored declaration"),
            published_at=row.published_at,
        )
        for row in connection.execute(query)
    )


def _is(table: Table, principal: Principal) -> ColumnElement[bool]:
    return and_(table.c.role == principal.role.value, table.c.name == principal.name)
