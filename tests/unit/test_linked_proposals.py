"""Linked studies in the register of studies: held against the catalogue, seen by their parties."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from city import CENTRAL, Clock, department
from linked_studies import OPEN, TEXT, category, integer, linked_study, own, school_study, table
from linking import identities
from sqlalchemy import Engine

from coordinator.store import fleet
from coordinator.store.database import migrate, open_database, writing
from coordinator.studies.service import StudyService
from models.errors import InvalidDocumentError, NotFoundError, UsageError
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.linked_resolution import resolve_linked
from models.governance.states import StudyState
from models.schema import CategoryColumn, Declaration

PARTIES = ("auditor", "school", "social")
KEYS = identities(*PARTIES)
YES = ("no", "yes")
DECLARED = {"school": "eligible", "social": "assistance"}


def declaration(name: str, **changes: object) -> Declaration:
    made = Declaration(
        name=f"{name}_table",
        title=TEXT,
        description=TEXT,
        steward="Steward of the tests",
        resident_id="resident",
        secrecy="OSL 23 kap.",
        columns=(category(DECLARED[name], *YES),),
    )
    return replace(made, **changes)


def made(study: LinkedStudy | None = None) -> LinkedStudy:
    """Give the study as it is resolved against what the departments declare."""
    whole = study or school_study()
    draft = LinkedDraft(**{item.name: getattr(whole, item.name) for item in fields(LinkedDraft)})
    declared = {(name, f"{name}_table"): declaration(name) for name in DECLARED}
    return resolve_linked(draft, declared, code="0" * 64, identities=KEYS)


class Register:
    """The service with two departments and an auditor."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.engine: Engine = open_database(url)
        migrate(self.engine)
        self.service = StudyService(engine=self.engine, clock=self.clock)
        for number, name in enumerate(PARTIES, start=2):
            with writing(self.engine) as connection:
                fleet.save_member(
                    connection,
                    department(name),
                    identity_key=bytes.fromhex(KEYS[name]),
                    node_id=number,
                    now=self.clock(),
                )
            if name in DECLARED:
                self.declare(name, declaration(name))

    def declare(self, name: str, *declarations: Declaration) -> None:
        with writing(self.engine) as connection:
            fleet.replace_datasets(connection, department(name), declarations, now=self.clock())


@pytest.fixture(params=["sqlite", "postgresql"])
def register(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Register]:
    file = f"sqlite:///{tmp_path / 'test.db'}"
    url = file if request.param == "sqlite" else request.getfixturevalue("postgres")
    found = Register(url)
    yield found
    found.engine.dispose()


def test_a_linked_study_is_registered_as_it_is(register: Register) -> None:
    status = register.service.propose(made(), by=CENTRAL)
    assert status.state is StudyState.PROPOSED
    found = register.service.get(made().digest(), reader=CENTRAL)
    assert found == status
    assert isinstance(found.study, LinkedStudy)


def test_all_parties_and_no_other_department_see_it(register: Register) -> None:
    register.service.propose(made(), by=CENTRAL)
    for name in PARTIES:
        found = register.service.get("linked-test", reader=department(name))
        assert found.study == made()
    with pytest.raises(NotFoundError):
        register.service.get("linked-test", reader=department("labour"))


def test_columns_that_are_declared_otherwise_now_are_refused(register: Register) -> None:
    other = category("eligible", "no", "yes", "perhaps")
    register.declare("school", declaration("school", columns=(other,)))
    with pytest.raises(InvalidDocumentError, match="propose the study from its file again"):
        register.service.propose(made(), by=CENTRAL)


def test_a_dataset_that_is_gone_is_named(register: Register) -> None:
    register.declare("social")
    with pytest.raises(InvalidDocumentError, match="has not declared the dataset social_table"):
        register.service.propose(made(), by=CENTRAL)


def test_keys_that_are_others_now_are_refused(register: Register) -> None:
    with writing(register.engine) as connection:
        fleet.save_member(
            connection,
            department("auditor"),
            identity_key=bytes.fromhex(identities("another")["another"]),
            node_id=2,
            now=register.clock(),
        )
    with pytest.raises(InvalidDocumentError, match="roster"):
        register.service.propose(made(), by=CENTRAL)


def test_data_that_is_not_public_needs_protection(register: Register) -> None:
    bare = replace(made(), privacy=OPEN)
    with pytest.raises(InvalidDocumentError, match="public"):
        register.service.propose(bare, by=CENTRAL)


def test_a_study_that_needs_too_much_memory_is_refused_with_the_figure(
    register: Register,
) -> None:
    """Before anybody is asked for an approval."""
    columns: list[CategoryColumn] = [
        category("one", *(f"a{number}" for number in range(70))),
        category("two", *(f"b{number}" for number in range(70))),
    ]
    huge = linked_study(
        [
            (own("one", "school"), columns[0]),
            (own("two", "social"), columns[1]),
            (own("three", "labour"), integer("three", 0, 399)),
        ],
        [table("huge", "one", "two", "three")],
        residents=150_000,
    )
    with pytest.raises(UsageError, match=r"[0-9],[0-9]{3}"):
        register.service.propose(huge, by=CENTRAL)
