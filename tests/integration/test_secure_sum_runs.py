"""Whole runs with secure sums over mutual TLS, with the nodes' own gates, ledgers and records."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coordinators import QUICK, Coordinator
from flwr.app import Array, Message
from safetensors.numpy import load
from studies import summed_study
from summers import City
from summing import Federation

from coordinator.ledger import chain
from coordinator.rounds import driver
from coordinator.rounds.settings import RunSettings
from coordinator.store import releases
from coordinator.store.database import reading
from models.errors import UsageError
from models.governance.answers import Fault
from models.governance.record import ReleaseRecord
from models.governance.roster import Mode
from models.governance.states import RunState
from models.governance.study import Study
from models.privacy import accounting
from models.secagg.coordinator import Total
from models.training import messages, steps
from models.training.studies import training_plan
from protos.sums import HISTOGRAM, JOIN, MASKS, OFFER, RAW, SCORES, STEP

SETTINGS = {"residents": 180}
STEPS = 25
PAIRWISE = summed_study(secure_sum=SETTINGS)
WITNESS = summed_study(
    secure_sum={**SETTINGS, "mode": Mode.WITNESS, "witness": "auditor"}, minimum_cohort=2
)
BOTH = summed_study(secure_sum={**SETTINGS, "mode": Mode.BOTH, "witness": "auditor"})
PATIENT = RunSettings(
    grace_seconds=30, round_timeout_seconds=60, retry_seconds=0.1, storage_seconds=0.05
)

Make = Callable[..., Federation]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a function that makes federations, which are closed at the end."""
    made: list[Federation] = []

    def one(study: Study = PAIRWISE, settings: RunSettings = QUICK) -> Federation:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Federation(Coordinator(folder, study=study, settings=settings)))
        return made[-1]

    yield one
    for city in made:
        city.close()


def finished(city: Federation, *, seconds: float = 60) -> None:
    ended = city.coordinator.wait_end(city.run_id, seconds=seconds)
    assert ended.state is RunState.FINISHED, ended.message
    assert (ended.rounds_done, ended.rounds_total) == (STEPS, STEPS)


def failure(city: Federation) -> str:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FAILED, ended.message
    return ended.message


def model(city: Federation) -> dict[str, np.ndarray]:
    return load(releases.content(city.coordinator.database, city.run_id, "model.safetensors"))


def record(city: Federation) -> ReleaseRecord:
    return releases.get(city.coordinator.database, city.run_id)[1]


