"""The chain of what the coordinator received."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and refuse every change of what is in it."""
    op.create_table(
        "received",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("department", sa.String(length=63), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_received")),
        sa.UniqueConstraint("subject", name=op.f("uq_received_subject")),
    )
    op.create_index(
        op.f("ix_received_department_kind_number"), "received", ["department", "kind", "number"]
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _POSTGRESQL if postgresql else _SQLITE:
        op.execute(statement)


_SQLITE = (
    """
    CREATE TRIGGER received_stay BEFORE UPDATE ON received
        BEGIN SELECT RAISE(ABORT, 'what was received is never changed'); END
    """,
    """
    CREATE TRIGGER received_remain BEFORE DELETE ON received
        BEGIN SELECT RAISE(ABORT, 'what was received is never deleted'); END
    """,
)

_POSTGRESQL = (
    """
    CREATE FUNCTION received_stays() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'what was received is never changed'
                USING ERRCODE = 'integrity_constraint_violation';
        END
    $$
    """,
    """
    CREATE TRIGGER received_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON received
        FOR EACH STATEMENT EXECUTE FUNCTION received_stays()
    """,
)
