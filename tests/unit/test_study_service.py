"""The register of studies: proposals, decisions, and the state that follows; both databases."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from city import ANALYST, CENTRAL, Clock, department
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from studies import AGE, DEPARTMENTS, TEXT, declaration, public_study, study

from coordinator.store import fleet as rows
from coordinator.store import runs
from coordinator.store.database import migrate, open_database, writing
from coordinator.studies.service import StudyService
from models.errors import (
    AlreadyExistsError,
    InvalidDocumentError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
)
from models.governance.approval import Approval, Decision, Statement, sign
from models.governance.states import RunState, StudyState
from models.governance.study import Study
from models.governance.views import RunStatus, StudyStatus
from models.schema import Declaration

STUDY = study()


class Register:
    """The service with three departments that declared the tests' dataset."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.engine: Engine = open_database(url)
        migrate(self.engine)
        self.service = StudyService(engine=self.engine, clock=self.clock)
        self.keys = {name: Ed25519PrivateKey.generate() for name in DEPARTMENTS}
        for number, (name, key) in enumerate(self.keys.items(), start=2):
            with writing(self.engine) as connection:
                rows.save_member(
                    connection,
                    department(name),
                    identity_key=key.public_key().public_bytes_raw(),
                    node_id=number,
                    now=self.clock(),
                )
            self.declare(name, declaration())

    def declare(self, name: str, *declarations: Declaration) -> None:
        with writing(self.engine) as connection:
            rows.replace_datasets(connection, department(name), declarations, now=self.clock())

    def propose(self, made: Study = STUDY) -> StudyStatus:
        return self.service.propose(made, by=CENTRAL)

    def approval(
        self,
        name: str,
        decision: Decision = Decision.APPROVED,
        *,
        later: float = 0,
        made: Study = STUDY,
    ) -> Approval:
        statement = Statement(
            study=made.digest(),
            department=name,
            decision=decision,
            steward="The steward",
            decided_at=self.clock() + timedelta(seconds=later),
        )
        return sign(statement, self.keys[name])

    def decide(self, name: str, decision: Decision = Decision.APPROVED, **more) -> StudyState:
        approval = self.approval(name, decision, **more)
        return self.service.decide(approval, by=department(name)).state

    def run(self) -> RunStatus:
        now = self.clock()
        status = RunStatus(
            run_id=77,
            study=STUDY.study,
            study_hash=STUDY.digest(),
            state=RunState.STARTING,
            rounds_done=0,
            rounds_total=3,
            message="",
            started_at=now,
            updated_at=now,
            departments=(),
        )
        with writing(self.engine) as connection:
            runs.add(connection, status, request_id="0" * 36)
        return status

    def state(self) -> StudyState:
        return self.service.get(STUDY.study, reader=CENTRAL).state


@pytest.fixture(params=["sqlite", "postgresql"])
def register(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Register]:
    file = f"sqlite:///{tmp_path / 'test.db'}"
    url = file if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Register(url)
    yield made
    made.engine.dispose()


def test_a_study_is_registered_as_it_is(register: Register) -> None:
    status = register.propose()
    assert status.state is StudyState.PROPOSED
    for reference in (STUDY.study, STUDY.digest()):
        found = register.service.get(reference, reader=CENTRAL)
        assert found == status
        assert found.study == STUDY
        assert found.proposed_by == CENTRAL


def test_proposing_again_changes_nothing(register: Register) -> None:
    first = register.propose()
    register.decide("school")
    register.declare("care")  # the catalogue has moved on meanwhile
    again = register.service.propose(STUDY, by=replace(CENTRAL, name="bo-ek"))
    assert again.proposed_by == CENTRAL
    assert (again.proposed_at, len(again.approvals)) == (first.proposed_at, 1)


def test_another_study_of_the_same_id_is_refused(register: Register) -> None:
    register.propose()
    with pytest.raises(AlreadyExistsError, match="another study has the id pupils-pass"):
        register.propose(replace(STUDY, retention_days=30))


def test_an_unknown_department_is_named(register: Register) -> None:
    made = replace(STUDY, departments=(*DEPARTMENTS, "harbour"))
    with pytest.raises(InvalidDocumentError, match="harbour has not declared the dataset pupils"):
        register.propose(made)


def test_an_unknown_dataset_is_named(register: Register) -> None:
    register.declare("care", declaration(name="patients"))
    with pytest.raises(InvalidDocumentError, match="care has not declared the dataset pupils"):
        register.propose()


def test_an_undeclared_column_is_named(register: Register) -> None:
    columns = tuple(c for c in declaration().columns if c.name != "income")
    register.declare("labour", declaration(columns=columns))
    with pytest.raises(InvalidDocumentError) as caught:
        register.propose()
    assert [str(p) for p in caught.value.problems] == [
        "variables.income: labour does not declare the column income"
    ]


def test_a_column_declared_differently_is_named(register: Register) -> None:
    columns = (replace(AGE, maximum=120), *declaration().columns[1:])
    register.declare("labour", declaration(columns=columns))
    with pytest.raises(InvalidDocumentError, match="labour declares age with another type"):
        register.propose()


def test_bounds_that_nobody_declares_are_refused(register: Register) -> None:
    columns = (replace(AGE, maximum=1000), *STUDY.columns[1:])
    with pytest.raises(InvalidDocumentError, match="not what the departments declare"):
        register.propose(replace(STUDY, columns=columns))


def test_no_protection_needs_public_data(register: Register) -> None:
    with pytest.raises(InvalidDocumentError, match="has not declared pupils public"):
        register.propose(public_study())


def test_a_revoked_department_declares_nothing(register: Register) -> None:
    with writing(register.engine) as connection:
        rows.revoke_member(connection, department("care"), now=register.clock())
    with pytest.raises(InvalidDocumentError, match="care has not declared"):
        register.propose()