def taken(city: Federation) -> list[tuple[str, str, int]]:
    """Give what the coordinator's chain says it took: department, step, attempt."""
    with reading(city.coordinator.database) as connection:
        entries = chain.page(connection, first=0).entries
    return [(e.entry.department, e.entry.step, e.entry.attempt) for e in entries]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Give the model of PAIRWISE that the same parties make without a coordinator's rounds.

    The same records and the same scripted noise, one step after the other, nobody ever away.
    """
    city, plan = City(tmp_path_factory.mktemp("alone"), PAIRWISE), training_plan(PAIRWISE)
    city.join()

    def total(step: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
        found = city.total(step, city.ask(step, arrays), arrays)
        assert isinstance(found, Total)
        return found.values

    at = steps.start(plan, total("histogram", {}))
    for number in range(1, STEPS + 1):
        at = steps.advanced(plan, at, total(messages.train(number), steps.question(plan, at)))
    city.close()
    return steps.parameters(plan, at)


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return set(found) == set(expected) and all(
        np.array_equal(found[name], expected[name]) for name in expected
    )


def test_three_departments_sum_to_a_release(make: Make) -> None:
    city = make()
    city.everybody()
    finished(city)
    found = record(city)
    protection = found.protection
    assert found.rounds[0].last == STEPS
    assert found.rounds[0].departments == ("care", "labour", "school")
    assert found.evaluated_by == ("care", "labour", "school")
    assert found.quality is not None
    assert protection.secure_sum is not None
    assert protection.secure_sum.sums == STEPS + 2
    assert 0 < protection.epsilon <= protection.epsilon_approved
    plan = training_plan(PAIRWISE)
    events = (plan.histogram_event(), *[plan.step_event()] * STEPS)
    merged = accounting.merged(type(protection.departments[0].training)(events=events))
    assert protection.departments[0].training == merged
    steps_taken = ["histogram", *(messages.train(n) for n in range(1, STEPS + 1)), "evaluate"]
    expected = [(name, step, 1) for step in steps_taken for name in PAIRWISE.departments]
    assert taken(city) == expected
    for node in city.nodes.values():
        assert not node.errors
        assert node.asked == [
            (OFFER, 0, 0),
            (JOIN, 0, 0),
            (HISTOGRAM, 0, 1),
            *[(STEP, n, 1) for n in range(1, STEPS + 1)],
            (SCORES, 0, 1),
        ]


# --- going on after a crash ---


def test_the_model_is_that_of_the_same_sums(make: Make, alone: dict[str, np.ndarray]) -> None:
    city = make()
    city.everybody()
    finished(city)
    assert same(model(city), alone)


@pytest.mark.parametrize("at", [0, 1, 12, STEPS])
def test_a_run_goes_on_after_its_coordinator_to_the_last_bit(
    make: Make, alone: dict[str, np.ndarray], at: int
) -> None:
    """Killed while the nodes work on the next step, or when they have just answered it."""
    city, reached = make(), threading.Event()

    def slow(kind: str, step: int) -> None:
        if (kind, step) == (STEP, at + 1) or (at == STEPS and kind == SCORES):
            reached.set()
            threading.Event().wait(0.05)

    city.everybody()
    city.nodes["care"].behaviour.before = slow
    assert reached.wait(30)
    city.coordinator.crash()
    city.coordinator.open()
    finished(city)
    assert same(model(city), alone)
    assert {attempt for _, _, attempt in taken(city)} == {1}
    for node in city.nodes.values():  # the keys live as long as the nodes do
        assert not node.errors
        assert node.attempts(OFFER) == [0, 0]


def test_crash_after_crash_changes_nothing(make: Make, alone: dict[str, np.ndarray]) -> None:
    city = make()
    city.everybody()
    for done in (2, 5, 9, 14):
        city.coordinator.wait(city.run_id, lambda run, done=done: run.rounds_done >= done)
        city.coordinator.crash()
        city.coordinator.open()
    finished(city)
    assert same(model(city), alone)
    assert len(taken(city)) == len(set(taken(city))) == 3 * (STEPS + 2)


def test_a_run_that_cannot_be_planned_any_more_ends_and_no_other(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    city = make()
    city.coordinator.crash()

    def none(study: Study) -> None:
        raise UsageError("no reasonable noise keeps this")

    with monkeypatch.context() as patch:
        patch.setattr(driver, "SumMessages", lambda **_: none(PAIRWISE))
        city.coordinator.open()
    assert "cannot go on after the restart: no reasonable noise keeps this" in failure(city)


# --- departments that go away ---


def test_a_restarted_department_costs_an_attempt(make: Make) -> None:
    """It has lost its keys: all agree anew, and the step is asked again under attempt 2."""
    city = make(settings=PATIENT)
    city.everybody()
    victim, other = city.nodes["labour"], city.nodes["school"]
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 3)
    victim.restart()
    finished(city)
    again = {step for kind, step, attempt in other.asked if attempt == 2}
    assert len(again) == 1
    (step,) = again
    assert other.attempts(STEP, step) == [1, 2]
    assert other.attempts(JOIN) == [0, 0]
    used = {(name, at): attempt for name, at, attempt in taken(city)}
    assert used["labour", messages.train(step)] == 2
    assert used["labour", messages.train(step + 1)] == 1
    assert city.nodes["school"].member.charges == STEPS + 3
    assert record(city).protection.secure_sum.sums == STEPS + 2  # those that were received


def test_a_department_that_is_away_is_waited_for(make: Make, alone: dict[str, np.ndarray]) -> None:
    """Its program lives on, so its answer is the one it gave: nothing is paid twice."""
    city = make()
    city.everybody()
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 3)
    city.nodes["labour"].kill()
    waiting = city.coordinator.wait_state(city.run_id, RunState.WAITING)
    assert "3 departments are needed" in waiting.message
    assert "labour has no connection" in waiting.message
    city.nodes["labour"].start()
    finished(city)
    assert same(model(city), alone)


def test_a_spent_budget_is_explained_by_who_made_new_attempts_necessary(make: Make) -> None:
    """Those that answered are charged again; the one that lost its keys each time is named."""
    city = make(settings=PATIENT)
    city.everybody()
    for done in (3, 8, 13):
        city.coordinator.wait(city.run_id, lambda run, done=done: run.rounds_done >= done)
        city.nodes["labour"].restart()
    message = failure(city)
    assert "can still take part" in message
    assert "has no privacy budget left" in message
    assert message.count("labour has no keys for this run in the step train/") >= 2
    assert "allows 2 of them in its whole training (`spare_rounds`)" in message
    assert "propose a new study" in message


def test_it_ends_when_the_attempts_are_used_up(make: Make) -> None:
    city = make(settings=PATIENT)
    city.join("labour").start()
    city.nodes["labour"].behaviour.fault = None
    city.everybody()
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 2)
    city.nodes["labour"].behaviour.fault = Fault.ANSWERED
    message = failure(city)
    assert "was tried 3 times, which is the most that the study allows" in message
    assert "labour has answered this attempt before" in message
    assert not city.coordinator.presence.assigned("labour", city.run_id)


def test_a_department_that_refuses_ends_it(make: Make) -> None:
    city = make()
    city.join("labour", fault=Fault.REFUSED).start()
    city.everybody()
    assert "only 2 can still take part (labour refused)" in failure(city)


def test_a_department_that_fails_is_asked_the_same_attempt_again(
    make: Make, alone: dict[str, np.ndarray]
) -> None:
    """It did nothing, so nothing needs to be paid again."""
    city = make()
    labour = city.join("labour")
    failed: list[int] = []

    def once(kind: str, step: int) -> None:
        labour.behaviour.fault = None
        if (kind, step) == (STEP, 4) and not failed:
            failed.append(step)
            labour.behaviour.fault = Fault.FAILED

    labour.behaviour.before = once
    labour.start()
    city.everybody()
    finished(city)
    assert labour.attempts(STEP, 4) == [1, 1]
    assert city.nodes["school"].attempts(STEP, 4) == [1]
    assert same(model(city), alone)


# --- answers that are not to this question ---


def spoiled(kind: str, change: Callable[[Message], None]) -> Callable[[Message], Message]:
    """Give a change of the answers to one type of message."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == kind and reply.has_content():
            change(reply)
        return reply

    return spoil


