"""The coordinator's chain of what it received: in order, once, durable, never changed."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from coordinator.ledger import chain
from coordinator.store.database import _alembic, migrate, open_database, reading, writing
from models import documents
from models.errors import InvalidDocumentError, RefusedError, UsageError
from models.ledger.entries import Head, SignedHead, sign
from models.ledger.received import (
    AnswerEntry,
    ContradictionEntry,
    Entry,
    HeadEntry,
    Mark,
    Page,
    Problem,
    kept_mark,
    mark_of,
    problem,
)
from protos import codec
from protos.ledger.v1 import ledger_pb2

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
STUDY = "a" * 64


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    file = f"sqlite:///{tmp_path / 'test.db'}"
    made = open_database(file if request.param == "sqlite" else request.getfixturevalue("postgres"))
    migrate(made)
    yield made
    made.dispose()


def head(size: int, root: str = "0", *, key: Ed25519PrivateKey = KEY) -> SignedHead:
    made = Head(size=size, root=root * 64, at=NOW)
    return SignedHead(head=made, signature=sign(made, key))


def report(
    engine: Engine,
    signed: SignedHead,
    *,
    department: str = "school",
    key: Ed25519PrivateKey = KEY,
    still: bool = True,
) -> Problem | None:
    with writing(engine) as connection:
        return chain.report(
            connection,
            department=department,
            public_key=key.public_key().public_bytes_raw(),
            signed=signed,
            at=NOW,
            still=lambda: still,
        )


def answered(engine: Engine, *departments: str, step: str = "train/1", attempt: int = 1) -> None:
    with writing(engine) as connection:
        chain.received(
            connection,
            departments=departments,
            study=STUDY,
            run=2**62,
            step=step,
            attempt=attempt,
            at=NOW,
        )


def whole(engine: Engine, *, first: int = 0) -> Page:
    with reading(engine) as connection:
        return chain.page(connection, first=first)


def entries(engine: Engine) -> list[Entry]:
    found = whole(engine)
    assert mark_of(found.entries) == found.mark
    assert [item.entry.number for item in found.entries] == list(range(found.mark.size))
    return [item.entry for item in found.entries]


def test_an_empty_chain(engine: Engine) -> None:
    assert entries(engine) == []
    assert whole(engine).mark == mark_of(())


def test_what_is_received_stands_in_its_order(engine: Engine) -> None:
    assert report(engine, head(1)) is None
    answered(engine, "school", "care")
    assert report(engine, head(3, "1")) is None
    answered(engine, "care", step="evaluate", attempt=2)
    found = entries(engine)
    assert [(e.kind, e.department) for e in found] == [
        ("head", "school"),
        ("answer", "school"),
        ("answer", "care"),
        ("head", "school"),
        ("answer", "care"),
    ]
    last = found[-1]
    assert isinstance(last, AnswerEntry)
    assert (last.study, last.run, last.step, last.attempt) == (STUDY, str(2**62), "evaluate", 2)
    assert last.at == NOW


def test_the_same_is_noted_once(engine: Engine) -> None:
    """A transaction whose end was not heard is done again."""
    for _ in range(2):
        report(engine, head(1))
        answered(engine, "school", "care")
    answered(engine, "school", "care", "taxes")
    assert len(entries(engine)) == 4
    answered(engine, "school", attempt=2)
    assert len(entries(engine)) == 5


def test_an_answer_is_noted_with_its_result_or_not_at_all(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            chain.received(
                connection,
                departments=["school"],
                study=STUDY,
                run=2,
                step="train/1",
                attempt=1,
                at=NOW,
            )
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert entries(engine) == []


@pytest.mark.parametrize(
    ("then", "said"),
    [(head(4), Problem.FEWER), (head(5, "1"), Problem.OTHER)],
)
def test_a_contradiction_is_noted_and_the_head_not_taken(
    engine: Engine, then: SignedHead, said: Problem
) -> None:
    assert report(engine, head(5)) is None
    assert report(engine, head(2), department="care") is None  # another department's
    assert report(engine, then) is said
    assert report(engine, then) is said
    found = entries(engine)
    assert len(found) == 3
    noted = found[-1]
    assert isinstance(noted, ContradictionEntry)
    assert (noted.problem, noted.against, noted.head) == (said, 0, then.head)
    assert report(engine, head(5)) is None  # still what it had reported
    assert report(engine, head(6, "2")) is None
    assert report(engine, then) is Problem.FEWER  # against another head now
    assert [e.kind for e in entries(engine)][-2:] == ["head", "contradiction"]


def test_a_head_that_the_department_did_not_sign_is_not_noted(engine: Engine) -> None:
    with pytest.raises(RefusedError, match="not signed with the department's identity key"):
        report(engine, head(1, key=OTHER))
    changed = replace(head(1), head=head(2).head)
    with pytest.raises(RefusedError):
        report(engine, changed)
    assert entries(engine) == []
    assert report(engine, head(1, key=OTHER), key=OTHER) is None
    (found,) = entries(engine)
    assert isinstance(found, HeadEntry)
    assert base64.b64decode(found.public_key) == OTHER.public_key().public_bytes_raw()


def test_who_has_given_up_is_not_noted(engine: Engine) -> None:
    report(engine, head(5))
    assert report(engine, head(4), still=False) is None
    assert len(entries(engine)) == 1


def test_several_add_at_once(engine: Engine) -> None:
    def work(name: str) -> None:
        for number in range(1, 11):
            answered(engine, name, step=f"train/{number}")
            report(engine, head(number), department=name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("aa", "bb", "cc", "dd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries(engine)) == 80


def test_a_long_chain_comes_in_parts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PAGE", 3)
    for number in range(1, 8):
        answered(engine, "school", step=f"train/{number}")
    parts = [whole(engine, first=first) for first in (0, 3, 6, 7, 99)]
    assert [len(part.entries) for part in parts] == [3, 3, 1, 0, 0]
    joined = [item for part in parts for item in part.entries]
    assert mark_of(joined) == parts[0].mark == parts[-1].mark


@pytest.mark.parametrize(
    "statement", ["update received set department = 'care'", "delete from received"]
)
def test_the_database_refuses_changes(engine: Engine, statement: str) -> None:
    answered(engine, "school")
    refused = pytest.raises(IntegrityError, match="what was received is never")
    with refused, writing(engine) as connection:
        connection.execute(text(statement))
    assert len(entries(engine)) == 1


def test_what_was_changed_all_the_same_shows(engine: Engine) -> None:
    answered(engine, "school", "care")
    before = whole(engine)
    with writing(engine) as connection:
        on = " on received" if engine.dialect.name == "postgresql" else ""
        connection.execute(text(f"drop trigger received_stay{on}"))
        other = documents.write(before.entries[0]).replace(b'"attempt":1', b'"attempt":2')
        change = text("update received set document = :other where number = 0")
        connection.execute(change, {"other": other})
    after = whole(engine)
    assert after.mark == before.mark
    assert mark_of(after.entries) != after.mark


def test_which_heads_contradict() -> None:
    five = head(5).head
    assert problem(five, before=None) is None
    assert problem(five, before=five) is None
    assert problem(replace(five, at=NOW.replace(year=2027)), before=five) is None
    assert problem(head(6, "9").head, before=five) is None
    assert problem(head(4).head, before=five) is Problem.FEWER
    assert problem(head(5, "9").head, before=five) is Problem.OTHER


def test_a_mark_is_found_in_what_was_printed() -> None:
    mark = Mark(size=3, root="f" * 64)
    assert kept_mark('{"chain": {"size": 3, "root": "' + "f" * 64 + '"}, "entries": []}') == mark
    for bad in ("", "[]", "{}", "3", '{"chain": 3}', '{"chain": {"size": -1, "root": "f"}}'):
        with pytest.raises(UsageError, match="no size and root"):
            kept_mark(bad)


def test_an_earlier_database_gets_the_chain(tmp_path: Path) -> None:
    made = open_database(f"sqlite:///{tmp_path / 'old.db'}")
    with writing(made) as connection:
        command.upgrade(_alembic(connection), "0001")
        connection.execute(text("insert into settings values ('kept', 'yes')"))
    migrate(made)
    answered(made, "school")
    assert len(entries(made)) == 1
    with reading(made) as connection:
        assert connection.scalar(text("select value from settings")) == "yes"
    made.dispose()


def test_only_a_possible_place_is_asked_for() -> None:
    assert codec.read_list_received(ledger_pb2.ListReceivedRequest(first=7)) == 7
    with pytest.raises(InvalidDocumentError, match="first: must be below"):
        codec.read_list_received(ledger_pb2.ListReceivedRequest(first=2**53))
