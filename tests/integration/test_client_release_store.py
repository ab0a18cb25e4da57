"""Releases in SQLite and in PostgreSQL: saved once, newest first, byte for byte."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import studies

from coordinator import release
from coordinator.store import releases, runs
from coordinator.store import studies as study_rows
from coordinator.store.database import migrate, open_database, writing
from models.errors import NotFoundError
from models.families import network
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState
from models.governance.views import RunStatus, StudyStatus

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STUDY = studies.study()


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request, tmp_path):
    url = f"sqlite:///{tmp_path / 'c.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")
    made = open_database(url)
    migrate(made)
    with writing(made) as connection:
        status = StudyStatus(
            study=STUDY,
            study_hash=STUDY.digest(),
            state=StudyState.PROPOSED,
            approvals=(),
            proposed_at=NOW,
            proposed_by=Principal(Role.CENTRAL, "anna"),
        )
        study_rows.add(connection, status)
        study_rows.save_state(connection, STUDY.digest(), StudyState.READY)
    yield made
    made.dispose()


def finished(engine, run_id: int, *, made: datetime) -> release.ReleaseBundle:
    """Give the release of a run that is in the database."""
    status = RunStatus(
        run_id=run_id,
        study=STUDY.study,
        study_hash=STUDY.digest(),
        state=RunState.STARTING,
        rounds_done=0,
        rounds_total=1,
        message="",
        started_at=made,
        updated_at=made,
        departments=(),
    )
    with writing(engine) as connection:
        study_rows.save_state(connection, STUDY.digest(), StudyState.READY)
        runs.add(connection, status, request_id=f"{run_id:032d}")
    shapes = network.shapes(network.NetworkSpec.of(STUDY))
    return release.build(
        study=STUDY,
        run_id=run_id,
        parameters={name: np.full(shape, run_id, np.float32) for name, shape in shapes.items()},
        metrics=None,
        departments_by_round=[["school", "care"]],
        evaluated_by=[],
        created_at=made,
    )


def test_releases_are_kept_byte_for_byte_and_newest_first(engine) -> None:
    older = finished(engine, 7, made=NOW)
    newer = finished(engine, 2**47, made=NOW + timedelta(days=1))
    for bundle in (newer, older):
        with writing(engine) as connection:
            releases.save(connection, record=bundle.record, files=bundle.files)
    assert releases.summaries(engine) == (newer.summary, older.summary)
    summary, record = releases.get(engine, 7)
    assert (summary, record) == (older.summary, older.record)
    for name, content in older.files.items():
        assert releases.content(engine, 7, name) == content


def test_the_first_release_of_a_run_stands(engine) -> None:
    bundle = finished(engine, 7, made=NOW)
    with writing(engine) as connection:
        releases.save(connection, record=bundle.record, files=bundle.files)
    with writing(engine) as connection:
        releases.save(connection, record=bundle.record, files={"card.md": b"another"})
    assert releases.get(engine, 7)[0] == bundle.summary
    assert releases.content(engine, 7, "card.md") == bundle.files["card.md"]


def test_what_is_not_there(engine) -> None:
    with pytest.raises(NotFoundError, match="run 7 has no release"):
        releases.get(engine, 7)
    with pytest.raises(NotFoundError, match="run 7 has no release"):
        releases.content(engine, 7, "card.md")
    bundle = finished(engine, 7, made=NOW)
    with writing(engine) as connection:
        releases.save(connection, record=bundle.record, files=bundle.files)
    with pytest.raises(NotFoundError, match="no such file"):
        releases.content(engine, 7, "../card.md")
