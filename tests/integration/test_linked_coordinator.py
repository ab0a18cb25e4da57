"""The coordinator's course of linked runs over mutual TLS, with parties that compute and misbehave.

The parties are `tests/support/linking.py`: real keys and mathematics, without gates and records.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import coordinators
import numpy as np
import pytest
from coordinators import QUICK, Coordinator
from flwr.app import Array, Message
from linked_city import columns, in_the_clear
from linked_kinds import study_of
from linked_studies import OPEN, PRIVATE
from linking import Linked, identities, ids

from coordinator.ledger import chain
from coordinator.release.linked_bundle import RESULTS, TABLES
from coordinator.rounds.settings import RunSettings
from coordinator.store import releases, studies
from coordinator.store.database import reading
from models import documents
from models.errors import RefusedError
from models.governance.answers import Fault
from models.governance.linked import LinkedPrivacy, LinkedStudy
from models.governance.linked_record import LinkedRecord
from models.governance.roster import Member, Roster
from models.governance.states import RunState, StudyState
from models.linkage import plan as plans
from models.linkage.results import Results, Tables
from protos import codec, linked

RESIDENTS = 150
PATIENT = replace(QUICK, grace_seconds=30.0)
Make = Callable[..., Linked]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have 150 residents in three chunks."""
    monkeypatch.setattr(plans, "_MOST_ROWS", 64)
    plans.plan.cache_clear()
    yield
    plans.plan.cache_clear()


def signed(kind: str = "two departments", privacy: LinkedPrivacy = OPEN) -> LinkedStudy:
    """Give a study whose roster has keys that the parties hold."""
    study = study_of(kind, privacy=privacy)
    keys = identities(*sorted(study.parties))
    members = tuple(Member(name=name, identity=key) for name, key in keys.items())
    return replace(study, roster=Roster(members=members, minimum=len(members)))


