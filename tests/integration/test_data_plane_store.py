"""Runs and checkpoints as rows, in both databases."""

import dataclasses
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from studies import public_study

from coordinator.store import runs, studies
from coordinator.store.database import migrate, open_database, reading, writing
from models.errors import NotFoundError, RefusedError
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState
from models.governance.views import RunStatus, StudyStatus

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
STUDY = public_study()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    engine = open_database(url)
    migrate(engine)
    status = StudyStatus(
        study=STUDY,
        study_hash=STUDY.digest(),
        state=StudyState.READY,
        approvals=(),
        proposed_at=NOON,
        proposed_by=Principal(Role.CENTRAL, "anna"),
    )
    with writing(engine) as connection:
        studies.add(connection, status)
    yield engine
    engine.dispose()


def status(run_id: int = 2**62 + 1, **changes: object) -> RunStatus:
    base = RunStatus(
        run_id=run_id,
        study=STUDY.study,
        study_hash=STUDY.digest(),
        state=RunState.STARTING,
        rounds_done=0,
        rounds_total=3,
        message="",
        started_at=NOON,
        updated_at=NOON,
        departments=(),
    )
    return dataclasses.replace(base, **changes)


def study_state(database: Engine) -> StudyState:
    with reading(database) as connection:
        found = studies.find(connection, STUDY.digest())
    assert found is not None
    return found.state


def started(database: Engine, run: RunStatus) -> None:
    with writing(database) as connection:
        runs.add(connection, run, request_id=str(uuid.uuid4()))


def changed(database: Engine, run: RunStatus) -> None:
    with writing(database) as connection:
        runs.change(connection, run)


def test_a_run_comes_back_as_it_was(database: Engine) -> None:
    request_id = str(uuid.uuid4())
    with writing(database) as connection:
        assert runs.requested(connection, request_id) is None
        runs.add(connection, status(), request_id=request_id)
        assert runs.requested(connection, request_id) == status()
    later = status(
        state=RunState.TRAINING,
        rounds_done=2,
        message="åäö",
        departments=("care", "school"),
        updated_at=NOON + timedelta(seconds=5, microseconds=1),
    )
    changed(database, later)
    with reading(database) as connection:
        assert runs.get(connection, later.run_id) == later
        assert runs.unfinished(connection) == (later,)
        with pytest.raises(NotFoundError):
            runs.get(connection, 77)
    assert study_state(database) is StudyState.RUNNING


def test_lists_are_newest_first_and_by_study(database: Engine) -> None:
    old = status(5)
    started(database, old)
    changed(database, dataclasses.replace(old, state=RunState.STOPPED))
    new = status(6, started_at=NOON + timedelta(hours=1))
    started(database, new)
    with reading(database) as connection:
        assert [run.run_id for run in runs.newest(connection)] == [6, 5]
        for reference in (STUDY.study, STUDY.digest()):
            assert [run.run_id for run in runs.newest(connection, study=reference)] == [6, 5]
        assert runs.newest(connection, study="other") == ()
        assert [run.run_id for run in runs.unfinished(connection)] == [6]


def test_only_one_run_of_a_study_at_a_time(database: Engine) -> None:
    started(database, status(5))
    with pytest.raises(RefusedError):
        started(database, status(6))
    with reading(database) as connection:
        assert [run.run_id for run in runs.newest(connection)] == [5]


def test_a_move_that_the_table_does_not_have_is_refused(database: Engine) -> None:
    started(database, status())
    changed(database, status(state=RunState.STOPPED))
    with pytest.raises(RefusedError):
        changed(database, status(state=RunState.TRAINING))
    with pytest.raises(RefusedError):
        changed(database, status(state=RunState.FINISHED))


@pytest.mark.parametrize(
    ("end", "then"),
    [
        (RunState.FAILED, StudyState.READY),
        (RunState.STOPPED, StudyState.READY),
        (RunState.FINISHED, StudyState.FINISHED),
    ],
)
def test_the_end_of_a_run_frees_its_study_and_its_checkpoint(
    database: Engine, end: RunState, then: StudyState
) -> None:
    started(database, status())
    changed(database, status(state=RunState.TRAINING))
    changed(database, status(state=RunState.EVALUATING))
    with writing(database) as connection:
        runs.save_checkpoint(connection, status().run_id, round_number=3, content=b"abc")
    changed(database, status(state=end))
    assert study_state(database) is then
    with reading(database) as connection:
        assert runs.load_checkpoint(connection, status().run_id) is None


def test_an_approval_withdrawn_meanwhile_stays_withdrawn(database: Engine) -> None:
    started(database, status())
    with writing(database) as connection:
        studies.save_state(connection, STUDY.digest(), StudyState.REFUSED)
    changed(database, status(state=RunState.FAILED))
    assert study_state(database) is StudyState.REFUSED


def test_the_newest_checkpoint_replaces_the_one_before(database: Engine) -> None:
    started(database, status())
    run_id = status().run_id
    with writing(database) as connection:
        assert runs.load_checkpoint(connection, run_id) is None
        runs.save_checkpoint(connection, run_id, round_number=1, content=b"one")
        runs.save_checkpoint(connection, run_id, round_number=2, content=b"\x00two" * 100_000)
    with reading(database) as connection:
        assert runs.load_checkpoint(connection, run_id) == (2, b"\x00two" * 100_000)


def test_a_round_and_its_checkpoint_are_kept_together_or_not_at_all(database: Engine) -> None:
    def break_off() -> None:
        with writing(database) as connection:
            runs.save_checkpoint(connection, status().run_id, round_number=1, content=b"one")
            runs.change(connection, status(state=RunState.FINISHED))

    started(database, status())
    with pytest.raises(RefusedError):
        break_off()
    with reading(database) as connection:
        assert runs.load_checkpoint(connection, status().run_id) is None
