"""The database itself: migrations, transactions, a full disk; SQLite and PostgreSQL."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, Integer, MetaData, Table, event, insert, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from coordinator.store.database import migrate, open_database, reading, writing
from coordinator.store.tables import approvals, metadata, settings, studies
from models.errors import ConfigurationError, StorageError


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    file = f"sqlite:///{tmp_path / 'test.db'}"
    return file if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = open_database(url)
    migrate(made)
    yield made
    made.dispose()


def differences(engine: Engine, wanted: MetaData) -> list[object]:
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, wanted)


def put(engine: Engine, key: str, value: str) -> None:
    with writing(engine) as connection:
        connection.execute(insert(settings).values(key=key, value=value))


def keys(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(select(settings.c.key).order_by(settings.c.key)))


def test_migrations_make_the_tables_that_the_code_expects(engine: Engine) -> None:
    assert differences(engine, metadata) == []


def test_a_difference_would_be_found(engine: Engine) -> None:
    wanted = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(wanted)
    wanted.tables["runs"].append_column(Column("spare", Integer))
    wanted.tables["runs"].c.state.type = sqlalchemy.String(17)
    Table("more", wanted, Column("id", Integer, primary_key=True))
    assert len(differences(engine, wanted)) == 3


def test_migrating_again_keeps_what_is_there(engine: Engine) -> None:
    put(engine, "kept", "yes")
    migrate(engine)
    assert keys(engine) == ["kept"]


def test_several_may_migrate_at_once(url: str) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        made = open_database(url)
        try:
            migrate(made)
        except BaseException as error:  # noqa: BLE001 - told below
            problems.append(error)
        finally:
            made.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_newer_database_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer version"):
        migrate(engine)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        "mysql://host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql+psycopg2://host/name",
    ],
)
def test_other_databases_are_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="neither an SQLite file nor a PostgreSQL"):
        open_database(bad)


def test_a_plain_postgresql_url_is_understood() -> None:
    engine = open_database("postgresql://user:secret@host/name")
    assert engine.dialect.driver == "psycopg"
    assert "secret" not in repr(engine)


def test_what_fails_in_between_leaves_nothing(engine: Engine) -> None:
    def change() -> None:
        with writing(engine) as connection:
            connection.execute(insert(settings).values(key="half", value="x"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert keys(engine) == []


def test_rows_must_belong_to_something(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(
            insert(approvals).values(
                study_hash="a" * 64,
                department="school",
                document=b"{}",
                decided_at=datetime.now(UTC),
            )
        )


def test_times_come_back_in_utc(engine: Engine) -> None:
    moment = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=2)))
    values = {"study_hash": "a" * 64, "study": "s", "document": b"\x00\xff", "state": "ready"}
    with writing(engine) as connection:
        connection.execute(insert(studies).values(**values, proposed_at=moment, proposed_by="anna"))
    with reading(engine) as connection:
        row = connection.execute(select(studies)).one()
    assert row.proposed_at == moment
    assert row.proposed_at.tzinfo is UTC
    assert bytes(row.document) == b"\x00\xff"
    with pytest.raises(StatementError, match="without a time zone"), writing(engine) as connection:
        connection.execute(
            insert(studies).values(
                **values | {"study_hash": "b" * 64},
                proposed_at=moment.replace(tzinfo=None),
                proposed_by="anna",
            )
        )


def test_writers_wait_for_each_other(engine: Engine) -> None:
    """Each reads and then writes: one that had only read would fail in SQLite, or lose counts."""
    put(engine, "count", "0")

    def work() -> None:
        for _ in range(10):
            with writing(engine) as connection:
                query = select(settings.c.value).where(settings.c.key == "count").with_for_update()
                value = int(connection.execute(query).scalar_one())
                connection.execute(
                    settings.update().where(settings.c.key == "count").values(value=str(value + 1))
                )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        assert connection.scalar(select(settings.c.value)) == "40"


def test_reading_goes_on_while_somebody_writes(engine: Engine) -> None:
    put(engine, "before", "x")
    with writing(engine) as connection:
        connection.execute(insert(settings).values(key="later", value="x"))
        assert keys(engine) == ["before"]
    assert keys(engine) == ["before", "later"]


def test_sqlite_is_set_up_to_outlive_a_power_cut(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    with reading(engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    engine.dispose()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    migrate(engine)
    put(engine, "before", "x")
    with reading(engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def fill(connection: object, record: object, proxy: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 5}").close()

    event.listen(engine, "checkout", fill)
    with pytest.raises(StorageError, match="no space left on its disk") as caught:
        put(engine, "large", "x" * 1_000_000)
    assert "nothing was changed" in caught.value.hint
    assert "xxx" not in str(caught.value.__cause__)
    assert keys(engine) == ["before"]
    put(engine, "small", "x")  # what fits still goes
    event.remove(engine, "checkout", fill)
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    put(engine, "large", "x" * 1_000_000)
    with reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    assert keys(engine) == ["before", "large", "small"]
    engine.dispose()


def test_a_lost_server_is_said(postgres: str) -> None:
    engine = open_database(postgres.replace("127.0.0.1:", "127.0.0.1:1") + "x")
    with pytest.raises(StorageError, match="did not answer"), reading(engine):
        pass
    with pytest.raises(StorageError, match="did not answer"):
        migrate(engine)
    engine.dispose()


def test_a_connection_that_was_cut_is_made_again(postgres: str) -> None:
    engine = open_database(postgres)
    migrate(engine)
    put(engine, "before", "x")
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = :name and pid <> "
    other = sqlalchemy.create_engine(postgres)
    with other.connect() as connection:
        connection.execute(
            text(cut + "pg_backend_pid()"), {"name": sqlalchemy.make_url(postgres).database}
        )
    other.dispose()
    assert keys(engine) == ["before"]
    engine.dispose()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'missing' / 'test.db'}")
    with pytest.raises(StorageError):
        migrate(engine)
    engine.dispose()
