"""Runs and their checkpoints, as rows.

Functions take the connection of a transaction that the caller opened with
`database.reading` or `database.writing`, so that a run, its study and its checkpoint change
together or not at all.
"""

import json

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from coordinator.store import totals
from coordinator.store.tables import checkpoints, runs, studies
from models.errors import NotFoundError
from models.governance import states
from models.governance.states import RunState, StudyState
from models.governance.views import RunStatus

NEWEST = 1000
"""How many runs a list holds: the limit in runs.proto."""

_ENDED = tuple(state.value for state in RunState if states.ended(state))


def add(connection: Connection, status: RunStatus, *, request_id: str) -> None:
    """Keep a fresh run; its study, which must be ready, is running from now on.

    Raises:
        RefusedError: the study is not ready.
    """
    _move_study(connection, status.study_hash, StudyState.RUNNING)
    connection.execute(
        insert(runs).values(
            run_id=status.run_id,
            request_id=request_id,
            study_hash=status.study_hash,
            study=status.study,
            started_at=status.started_at,
            **_changing(status),
        )
    )


def requested(connection: Connection, request_id: str) -> RunStatus | None:
    """Give the run that this request started, if it did."""
    row = connection.execute(select(runs).where(runs.c.request_id == request_id)).one_or_none()
    return None if row is None else _status(row)


def get(connection: Connection, run_id: int) -> RunStatus:
    """Give a run.

    Raises:
        NotFoundError: there is none of that id.
    """
    row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
    if row is None:
        raise NotFoundError(
            f"there is no run {run_id}", hint="`datalabbet run list` shows the runs."
        )
    return _status(row)


def newest(connection: Connection, *, study: str = "") -> tuple[RunStatus, ...]:
    """Give the runs, newest first; with `study` (id or hash) only that study's."""
    query = select(runs).order_by(runs.c.started_at.desc(), runs.c.run_id.desc()).limit(NEWEST)
    if study:
        query = query.where(or_(runs.c.study == study, runs.c.study_hash == study))
    return tuple(_status(row) for row in connection.execute(query))


def unfinished(connection: Connection) -> tuple[RunStatus, ...]:
    """Give the runs that have not ended, oldest first."""
    query = select(runs).where(runs.c.state.not_in(_ENDED)).order_by(runs.c.started_at)
    return tuple(_status(row) for row in connection.execute(query))


def change(connection: Connection, status: RunStatus, *, releases: int = 1) -> None:
    """Put a run where `status` says; a run that ends frees its study and its checkpoint.

    `releases`: how many runs of the study may finish. With the last of them the study finishes;
    before it, the study is ready for its next run.

    Raises:
        RefusedError: there is no way from its state to that one.
    """
    query = select(runs.c.state).where(runs.c.run_id == status.run_id).with_for_update()
    now = RunState(connection.execute(query).scalar_one())
    if now is not status.state:
        states.check_run(now, status.state)
    connection.execute(
        update(runs).where(runs.c.run_id == status.run_id).values(**_changing(status))
    )
    if states.ended(status.state):
        connection.execute(delete(checkpoints).where(checkpoints.c.run_id == status.run_id))
        totals.forget(connection, status.run_id)
        finished = status.state is RunState.FINISHED
        last = finished and finished_runs(connection, status.study_hash) >= releases
        then = StudyState.FINISHED if last else StudyState.READY
        _move_study(connection, status.study_hash, then)


def finished_runs(connection: Connection, study_hash: str) -> int:
    """Give how many runs of a study have finished."""
    query = select(func.count()).where(
        runs.c.study_hash == study_hash, runs.c.state == RunState.FINISHED.value
    )
    return connection.execute(query).scalar_one()


def save_checkpoint(
    connection: Connection, run_id: int, *, round_number: int, content: bytes
) -> None:
    """Keep what a run goes on from after `round_number`, in place of what was kept before.

    What was kept of the rounds since then (`totals`) is in it, and dropped.
    """
    totals.forget(connection, run_id)
    values = {"round": round_number, "content": content}
    changed = connection.execute(
        update(checkpoints).where(checkpoints.c.run_id == run_id).values(**values)
    )
    if changed.rowcount == 0:
        connection.execute(insert(checkpoints).values(run_id=run_id, **values))


def load_checkpoint(connection: Connection, run_id: int) -> tuple[int, bytes] | None:
    """Give the last completed round and what the run goes on from; None before the first."""
    query = select(checkpoints).where(checkpoints.c.run_id == run_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.round, bytes(row.content))


def _move_study(connection: Connection, study_hash: str, then: StudyState) -> None:
    query = select(studies.c.state).where(studies.c.study_hash == study_hash).with_for_update()
    now = StudyState(connection.execute(query).scalar_one())
    if now is not StudyState.RUNNING and then is not StudyState.RUNNING:
        return  # a department withdrew its approval while the run went on: that stands
    states.check_study(now, then)
    connection.execute(
        update(studies).where(studies.c.study_hash == study_hash).values(state=then.value)
    )


def _changing(status: RunStatus) -> dict[str, object]:
    return {
        "state": status.state.value,
        "rounds_done": status.rounds_done,
        "rounds_total": status.rounds_total,
        "message": status.message,
        "departments": json.dumps(status.departments),
        "updated_at": status.updated_at,
    }


def _status(row: Row[tuple[object, ...]]) -> RunStatus:
    return RunStatus(
        run_id=row.run_id,
        study=row.study,
        study_hash=row.study_hash,
        state=RunState(row.state),
        rounds_done=row.rounds_done,
        rounds_total=row.rounds_total,
        message=row.message,
        started_at=row.started_at,
        updated_at=row.updated_at,
        departments=tuple(json.loads(row.departments)),
    )
