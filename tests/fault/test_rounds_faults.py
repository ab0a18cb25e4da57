"""Nodes and coordinators that fail in the middle of a run."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from coordinators import Coordinator, Federation, Node, federation, plus
from flwr.app import Error, Message
from flwr.common.serde import message_from_proto, message_to_proto
from safetensors.numpy import load
from sqlalchemy import event
from studies import public_study

from coordinator.flower.engine import Engine
from coordinator.rounds.settings import RunSettings
from coordinator.store import releases, runs
from coordinator.store.database import reading, writing
from coordinator.store.studies import find
from models.governance.answers import Fault
from models.governance.states import RunState, StudyState

PATIENT = RunSettings(
    grace_seconds=30, round_timeout_seconds=60, retry_seconds=0.2, storage_seconds=0.05
)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Federation]:
    yield from federation(tmp_path, study=public_study(minimum_cohort=2))


@pytest.fixture
def strict_city(tmp_path: Path) -> Iterator[Federation]:
    yield from federation(tmp_path, study=public_study(minimum_cohort=3))


@pytest.fixture
def large_city(tmp_path: Path) -> Iterator[Federation]:
    """A city whose checkpoint is some hundred pages of the database."""
    model = {"family": "mlp", "hidden": (300, 300)}
    yield from federation(tmp_path, study=public_study(minimum_cohort=3, model=model))


@pytest.fixture
def patient_city(tmp_path: Path) -> Iterator[Federation]:
    yield from federation(tmp_path, study=public_study(minimum_cohort=2), settings=PATIENT)


def model(coordinator: Coordinator, run_id: int) -> dict[str, np.ndarray]:
    return load(releases.content(coordinator.database, run_id, "model.safetensors"))


def study_state(coordinator: Coordinator) -> StudyState:
    with reading(coordinator.database) as connection:
        found = find(connection, coordinator.study.digest())
    assert found is not None
    return found.state


def everybody(city: Federation, run_id: int, **behaviour: object) -> list[Node]:
    return [city.join(name, run_id, **behaviour) for name in city.coordinator.study.departments]


def all_equal(coordinator: Coordinator, run_id: int, value: float) -> bool:
    return all((a == np.float32(value)).all() for a in model(coordinator, run_id).values())


# --- departments that are not there ---


def test_a_round_goes_on_without_an_absent_department(city: Federation) -> None:
    run_id = city.coordinator.start()
    city.join("school", run_id)
    city.join("care", run_id, work=plus(3.0))
    status = city.coordinator.wait_end(run_id)
    assert status.state is RunState.FINISHED
    assert status.departments == ("school", "care")
    assert all_equal(city.coordinator, run_id, 6.0)


def test_below_the_minimum_it_waits_and_says_for_whom(strict_city: Federation) -> None:
    coordinator = strict_city.coordinator
    run_id = coordinator.start()
    strict_city.join("school", run_id)
    status = coordinator.wait_state(run_id, RunState.WAITING)
    assert "care has no connection; labour has no connection" in status.message
    assert coordinator.presence.assigned("care", run_id)
    for name in ("care", "labour"):
        strict_city.join(name, run_id)
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert all_equal(coordinator, run_id, 3.0)


def test_a_department_that_joins_in_mid_round_takes_part(patient_city: Federation) -> None:
    coordinator = patient_city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        patient_city.join(name, run_id)
    first = coordinator.wait_state(run_id, RunState.TRAINING)  # two of three: enough to go on
    assert first.rounds_done == 0
    patient_city.join("labour", run_id)
    status = coordinator.wait_end(run_id)
    assert status.departments == ("school", "care", "labour")


def test_a_node_killed_in_mid_round_gets_the_message_again(patient_city: Federation) -> None:
    coordinator, busy = patient_city.coordinator, threading.Event()
    run_id = coordinator.start()
    for name in ("school", "care"):
        patient_city.join(name, run_id)

    def hang(kind: str, number: int) -> None:
        if number == 2 and not busy.is_set():
            busy.set()
            threading.Event().wait(0.3)

    victim = patient_city.join("labour", run_id, before=hang)
    assert busy.wait(10)
    victim.kill()
    assert coordinator.runs.get(run_id).rounds_done == 1
    victim.start()
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert victim.received.count(("train", 2)) == 2
    assert all_equal(coordinator, run_id, 3.0)


def test_a_connected_department_is_waited_for_while_it_prepares(city: Federation) -> None:
    """Longer than the grace for those that are away: reading records takes its time."""
    coordinator = city.coordinator
    coordinator.presence.attend("labour", "1.0")
    run_id = coordinator.start()
    for name in ("school", "care"):
        city.join(name, run_id)
    threading.Event().wait(3 * coordinator.settings.grace_seconds)
    assert coordinator.runs.get(run_id).rounds_done == 0
    city.join("labour", run_id)
    status = coordinator.wait_end(run_id)
    assert status.departments == ("school", "care", "labour")


# --- departments that answer otherwise than they should ---


def test_a_late_and_a_repeated_answer_are_dropped(patient_city: Federation) -> None:
    """Every answer comes twice, the second time when the next round has begun."""
    coordinator = patient_city.coordinator
    run_id = coordinator.start()
    before: list[bytes] = []

    def twice(data: bytes) -> bytes:
        before.append(data)
        return data

    for name in ("school", "care"):
        patient_city.join(name, run_id)
    stale = patient_city.join("labour", run_id, garble=twice)
    original = stale._answer

    def answer(*arguments: object) -> bytes:
        fresh = original(*arguments)  # type: ignore[arg-type]
        return before[-1] if before and stale.received.count(("train", 2)) == 1 else fresh

    stale._answer = answer  # type: ignore[method-assign]
    coordinator.wait(run_id, lambda status: status.rounds_done == 1)
    # Its answer to round 2 is that to round 1 once more: it is not taken for round 2's.
    threading.Event().wait(0.3)
    assert coordinator.runs.get(run_id).rounds_done == 1
    stale._answer = original  # type: ignore[method-assign]
    stale.kill()
    stale.start()
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert all_equal(coordinator, run_id, 3.0)


def test_a_node_that_answers_for_another_is_not_heard(city: Federation) -> None:
    """`labour` claims to be `care`; what it sends counts for nobody."""
    coordinator = city.coordinator
    run_id = coordinator.start()

    def as_another(reply: Message) -> Message:
        wire = message_to_proto(reply)
        wire.metadata.src_node_id = 2**62 + 3
        return message_from_proto(wire)

    for name in ("school", "care"):
        city.join(name, run_id)
    impostor = city.join("labour", run_id, spoil=as_another, work=plus(1000.0))
    coordinator.wait(run_id, lambda _: ("train", 1) in impostor.computed)
    impostor.kill()
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert all_equal(coordinator, run_id, 3.0)


def test_a_garbled_answer_ends_the_stream_and_leaves_its_sender_out(city: Federation) -> None:
    coordinator = city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        city.join(name, run_id)
    noisy = city.join("labour", run_id, garble=lambda data: b"\xff" + data[:50])
    status = coordinator.wait_end(run_id)
    assert status.state is RunState.FINISHED
    assert grpc.StatusCode.INVALID_ARGUMENT in noisy.codes
    assert noisy.received == [("train", 1)]
    assert all_equal(coordinator, run_id, 3.0)


@pytest.mark.parametrize(
    "work",
    [
        lambda parameters, _: {name: a * np.float32("nan") for name, a in parameters.items()},
        lambda parameters, _: {name: a.astype(np.float64) for name, a in parameters.items()},
        lambda parameters, _: {"other": np.zeros(3, dtype=np.float32)},
    ],
)
def test_a_misfit_is_left_out(city: Federation, work: object) -> None:
    coordinator = city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        city.join(name, run_id)
    misfit = city.join("labour", run_id, work=work)
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert misfit.received == [("train", 1)]
    assert all_equal(coordinator, run_id, 3.0)


def test_a_message_over_the_agreed_size_ends_the_stream(city: Federation) -> None:
    coordinator = city.coordinator
    run_id = coordinator.start()
    big = city.join("labour", run_id, garble=lambda data: data + bytes(3 << 20))
    for name in ("school", "care"):
        city.join(name, run_id)
    coordinator.wait(run_id, lambda _: grpc.StatusCode.INVALID_ARGUMENT in big.codes)
    big.kill()
    assert coordinator.wait_end(run_id).state is RunState.FINISHED


# --- departments that do not do the step ---


def test_a_refusal_is_for_good(city: Federation) -> None:
    coordinator = city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        city.join(name, run_id)
    refusing = city.join("labour", run_id, fault=Fault.REFUSED)
    status = coordinator.wait_end(run_id)
    assert status.state is RunState.FINISHED
    assert refusing.received == [("train", 1)]


def test_a_refusal_that_breaks_the_minimum_fails_the_run(strict_city: Federation) -> None:
    coordinator = strict_city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        strict_city.join(name, run_id)
    strict_city.join("labour", run_id, fault=Fault.BUDGET_EXHAUSTED)
    status = coordinator.wait_end(run_id)
    assert status.state is RunState.FAILED
    assert "only 2 can still take part (labour has no privacy budget left)" in status.message
    assert study_state(coordinator) is StudyState.READY
    assert not coordinator.presence.assigned("school", run_id)


def test_a_failure_is_asked_again_while_the_run_cannot_go_on(strict_city: Federation) -> None:
    coordinator = strict_city.coordinator
    run_id = coordinator.start()
    for name in ("school", "care"):
        strict_city.join(name, run_id)
    weak = strict_city.join("labour", run_id, fault=Fault.FAILED)
    status = coordinator.wait_state(run_id, RunState.WAITING)
    assert "labour could not do the step" in status.message
    weak.behaviour.fault = None
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert all_equal(coordinator, run_id, 3.0)


def test_no_text_of_a_peer_is_shown(strict_city: Federation, caplog) -> None:
    coordinator = strict_city.coordinator
    run_id = coordinator.start()

    def talk(reply: Message) -> Message:
        reply.__dict__.update(_content=None, _error=Error(2, "Anna Andersson 19121212-1212"))
        return reply

    for name in ("school", "care"):
        strict_city.join(name, run_id)
    strict_city.join("labour", run_id, spoil=talk)
    status = coordinator.wait_state(run_id, RunState.WAITING)
    assert "Anna" not in status.message
    assert "Anna" not in caplog.text


# --- the coordinator ---


def test_a_mistake_of_ours_ends_the_run_and_is_told_to_the_log_alone(
    strict_city: Federation, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator = strict_city.coordinator

    def broken(*arguments: object) -> None:
        raise KeyError("what only the log should say")

    monkeypatch.setattr(Engine, "fold", broken)
    run_id = coordinator.start()
    everybody(strict_city, run_id)
    status = coordinator.wait_end(run_id)
    assert status.state is RunState.FAILED
    assert status.message == "an unexpected error; the coordinator's log has it"
    assert "what only the log should say" in caplog.text
    assert study_state(coordinator) is StudyState.READY


def test_a_missing_checkpoint_fails_the_run_instead_of_starting_over(
    strict_city: Federation,
) -> None:
    coordinator, reached = strict_city.coordinator, threading.Event()
    run_id = coordinator.start()

    def before(kind: str, number: int) -> None:
        if number == 2:
            reached.set()
            threading.Event().wait(0.2)

    for node in everybody(strict_city, run_id):
        node.behaviour.before = before
    assert reached.wait(20)
    coordinator.crash()
    with writing(coordinator.database) as connection:
        connection.exec_driver_sql("delete from checkpoints")
    coordinator.open()
    status = coordinator.wait_end(run_id)
    assert status.state is RunState.FAILED
    assert status.message.startswith("the checkpoint of the last completed round is missing")


@pytest.mark.parametrize("strategy", ["fedavg", "fedadam"])
def test_a_killed_coordinator_goes_on_and_ends_with_the_identical_model(
    tmp_path: Path, strategy: str
) -> None:
    study = public_study(training={"strategy": strategy, "rounds": 6}, minimum_cohort=3)

    def pull(amount: float) -> object:
        return lambda parameters, number: {
            name: a + np.float32(0.3 * number) * (np.float32(amount) - a)
            for name, a in parameters.items()
        }

    def play(folder: Path, *, crash_in_round: int) -> dict[str, np.ndarray]:
        folder.mkdir()
        city = Federation(Coordinator(folder, study=study))
        try:
            coordinator, reached = city.coordinator, threading.Event()
            run_id = coordinator.start()

            def before(kind: str, number: int) -> None:
                if number == crash_in_round:
                    reached.set()
                    threading.Event().wait(0.2)

            nodes = [
                city.join(name, run_id, work=pull(amount), weight=weight, before=before)
                for name, amount, weight in (
                    ("school", 1.0, 1.7),
                    ("care", -2.0, 2.9),
                    ("labour", 0.7, 0.31),
                )
            ]
            if crash_in_round:
                assert reached.wait(20)
                coordinator.crash()
                with reading(coordinator.database) as connection:
                    kept = runs.get(connection, run_id)
                assert kept.rounds_done == crash_in_round - 1
                for node in nodes:
                    node.behaviour.before = lambda kind, number: None
                coordinator.open()
                shown = coordinator.runs.get(run_id)
                assert shown.state in {RunState.WAITING, RunState.TRAINING}
                assert shown.rounds_done == crash_in_round - 1
            status = coordinator.wait_end(run_id)
            assert status.state is RunState.FINISHED, status
            for node in nodes:  # what was paid for once was not computed again
                assert len(node.computed) == len(set(node.computed)) == 7
            return model(coordinator, run_id)
        finally:
            city.close()

    whole = play(tmp_path / "whole", crash_in_round=0)
    broken = play(tmp_path / "broken", crash_in_round=4)
    assert whole.keys() == broken.keys()
    for name, array in whole.items():
        assert array.tobytes() == broken[name].tobytes()


def test_a_run_that_nobody_joined_waits_again_after_a_restart(strict_city: Federation) -> None:
    coordinator = strict_city.coordinator
    run_id = coordinator.start()
    coordinator.wait_state(run_id, RunState.WAITING)
    coordinator.crash()
    coordinator.open()
    assert coordinator.runs.get(run_id).state is RunState.WAITING
    everybody(strict_city, run_id)
    assert coordinator.wait_end(run_id).state is RunState.FINISHED


def test_a_coordinator_killed_in_the_evaluation_asks_it_again(strict_city: Federation) -> None:
    coordinator, reached = strict_city.coordinator, threading.Event()
    run_id = coordinator.start()

    def before(kind: str, number: int) -> None:
        if kind == "evaluate" and not reached.is_set():
            reached.set()
            threading.Event().wait(0.3)

    nodes = everybody(strict_city, run_id)
    nodes[0].behaviour.before = before
    assert reached.wait(20)
    coordinator.crash()
    coordinator.open()
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert nodes[1].computed.count(("evaluate", 3)) == 1


def test_a_full_disk_makes_the_run_wait_and_loses_nothing(large_city: Federation) -> None:
    coordinator = large_city.coordinator
    run_id = coordinator.start()
    limit_pages(coordinator, free=4)  # enough to say where the run stands, not for a checkpoint
    nodes = everybody(large_city, run_id)
    status = coordinator.wait_state(run_id, RunState.WAITING)
    assert status.message == (
        "the coordinator's database cannot be used: the database has no space left on its disk"
    )
    assert status.rounds_done == 0
    threading.Event().wait(0.3)
    assert coordinator.runs.get(run_id).rounds_done == 0
    assert all(node.received == [("train", 1)] for node in nodes)  # not ahead of its checkpoint
    limit_pages(coordinator, free=100_000)
    assert coordinator.wait_end(run_id).state is RunState.FINISHED
    assert nodes[1].received == [("train", 1), ("train", 2), ("train", 3), ("evaluate", 3)]
    with coordinator.database.connect() as connection:
        assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"


def test_a_run_can_be_stopped_while_the_disk_is_full(large_city: Federation) -> None:
    coordinator = large_city.coordinator
    run_id = coordinator.start()
    limit_pages(coordinator, free=4)
    everybody(large_city, run_id)
    coordinator.wait(run_id, lambda status: "no space left" in status.message)
    stopping = threading.Thread(target=coordinator.runs.stop, args=(run_id,))
    stopping.start()
    threading.Event().wait(0.3)
    limit_pages(coordinator, free=100_000)
    stopping.join(15)
    assert coordinator.wait_end(run_id).state is RunState.STOPPED


def limit_pages(coordinator: Coordinator, *, free: int) -> None:
    """Let the database grow by `free` pages and no more, on connections made from now on."""

    def limit(connection: object, record: object) -> None:
        cursor = connection.execute("pragma page_count")  # type: ignore[attr-defined]
        pages = cursor.fetchone()[0]
        connection.execute(f"pragma max_page_count={pages + free}")  # type: ignore[attr-defined]

    for old in getattr(coordinator, "limits", []):
        event.remove(coordinator.database, "connect", old)
    coordinator.limits = [limit]  # type: ignore[attr-defined]
    event.listen(coordinator.database, "connect", limit)
    coordinator.database.dispose()  # connections in use are dropped when they come back
