"""Releases in the database: saved once, never changed."""

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, insert, select

from coordinator.store.database import reading
from coordinator.store.tables import release_files, releases
from models.errors import NotFoundError
from models.governance.any_record import AnyRecord
from models.governance.record import RecordedFile
from models.governance.views import ReleaseFile, ReleaseSummary
from protos.codec import read_record

NEWEST = 1000
"""How many releases a list holds: the limit in releases.proto."""


def save(connection: Connection, *, record: AnyRecord, files: Mapping[str, bytes]) -> None:
    """Keep a release and its files, in the transaction that finishes the run. The first stands."""
    if _exists(connection, record.run_id):
        return
    connection.execute(
        insert(releases).values(
            run_id=record.run_id,
            study=record.study.study,
            created_at=record.created_at,
            record=record.canonical(),
        )
    )
    for name, content in sorted(files.items()):
        entry = RecordedFile.of(name, content)
        connection.execute(
            insert(release_files).values(
                run_id=record.run_id,
                name=entry.name,
                size=entry.size,
                sha256=entry.sha256,
                content=content,
            )
        )


def summaries(engine: Engine) -> tuple[ReleaseSummary, ...]:
    """Give the releases, newest first."""
    with reading(engine) as connection:
        found = connection.execute(
            select(releases.c.run_id, releases.c.study, releases.c.created_at)
            .order_by(releases.c.created_at.desc(), releases.c.run_id.desc())
            .limit(NEWEST)
        ).all()
        entries = connection.execute(
            select(
                release_files.c.run_id,
                release_files.c.name,
                release_files.c.size,
                release_files.c.sha256,
            ).order_by(release_files.c.name)
        ).all()
    files: dict[int, list[ReleaseFile]] = {}
    for entry in entries:
        file = ReleaseFile(name=entry.name, size=entry.size, sha256=entry.sha256)
        files.setdefault(entry.run_id, []).append(file)
    return tuple(
        ReleaseSummary(
            run_id=row.run_id,
            study=row.study,
            created_at=row.created_at,
            files=tuple(files.get(row.run_id, ())),
        )
        for row in found
    )


def get(engine: Engine, run_id: int) -> tuple[ReleaseSummary, AnyRecord]:
    """Give a release in short, and its record.

    Raises:
        NotFoundError: the run has no release.
    """
    with reading(engine) as connection:
        row = connection.execute(select(releases).where(releases.c.run_id == run_id)).one_or_none()
        if row is None:
            raise _missing(run_id)
        entries = connection.execute(
            select(release_files.c.name, release_files.c.size, release_files.c.sha256)
            .where(release_files.c.run_id == run_id)
            .order_by(release_files.c.name)
        ).all()
    record = read_record(bytes(row.record), what=f"the release of run {run_id}")
    summary = ReleaseSummary(
        run_id=row.run_id,
        study=row.study,
        created_at=row.created_at,
        files=tuple(
            ReleaseFile(name=item.name, size=item.size, sha256=item.sha256) for item in entries
        ),
    )
    return summary, record


def content(engine: Engine, run_id: int, name: str) -> bytes:
    """Give the content of one file.

    Raises:
        NotFoundError: the run has no release, or the release no such file.
    """
    with reading(engine) as connection:
        if not _exists(connection, run_id):
            raise _missing(run_id)
        found = connection.execute(
            select(release_files.c.content).where(
                release_files.c.run_id == run_id, release_files.c.name == name
            )
        ).scalar_one_or_none()
    if found is None:
        raise NotFoundError(
            f"the release of run {run_id} has no such file",
            hint="`datalabbet releases show` lists its files.",
        )
    return bytes(found)


def _exists(connection: Connection, run_id: int) -> bool:
    found = connection.execute(select(releases.c.run_id).where(releases.c.run_id == run_id))
    return found.first() is not None


def _missing(run_id: int) -> NotFoundError:
    return NotFoundError(
        f"run {run_id} has no release",
        hint="Only a finished run has one; `datalabbet releases list` shows them.",
    )