def codes(study: LinkedStudy, residents: int = RESIDENTS) -> dict[str, np.ndarray]:
    """Give a category of each variable for each resident; some have none."""
    generator = np.random.default_rng(5)
    made = {}
    for group in plans.plan(study).layout.groups:
        for axis in group.axes:
            low = 0 if axis.absent >= 0 else -1
            made.setdefault(axis.variable, generator.integers(low, axis.width, residents))
    return made


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a function that makes a coordinator with a started run; all are closed at the end."""
    made: list[Linked] = []

    def one(
        study: LinkedStudy | None = None, settings: RunSettings = QUICK, **given: Any
    ) -> Linked:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        study = study or signed()
        coordinator = Coordinator(folder, study=study, settings=settings, **given)
        found = columns(study, codes(study))
        totals = {name: (20 + number, 30) for number, name in enumerate(study.departments)}
        made.append(Linked(coordinator, found, register=ids(RESIDENTS), totals=totals))
        return made[-1]

    yield one
    for city in made:
        city.close()


def finished(city: Linked) -> LinkedRecord:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FINISHED, ended.message
    record = releases.get(city.coordinator.database, city.run_id)[1]
    assert isinstance(record, LinkedRecord)
    return record


def failure(city: Linked) -> str:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FAILED, ended
    return ended.message


def cells(city: Linked) -> list[float | None]:
    content = releases.content(city.coordinator.database, city.run_id, TABLES)
    found = documents.read(Tables, json.loads(content), what="the tables")
    return [cell for table in found.tables for cell in table.cells]


def truth(city: Linked) -> np.ndarray:
    return in_the_clear(city.coordinator.study, city.columns)


def close_to(found: list[float | None], expected: np.ndarray) -> bool:
    """Tell whether all cells are the counts, and those of 1 to 4 are withheld."""
    wanted = [None if 1 <= count <= 4 else float(count) for count in expected.tolist()]
    return found == wanted


@pytest.mark.parametrize(
    "kind", ["two departments", "three departments", "match", "relations", "hazard"]
)
def test_every_kind_of_question_is_answered_with_the_counts_themselves(
    make: Make, kind: str
) -> None:
    city = make(signed(kind))
    city.everybody()
    record = finished(city)
    assert close_to(cells(city), truth(city))
    status = city.coordinator.runs.get(city.run_id)
    assert (status.rounds_done, status.rounds_total) == (3, 3)
    assert [server.erased for server in record.servers] == [3, 3, 3]
    assert record.residents == RESIDENTS
    first = record.totals[0]
    assert first.unlinked is not None
    assert first.unlinked.value == 20
    assert record.protection.epsilon is None


def test_with_protection_there_is_noise_and_its_price(make: Make) -> None:
    city = make(signed(privacy=PRIVATE))
    city.everybody()
    record = finished(city)
    found = np.array(cells(city), dtype=np.float64)
    deviation = plans.plan(city.coordinator.study).noise.variance.value ** 0.5
    assert deviation > 1
    apart = np.abs(found - truth(city))
    assert 0 < apart.max() < 8 * deviation
    assert record.protection.epsilon is not None
    assert 0 < record.protection.epsilon <= 1.0
    assert record.protection.epsilon_run == record.protection.epsilon
    results = releases.content(city.coordinator.database, city.run_id, RESULTS)
    assert documents.read(Results, json.loads(results), what="x").run == str(city.run_id)


def test_the_chain_has_each_department_once_under_the_step_that_it_charged(make: Make) -> None:
    city = make()
    city.everybody()
    finished(city)
    with reading(city.coordinator.database) as connection:
        entries = [item.entry for item in chain.page(connection, first=0).entries]
    said = [(entry.department, entry.step, entry.attempt) for entry in entries]
    assert said == [(name, "linked", 1) for name in city.coordinator.study.departments]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_recurring_study_is_ready_for_its_next_run_until_its_releases_are_made(
    make: Make, database: str, request: pytest.FixtureRequest
) -> None:
    url = "" if database == "sqlite" else request.getfixturevalue("postgres")
    city = make(signed(privacy=replace(PRIVATE, releases=2)), url=url)

    def state() -> StudyState:
        with reading(city.coordinator.database) as connection:
            found = studies.find(connection, city.coordinator.study.study)
        assert found is not None
        return found.state

    city.everybody()
    first = finished(city)
    assert state() is StudyState.READY
    city.again()
    city.everybody()
    second = finished(city)
    assert (first.protection.runs, second.protection.runs) == (1, 2)
    assert first.protection.epsilon is not None
    assert second.protection.epsilon is not None
    assert first.protection.epsilon < second.protection.epsilon <= 1.0
    assert state() is StudyState.FINISHED
    with pytest.raises(RefusedError, match="finished"):
        city.coordinator.start()


# --- departments ---


def test_registers_of_other_lengths_end_the_run_before_anybody_is_charged(make: Make) -> None:
    city = make()
    city.join("school", without=1)
    city.everybody()
    message = failure(city)
    assert "registers of 2024-12-31 differ" in message
    assert "school (149 residents)" in message
    assert "social (150 residents)" in message
    assert all((linked.SEEDS, 0) not in node.asked for node in city.nodes.values())


def test_registers_of_other_content_are_told_apart_too(make: Make) -> None:
    city = make()
    other = city.join("school")
    other.party.register = ("somebody-else", *other.party.register[1:])
    city.everybody()
    assert "same length and other content" in failure(city)


def test_a_register_beyond_the_public_number_ends_the_run(make: Make) -> None:
    study = signed()
    city = make(replace(study, register=replace(study.register, residents=100)))
    city.everybody()
    assert "150 residents, and the study says at most 100" in failure(city)


def shorter(kind: str) -> Callable[[Message], Message]:
    """Give what cuts the bytes of the answers to one kind of question."""

    def spoil(reply: Message) -> Message:
        return _changed(reply, kind, lambda array: _with(array, array.data[:-8]))

    return spoil


def _with(array: Array, data: bytes) -> Array:
    size = len(data) * array.shape[0] // len(array.data)
    return Array(dtype=array.dtype, shape=(size,), stype=array.stype, data=data)


def _changed(reply: Message, kind: str, change: Callable[[Array], Array]) -> Message:
    if reply.metadata.message_type == kind and reply.has_content():
        arrays = reply.content["arrays"]
        for name in list(arrays):
            arrays[name] = change(arrays[name])
    return reply


@pytest.mark.parametrize("kind", [linked.MIX, linked.SPINE, linked.SEEDS, linked.SHARE])
def test_a_department_that_answers_garbage_is_named(make: Make, kind: str) -> None:
    city = make()
    city.join("school", spoil=shorter(kind))
    city.everybody()
    message = failure(city)
    assert "school sent an answer that does not fit the study" in message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.REFUSED, "school refused"),
        (Fault.BUDGET_EXHAUSTED, "school has no privacy budget left"),
    ],
)
def test_a_department_that_refuses_is_named(make: Make, fault: Fault, words: str) -> None:
    city = make()
    city.join("school", fault=fault)
    city.everybody()
    assert words in failure(city)


def test_a_department_started_anew_in_the_middle_ends_the_run(make: Make) -> None:
    city = make()
    node = city.join("school")

    def before(kind: str, chunk: int) -> None:
        if (kind, chunk) == (linked.SHARE, 2):
            node.behaviour.fault = Fault.NOT_JOINED

    node.behaviour.before = before
    city.everybody()
    assert "school was started anew in the middle of the run" in failure(city)


# --- servers ---


@pytest.mark.parametrize("kind", [linked.BEGIN, linked.OPEN])
def test_a_server_that_answers_garbage_is_named(make: Make, kind: str) -> None:
    city = make()
    city.join("auditor", spoil=shorter(kind))
    city.everybody()
    message = failure(city)
    assert "auditor sent an answer that does not fit the study" in message
    assert "2 servers" in message


def test_a_server_that_sends_other_numbers_spoils_the_run_and_nothing_is_released(
    make: Make,
) -> None:
    city = make()

    def spoil(reply: Message) -> Message:
        return _changed(reply, linked.OPEN, lambda a: _with(a, bytes(b ^ 0x55 for b in a.data)))

    city.join("auditor", spoil=spoil)
    city.everybody()
    assert "the opened numbers are no counts" in failure(city)


def test_a_server_that_fails_ends_the_run(make: Make) -> None:
    city = make()
    node = city.join("auditor")

    def before(kind: str, chunk: int) -> None:
        if (kind, chunk) == (linked.FOLD, 2):
            node.behaviour.fault = Fault.FAILED

    node.behaviour.before = before
    city.everybody()
    assert "auditor could not do its step" in failure(city)


def test_a_server_that_stops_is_waited_for_by_name_and_the_run_goes_on(make: Make) -> None:
    city, reached = make(), threading.Event()
    node = city.join("auditor")

    def before(kind: str, chunk: int) -> None:
        if (kind, chunk) == (linked.FOLD, 2) and not reached.is_set():
            reached.set()
            threading.Event().wait(0.5)

    node.behaviour.before = before
    city.everybody()
    assert reached.wait(30)
    node.kill()
    waiting = city.coordinator.wait(
        city.run_id, lambda status: status.state is RunState.WAITING and "auditor" in status.message
    )
    assert "2 servers are needed" in waiting.message
    node.start()
    finished(city)
    assert close_to(cells(city), truth(city))


def test_whoever_answers_twice_changes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer counts; the second one is other bytes under the same question's id."""

    def twice(message_id: str, data: bytes) -> list[Any]:
        other = data[:-1] + bytes([data[-1] ^ 1])
        return [*codec.split(message_id, data), *codec.split(message_id, other)]

    monkeypatch.setattr(coordinators, "split", twice)
    city = make()
    city.everybody()
    finished(city)
    assert close_to(cells(city), truth(city))