def other_context(reply: Message) -> None:
    array = reply.content["arrays"]["context"]
    array.data = bytes(byte ^ 1 for byte in array.data)


def shorter(reply: Message) -> None:
    array = reply.content["arrays"]["sum"]
    array.data = array.data[:-8]


def longer(reply: Message) -> None:
    data = reply.content["arrays"]["sum"].data + bytes(8)
    reply.content["arrays"]["sum"] = Array("uint64", (len(data) // 8,), RAW, data)


def other_ring(reply: Message) -> None:
    data = reply.content["arrays"]["sum"].data
    reply.content["arrays"]["sum"] = Array("uint32", (len(data) // 4,), RAW, data)


def as_numpy(reply: Message) -> None:
    words = np.frombuffer(reply.content["arrays"]["sum"].data, dtype=np.uint64)
    reply.content["arrays"]["sum"] = Array(words)


def one_more(reply: Message) -> None:
    reply.content["arrays"]["more"] = Array("uint8", (1,), RAW, b"x")


@pytest.mark.parametrize("change", [other_context, shorter, longer, other_ring, as_numpy, one_more])
def test_a_misfit_is_no_part_of_a_sum(make: Make, change: Callable[[Message], None]) -> None:
    city = make()
    city.join("labour", spoil=spoiled(HISTOGRAM, change)).start()
    city.everybody()
    message = failure(city)
    assert "labour sent an answer that does not fit the study" in message
    if change is other_context:
        assert "computed under another context" in message
    assert not taken(city)


# --- with a witness ---


def test_with_a_witness_a_department_may_be_away(make: Make) -> None:
    city = make(WITNESS)
    city.everybody(but=("labour",))
    finished(city)
    found = record(city)
    assert found.rounds[0].departments == ("care", "school")
    assert found.evaluated_by == ("care", "school")
    by_name = {item.department: item for item in found.protection.departments}
    assert (by_name["labour"].rounds, by_name["labour"].training) == (0, None)
    assert by_name["school"].epsilon == found.protection.epsilon
    auditor = city.nodes["auditor"]
    assert [kind for kind, _, _ in auditor.asked] == [OFFER, JOIN, *[MASKS] * (STEPS + 2)]


def test_with_a_witness_a_silent_department_is_waited_for_once(make: Make) -> None:
    """It keeps its stream and says nothing; once it speaks, it is in the sums again."""
    seconds, spoken = 1.0, threading.Event()
    city = make(WITNESS, settings=replace(PATIENT, round_timeout_seconds=seconds))
    city.everybody()
    labour, school = city.nodes["labour"], city.nodes["school"]

    def silent(kind: str, step: int) -> None:
        if (kind, step) == (STEP, 3):
            spoken.wait(60)

    def slow(kind: str, step: int) -> None:
        if step > 15:
            threading.Event().wait(0.1)

    labour.behaviour.before, school.behaviour.before = silent, slow
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 2)
    began = time.monotonic()
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 15)
    assert time.monotonic() - began < 5 * seconds  # twelve steps, each of which could have waited
    spoken.set()
    finished(city)
    rounds = [group.departments for group in record(city).rounds]
    assert ("care", "school") in rounds
    assert rounds[-1] == ("care", "labour", "school")


def test_with_a_witness_a_department_may_go_and_come_back(make: Make) -> None:
    """Restarted, it has other keys; it is in the sums again once all have agreed anew."""
    city = make(WITNESS, settings=replace(QUICK, grace_seconds=3.0))
    city.everybody()
    labour = city.nodes["labour"]
    labour.behaviour.before = lambda kind, step: threading.Event().wait(0.05)
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 2)
    labour.kill()
    city.coordinator.wait(city.run_id, lambda run: run.departments == ("school", "care"))
    labour.restart()
    finished(city)
    assert {attempt for _, _, attempt in taken(city)} == {1}
    rounds = [group.departments for group in record(city).rounds]
    assert rounds[0] == rounds[-1] == ("care", "labour", "school")
    assert ("care", "school") in rounds


def test_a_witness_that_was_restarted_costs_an_attempt(make: Make) -> None:
    city = make(WITNESS, settings=PATIENT)
    city.everybody()
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 3)
    city.nodes["auditor"].restart()
    finished(city)
    assert max(attempt for _, _, attempt in taken(city)) == 2