def test_a_study_is_ready_when_all_approved(register: Register) -> None:
    register.propose()
    assert register.decide("school") is StudyState.PROPOSED
    assert register.decide("care") is StudyState.PROPOSED
    assert register.decide("labour") is StudyState.READY
    found = register.service.get(STUDY.study, reader=CENTRAL)
    assert [a.statement.department for a in found.approvals] == sorted(DEPARTMENTS)


def test_the_newest_decision_of_a_department_stands(register: Register) -> None:
    register.propose()
    yes = register.approval("school", later=1)
    no = register.approval("school", Decision.REFUSED, later=2)
    decide = register.service.decide
    assert decide(no, by=department("school")).state is StudyState.REFUSED
    late = decide(yes, by=department("school"))  # arrives late, or is replayed
    assert (late.state, late.approvals) == (StudyState.REFUSED, (no,))
    assert decide(no, by=department("school")).approvals == (no,)
    assert register.decide("school", later=3) is StudyState.PROPOSED


def test_a_ready_study_can_be_refused_and_approved_again(register: Register) -> None:
    register.propose()
    for name in DEPARTMENTS:
        register.decide(name)
    assert register.decide("care", Decision.REFUSED, later=1) is StudyState.REFUSED
    assert register.decide("care", later=2) is StudyState.READY


def test_a_refusal_during_a_run_stands_and_can_be_taken_back(register: Register) -> None:
    register.propose()
    for name in DEPARTMENTS:
        register.decide(name)
    going = register.run()
    assert register.decide("school", later=1) is StudyState.RUNNING
    assert register.decide("care", Decision.REFUSED, later=1) is StudyState.REFUSED
    assert register.decide("care", later=2) is StudyState.RUNNING
    with writing(register.engine) as connection:
        runs.change(connection, replace(going, state=RunState.STOPPED))
    assert register.state() is StudyState.READY


def test_a_finished_study_takes_no_decision(register: Register) -> None:
    register.propose()
    for name in DEPARTMENTS:
        register.decide(name)
    going = register.run()
    with writing(register.engine) as connection:
        for state in (RunState.TRAINING, RunState.EVALUATING, RunState.FINISHED):
            runs.change(connection, replace(going, state=state))
    assert register.state() is StudyState.FINISHED
    with pytest.raises(RefusedError, match="is finished"):
        register.decide("care", Decision.REFUSED, later=1)


def test_an_approval_with_another_key_is_refused(register: Register) -> None:
    register.propose()
    approval = register.approval("school")
    forged = sign(approval.statement, Ed25519PrivateKey.generate())
    with pytest.raises(RefusedError, match="not signed with that department's identity key"):
        register.service.decide(forged, by=department("school"))
    changed = replace(approval, statement=replace(approval.statement, steward="Somebody else"))
    with pytest.raises(RefusedError, match="not signed"):
        register.service.decide(changed, by=department("school"))
    assert register.service.get(STUDY.study, reader=CENTRAL).approvals == ()


def test_a_department_sends_its_own_decisions_only(register: Register) -> None:
    register.propose()
    approval = register.approval("school")
    for sender in (department("care"), CENTRAL, replace(CENTRAL, name="school")):
        with pytest.raises(NotAllowedError):
            register.service.decide(approval, by=sender)


def test_a_decision_from_the_future_is_refused(register: Register) -> None:
    register.propose()
    with pytest.raises(RefusedError, match="dated in the future"):
        register.decide("school", later=3600)


def test_a_decision_about_no_study_is_refused(register: Register) -> None:
    with pytest.raises(NotFoundError):
        register.decide("school")


def test_a_department_sees_the_studies_that_name_it(register: Register) -> None:
    register.propose()
    smaller = study(study="smaller-study", departments=("school", "care"))
    register.clock.moved = timedelta(seconds=1)
    register.propose(smaller)
    service = register.service
    seen = {r: [s.study.study for s in service.newest(reader=r)] for r in (CENTRAL, ANALYST)}
    assert seen[CENTRAL] == seen[ANALYST] == ["smaller-study", "pupils-pass"]
    labour = department("labour")
    assert [s.study.study for s in service.newest(reader=labour)] == ["pupils-pass"]
    with pytest.raises(NotFoundError):
        service.get("smaller-study", reader=labour)
    with pytest.raises(NotFoundError):
        register.decide("labour", made=smaller)
    assert service.get("smaller-study", reader=department("care")).study == smaller


def test_wording_may_change_between_departments(register: Register) -> None:
    meaning = replace(TEXT, en="Age in years")
    columns = (replace(AGE, meaning=meaning), *declaration().columns[1:])
    register.declare("labour", declaration(columns=columns))
    assert register.propose().state is StudyState.PROPOSED


def at_once(*changes: Callable[[], object]) -> list[object]:
    """Do changes in threads of their own; give what they gave or raised."""
    with ThreadPoolExecutor(max_workers=len(changes)) as pool:
        futures = [pool.submit(change) for change in changes]
    return [future.exception() or future.result() for future in futures]


def test_proposals_at_the_same_moment_are_one(register: Register) -> None:
    other = replace(STUDY, retention_days=30)
    found = at_once(*[register.propose for _ in range(6)], lambda: register.propose(other))
    kinds = {type(item) for item in found}
    assert kinds == {StudyStatus, AlreadyExistsError}
    assert len({item.study_hash for item in found if isinstance(item, StudyStatus)}) == 1


def test_decisions_at_the_same_moment_all_count(register: Register) -> None:
    register.propose()
    at_once(*[lambda name=name: register.decide(name) for name in DEPARTMENTS])
    assert register.state() is StudyState.READY
