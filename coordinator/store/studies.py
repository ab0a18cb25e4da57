"""Studies and the departments' decisions about them, as rows.

Functions take the connection of a transaction that the caller opened with
`database.reading` or `database.writing`.
"""

from sqlalchemy import Connection, Row, insert, or_, select, update

from coordinator.store.tables import approvals, studies
from models import documents
from models.governance import principal
from models.governance.approval import Approval
from models.governance.states import StudyState
from models.governance.views import StudyStatus
from protos.codec import read_json, read_study

NEWEST = 1000
"""How many studies a list holds: the limit in studies.proto."""


def add(connection: Connection, status: StudyStatus) -> None:
    """Keep a fresh study, which nobody has decided about."""
    connection.execute(
        insert(studies).values(
            study_hash=status.study_hash,
            study=status.study.study,
            document=status.study.canonical(),
            state=status.state.value,
            proposed_at=status.proposed_at,
            proposed_by=status.proposed_by.uri,
        )
    )


def find(connection: Connection, reference: str) -> StudyStatus | None:
    """Give the study with that id or hash; an id is shorter than a hash, so they never meet."""
    query = select(studies).where(
        or_(studies.c.study_hash == reference, studies.c.study == reference)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _status(connection, row)


def lock(connection: Connection, study_hash: str) -> None:
    """Hold the study against other changes until the transaction ends."""
    query = select(studies.c.state).where(studies.c.study_hash == study_hash).with_for_update()
    connection.execute(query).scalar_one()


def newest(connection: Connection) -> tuple[StudyStatus, ...]:
    """Give the studies, newest first."""
    query = select(studies).order_by(studies.c.proposed_at.desc(), studies.c.study).limit(NEWEST)
    return tuple(_status(connection, row) for row in connection.execute(query).all())


def save_state(connection: Connection, study_hash: str, state: StudyState) -> None:
    """Put the study in a state; the caller has checked the move."""
    query = update(studies).where(studies.c.study_hash == study_hash)
    connection.execute(query.values(state=state.value))


def save_approval(connection: Connection, approval: Approval) -> None:
    """Keep a department's decision in place of its earlier one."""
    statement = approval.statement
    same = (
        approvals.c.study_hash == statement.study,
        approvals.c.department == statement.department,
    )
    values = {"document": documents.write(approval), "decided_at": statement.decided_at}
    changed = connection.execute(update(approvals).where(*same).values(values))
    if changed.rowcount == 0:
        connection.execute(
            insert(approvals).values(
                study_hash=statement.study, department=statement.department, **values
            )
        )


def _status(connection: Connection, row: Row[tuple[object, ...]]) -> StudyStatus:
    query = (
        select(approvals.c.document)
        .where(approvals.c.study_hash == row.study_hash)
        .order_by(approvals.c.department)
    )
    return StudyStatus(
        study=read_study(bytes(row.document), what="a stored study"),
        study_hash=row.study_hash,
        state=StudyState(row.state),
        approvals=tuple(
            read_json(Approval, bytes(document), what="a stored approval")
            for document in connection.scalars(query)
        ),
        proposed_at=row.proposed_at,
        proposed_by=principal.parse(row.proposed_by),
    )
