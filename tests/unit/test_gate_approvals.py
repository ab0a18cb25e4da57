"""What the steward approved is what may run, and nothing else passes for it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nodes import Department
from studies import study

from models import documents
from models.errors import DatalabbetError, RefusedError
from models.governance.approval import Decision, sign
from models.quantities import Epsilon


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    yield made
    made.close()


def test_an_approved_study_is_given(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    assert department.approvals.approved(wanted.digest()) == wanted


def test_an_unknown_study_is_refused(department: Department) -> None:
    with pytest.raises(RefusedError, match="was not approved"):
        department.approvals.approved(study().digest())


def test_the_newest_decision_stands(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    department.approvals.store(wanted, department.say(wanted, Decision.REFUSED))
    with pytest.raises(RefusedError, match="was refused"):
        department.approvals.approved(wanted.digest())
    department.approve(wanted)
    assert department.approvals.approved(wanted.digest()) == wanted


def test_a_decision_of_another_key_is_not_kept(department: Department) -> None:
    wanted = study()
    forged = department.say(wanted, key=Ed25519PrivateKey.generate())
    with pytest.raises(RefusedError, match="identity key"):
        department.approvals.store(wanted, forged)


def test_a_decision_of_another_department_is_not_kept(department: Department) -> None:
    wanted = study()
    with pytest.raises(RefusedError, match="another department"):
        department.approvals.store(wanted, department.say(wanted, department="care"))


def test_a_decision_on_another_study_is_not_kept(department: Department) -> None:
    wanted = study()
    other = replace(wanted, retention_days=1)
    with pytest.raises(RefusedError, match="another study"):
        department.approvals.store(wanted, department.say(other))


def forge(department: Department, statement: str, *values: object) -> None:
    """Change the database as someone could who can write the file."""
    connection = sqlite3.connect(department.database)
    for name in ("stay", "remain"):
        connection.execute(f"DROP TRIGGER decisions_{name}")
    assert connection.execute(statement, values).rowcount
    connection.commit()
    connection.close()


def weaker() -> bytes:
    base = study()
    privacy = replace(base.privacy, epsilon=Epsilon(50.0))
    return replace(base, privacy=privacy).canonical()


def test_a_study_changed_in_the_database_is_refused(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    forge(department, "UPDATE decisions SET document = ?", weaker())
    with pytest.raises(RefusedError, match="another study"):
        department.approvals.approved(wanted.digest())


def test_a_no_turned_into_a_yes_in_the_database_is_refused(department: Department) -> None:
    wanted = study()
    no = department.say(wanted, Decision.REFUSED)
    department.approvals.store(wanted, no)
    statement = replace(no.statement, decision=Decision.APPROVED)
    forged = documents.write(replace(no, statement=statement))
    forge(department, "UPDATE decisions SET approval = ?", forged)
    with pytest.raises(RefusedError, match="identity key"):
        department.approvals.approved(wanted.digest())


def test_an_approval_moved_to_another_hash_is_refused(department: Department) -> None:
    department.approve(study())
    other = replace(study(), retention_days=1).digest()
    forge(department, "UPDATE decisions SET study = ?", other)
    with pytest.raises(RefusedError, match="another study"):
        department.approvals.approved(other)


def test_garbage_in_the_database_is_refused(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    forge(department, "UPDATE decisions SET document = x'7b'")
    with pytest.raises(DatalabbetError, match="not valid"):
        department.approvals.approved(wanted.digest())


def test_what_the_coordinator_has_not_heard_is_listed_until_it_has(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    number = department.approvals.store(wanted, department.say(wanted, Decision.REFUSED))
    ((found, decision),) = department.approvals.unsubmitted()
    assert found == number
    assert decision.approval.statement.decision is Decision.REFUSED
    assert not department.approvals.newest(wanted.digest()).submitted
    department.approvals.submitted(number)
    assert department.approvals.unsubmitted() == ()
    assert department.approvals.newest(wanted.digest()).submitted


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM decisions WHERE id = 2",
        "UPDATE decisions SET study = 'x' WHERE id = 2",
        "UPDATE decisions SET id = 0 WHERE id = 2",
    ],
)
def test_a_withdrawal_that_was_taken_away_still_holds(
    department: Department, statement: str
) -> None:
    wanted = study()
    department.approve(wanted)
    department.approvals.store(wanted, department.say(wanted, Decision.REFUSED))
    with (
        sqlite3.connect(department.database) as connection,
        pytest.raises(sqlite3.IntegrityError, match="decisions are never"),
    ):
        connection.execute(statement)
    connection.close()
    forge(department, statement)
    assert department.approvals.newest(wanted.digest()).approval.statement.decision == "approved"
    with pytest.raises(RefusedError, match="not the one in the ledger"):
        department.approvals.approved(wanted.digest())


def test_an_earlier_yes_does_not_pass_for_the_newest(department: Department) -> None:
    wanted = study()
    department.approve(wanted)
    yes = replace(department.say(wanted).statement, reason="after all")
    department.approvals.store(wanted, sign(yes, department.key))
    forge(department, "DELETE FROM decisions WHERE id = 2")
    with pytest.raises(RefusedError, match="not the one in the ledger"):
        department.approvals.approved(wanted.digest())