def test_a_witness_that_is_away_is_waited_for(make: Make) -> None:
    city = make(WITNESS)
    city.everybody(but=("auditor",))
    waiting = city.coordinator.wait_state(city.run_id, RunState.WAITING)
    assert "waiting for auditor, who has no connection" in waiting.message
    city.everybody()
    finished(city)


def test_a_set_that_the_witness_gave_is_not_given_for_another(make: Make) -> None:
    """The coordinator dies with the sum of two; meanwhile the third is back and answers too."""
    city, given = make(WITNESS), threading.Event()
    auditor = city.join("auditor")
    city.everybody(but=("labour",))

    def hold(reply: Message) -> Message:
        if auditor.attempts(MASKS) == [0] * 5 and not given.is_set():
            given.set()  # the set is written down, its sum on its way
            threading.Event().wait(0.3)
        return reply

    auditor.behaviour.spoil = hold
    auditor.start()
    assert given.wait(30)
    city.coordinator.crash()
    city.everybody()
    city.coordinator.open()
    finished(city)
    attempts = {step: attempt for _, step, attempt in taken(city)}
    assert attempts[messages.train(4)] == 2
    assert [step for step, attempt in attempts.items() if attempt > 1] == [messages.train(4)]
    assert ("labour", messages.train(4), 2) in taken(city)


def test_in_pairs_and_with_a_witness(make: Make) -> None:
    city = make(BOTH)
    city.everybody()
    finished(city)
    assert record(city).protection.secure_sum.mode is Mode.BOTH
    assert len(taken(city)) == 3 * (STEPS + 2)


def test_in_pairs_and_with_a_witness_all_are_needed(make: Make) -> None:
    city = make(BOTH)
    city.everybody(but=("labour",))
    waiting = city.coordinator.wait_state(city.run_id, RunState.WAITING)
    assert "labour has no connection" in waiting.message


def test_a_department_restarted_before_it_agreed_offers_again(make: Make) -> None:
    """It offered a key that it has lost: all are asked for their keys once more."""
    city, asked = make(settings=PATIENT), threading.Event()
    labour = city.join("labour")

    def stop(kind: str, step: int) -> None:
        if kind == JOIN and not asked.is_set():
            asked.set()
            threading.Event().wait(0.3)

    labour.behaviour.before = stop
    labour.start()
    city.everybody()
    assert asked.wait(20)
    labour.restart()
    finished(city)
    assert city.nodes["school"].attempts(OFFER) == [0, 0]
    assert {attempt for _, _, attempt in taken(city)} == {1}