def test_a_server_that_does_not_erase_is_named_in_the_record(make: Make) -> None:
    city = make()
    node = city.join("auditor")

    def before(kind: str, chunk: int) -> None:
        del chunk
        if kind == linked.ERASE:
            node.behaviour.fault = Fault.FAILED

    node.behaviour.before = before
    city.everybody()
    record = finished(city)
    assert {item.name: item.erased for item in record.servers} == {
        "coordinator": 3,
        "auditor": None,
        "social": 3,
    }
    card = releases.content(city.coordinator.database, city.run_id, "card.md").decode()
    assert "not confirmed" in card


# --- the coordinator ---


def hold(city: Linked, name: str, at: tuple[str, int]) -> tuple[threading.Event, threading.Event]:
    """Have a party wait before it answers a question; give what says so, and what lets it go."""
    reached, release = threading.Event(), threading.Event()

    def before(kind: str, chunk: int) -> None:
        if (kind, chunk) == at:
            reached.set()
            release.wait(30)

    city.join(name, before=before)
    return reached, release


def test_a_coordinator_that_dies_before_any_charge_begins_again(make: Make) -> None:
    city = make(settings=PATIENT)
    reached, release = hold(city, "school", (linked.SPINE, 0))
    city.everybody()
    assert reached.wait(30)
    city.coordinator.crash()
    city.coordinator.open()
    release.set()
    finished(city)


def test_a_coordinator_that_dies_with_shares_fails_the_run_and_says_why(make: Make) -> None:
    city = make(settings=PATIENT)
    reached, release = hold(city, "school", (linked.SHARE, 2))
    city.everybody()
    assert reached.wait(30)
    city.coordinator.crash()
    city.coordinator.open()
    release.set()
    message = failure(city)
    assert "the coordinator was restarted in the middle of the run" in message
    assert "memory only" in message


def test_a_coordinator_that_dies_after_the_opening_releases_what_was_opened(make: Make) -> None:
    city = make(settings=PATIENT)
    reached, release = hold(city, "auditor", (linked.ERASE, 0))
    city.everybody()
    assert reached.wait(30)
    city.coordinator.crash()
    city.coordinator.open()
    release.set()
    record = finished(city)
    assert close_to(cells(city), truth(city))
    assert [item.erased for item in record.servers] == [3, 3, 3]


def test_a_run_can_be_stopped_in_the_middle(make: Make) -> None:
    city = make(settings=PATIENT)
    reached, release = hold(city, "school", (linked.SHARE, 2))
    city.everybody()
    assert reached.wait(30)
    ended = city.coordinator.runs.stop(city.run_id)
    release.set()
    assert ended.state is RunState.STOPPED


def test_never_more_than_two_chunks_of_bodies_are_under_way(make: Make) -> None:
    """The next chunk is shared while the servers fold, and no further one."""
    city, order = make(), []
    for name in city.coordinator.study.parties:
        city.join(name, before=lambda kind, chunk: order.append((kind, chunk)))
    finished(city)
    for at, (kind, chunk) in enumerate(order):
        if kind == linked.SHARE and chunk > 2:
            assert order[:at].count((linked.FOLD, chunk - 2)) == 2
