"""The tables of the coordinator's database: the state of members, studies, runs and releases.

No table has a place for a record, a resident id or a value of one: what a node sends is a
declaration, a signed decision or an aggregate. The same metadata serves SQLite and PostgreSQL;
`coordinator/store/migrations` brings a database to it, and a test compares the two.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Moment(TypeDecorator[datetime]):
    """An aware time, kept in UTC. SQLite has no time zones, so they are put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time in UTC, as the database's own type."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a time without a time zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored time, aware and in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_HEX64 = String(64)
_SLUG = String(63)
_ROLE = String(16)

settings = Table(
    "settings",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("role", _ROLE, primary_key=True),
    Column("name", _SLUG, primary_key=True),
    Column("identity_key", LargeBinary),  # departments: raw Ed25519 public key
    Column("node_id", BigInteger, unique=True),  # departments
    Column("software", String(40), nullable=False),
    Column("enrolled_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),  # lower-case hex
    Column("role", _ROLE, nullable=False),
    Column("name", _SLUG, nullable=False),
    Column("pem", Text, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    ForeignKeyConstraint(["role", "name"], ["members.role", "members.name"]),
    Index(None, "role", "name"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("secret_hash", _HEX64, primary_key=True),  # SHA-256; the secret itself is not kept
    Column("role", _ROLE, nullable=False),
    Column("name", _SLUG, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("request_id", String(36)),  # of the request that used it
    Column("request_hash", _HEX64),  # of that request's keys: a retry must carry the same
    Column("serial", String(40), ForeignKey("certificates.serial")),
)

datasets = Table(
    "datasets",
    metadata,
    Column("department", _SLUG, primary_key=True),
    Column("name", _SLUG, primary_key=True),
    Column("document", LargeBinary, nullable=False),  # Declaration, canonical JSON
    Column("published_at", Moment, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("study_hash", _HEX64, primary_key=True),
    Column("study", _SLUG, nullable=False, unique=True),
    Column("document", LargeBinary, nullable=False),  # Study, canonical JSON
    Column("state", String(16), nullable=False),  # models.governance.states.StudyState
    Column("proposed_at", Moment, nullable=False),
    Column("proposed_by", String(128), nullable=False),  # identity (SPIFFE id)
)

approvals = Table(
    "approvals",
    metadata,
    Column("study_hash", _HEX64, ForeignKey("studies.study_hash"), primary_key=True),
    Column("department", _SLUG, primary_key=True),
    Column("document", LargeBinary, nullable=False),  # Approval, canonical JSON
    Column("decided_at", Moment, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", BigInteger, primary_key=True, autoincrement=False),
    Column("request_id", String(36), nullable=False, unique=True),
    Column("study_hash", _HEX64, ForeignKey("studies.study_hash"), nullable=False),
    Column("study", _SLUG, nullable=False),
    Column("state", String(16), nullable=False),  # models.governance.states.RunState
    Column("rounds_done", Integer, nullable=False),
    Column("rounds_total", Integer, nullable=False),
    Column("message", String(2000), nullable=False),
    Column("departments", Text, nullable=False),  # JSON list of department ids
    Column("started_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Index(None, "study_hash"),
    Index(None, "state"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("run_id", BigInteger, ForeignKey("runs.run_id"), primary_key=True, autoincrement=False),
    Column("round", Integer, nullable=False),  # the last completed one
    Column("content", LargeBinary, nullable=False),  # safetensors
)

totals = Table(
    "totals",
    metadata,
    Column("run_id", BigInteger, ForeignKey("runs.run_id"), primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),  # after the checkpoint's
    Column("content", LargeBinary, nullable=False),  # safetensors
)

releases = Table(
    "releases",
    metadata,
    Column("run_id", BigInteger, ForeignKey("runs.run_id"), primary_key=True, autoincrement=False),
    Column("study", _SLUG, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("record", LargeBinary, nullable=False),  # ReleaseRecord, canonical JSON
)

release_files = Table(
    "release_files",
    metadata,
    Column(
        "run_id", BigInteger, ForeignKey("releases.run_id"), primary_key=True, autoincrement=False
    ),
    Column("name", String(100), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", _HEX64, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

received = Table(
    "received",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # of the entry, as its department
    Column("department", _SLUG, nullable=False),
    Column("subject", Text, nullable=False, unique=True),  # the same thing is noted once
    Column("document", LargeBinary, nullable=False),  # Received, canonical JSON
    Column("peaks", LargeBinary, nullable=False),  # of the tree of all entries up to this one
    Index(None, "department", "kind", "number"),
)
"""Only added to: triggers of the database refuse any change of a row that is there."""
