"""Whole runs of federated averaging under masks over mutual TLS, with the nodes' own parts."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from coordinators import QUICK, Coordinator
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from safetensors.numpy import load
from studies import KEYS, masked_study
from summers import City, workbench
from summing import Federation

from coordinator.flower.engine import Answer, Engine
from coordinator.ledger import chain
from coordinator.rounds import finish
from coordinator.rounds.settings import RunSettings
from coordinator.store import releases
from coordinator.store.database import reading
from models.families import network
from models.governance.record import ReleaseRecord
from models.governance.roster import Mode
from models.governance.states import RunState
from models.governance.study import Study
from models.privacy.plan import plan
from protos.sums import JOIN, MASKS, OFFER, SCORES, STEP

SETTINGS = {"residents": 180}
ROUNDS = 3
PAIRWISE = masked_study(secure_sum=SETTINGS)
ADAM = masked_study(secure_sum=SETTINGS, training={"strategy": "fedadam"})
WITNESS = masked_study(
    secure_sum={**SETTINGS, "mode": Mode.WITNESS, "witness": "auditor"}, minimum_cohort=2
)
BOTH = masked_study(secure_sum={**SETTINGS, "mode": Mode.BOTH, "witness": "auditor"})
PATIENT = RunSettings(
    grace_seconds=30, round_timeout_seconds=60, retry_seconds=0.1, storage_seconds=0.05
)
CLOSE = {"rtol": 2e-5, "atol": 2e-5}

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


def finished(city: Federation) -> None:
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FINISHED, ended.message
    assert (ended.rounds_done, ended.rounds_total) == (ROUNDS, ROUNDS)


def model(city: Federation) -> dict[str, np.ndarray]:
    return load(releases.content(city.coordinator.database, city.run_id, "model.safetensors"))


def record(city: Federation) -> ReleaseRecord:
    return releases.get(city.coordinator.database, city.run_id)[1]


def taken(city: Federation) -> list[tuple[str, str, int]]:
    """Give what the coordinator's chain says it took: department, step, attempt."""
    with reading(city.coordinator.database) as connection:
        entries = chain.page(connection, first=0).entries
    return [(e.entry.department, e.entry.step, e.entry.attempt) for e in entries]


def open_averaging(folder: Path, study: Study) -> dict[str, np.ndarray]:
    """Give the model of the same departments when every update is sent as it is.

    The records and the scripted noise of their training are those of `Federation`; the mean is
    an oracle's, or the strategy's own where it does more than to take the mean.
    """
    nodes = {name: number for number, name in enumerate(study.departments, start=1)}
    engine = Engine(study=study, run_id=1, nodes=nodes, histograms=finish.forms(study))
    city = City(folder, study)
    benches = {
        name: workbench(study, city[name].data, folder / name, seed=f"{name} 0") for name in nodes
    }
    weights: dict[str, float] = {}
    for number in range(1, ROUNDS + 1):
        engine.ask_training(number)
        found = {}
        for name, bench in benches.items():
            given = bench.train(
                parameters=engine.parameters, round_number=number, weight=weights.get(name)
            )
            weights[name] = float(given.values["weight"])
            found[name] = {n: given.values[n] for n in engine.parameters}
        if study.averaging.strategy == "fedavg":
            heavy = [weights[name] for name in nodes]
            engine.parameters = {
                n: np.average(
                    [found[name][n].astype(float) for name in nodes], axis=0, weights=heavy
                ).astype(np.float32)
                for n in engine.parameters
            }
        else:
            engine.fold(number, {name: _answer(found[name], weights[name]) for name in nodes})
    for bench in benches.values():
        bench.close()
    city.close()
    return engine.parameters


def _answer(arrays: dict[str, np.ndarray], weight: float) -> Answer:
    content = RecordDict(
        {
            "arrays": ArrayRecord({name: Array(value) for name, value in arrays.items()}),
            "metrics": MetricRecord({"num-examples": weight}),
        }
    )
    message = Message(content, dst_node_id=1, message_type="train")
    return Answer(arrays=arrays, weight=weight, message=message)


@pytest.mark.parametrize("study", [PAIRWISE, ADAM], ids=["fedavg", "fedadam"])
def test_the_release_is_that_of_open_averaging_up_to_rounding(
    make: Make, tmp_path: Path, study: Study
) -> None:
    (tmp_path / "open").mkdir()
    city = make(study)
    city.everybody()
    finished(city)
    found, expected = model(city), open_averaging(tmp_path / "open", study)
    start = network.initial(study)
    close = CLOSE if study is PAIRWISE else {"rtol": 2e-4, "atol": 2e-4}  # Adam divides by little
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, **close)
    went = {name: np.abs(array - start[name]).max() for name, array in expected.items()}
    assert max(went.values()) > 100 * close["atol"]
    for node in city.nodes.values():
        assert not node.errors
        assert node.asked == [
            (OFFER, 0, 0),
            (JOIN, 0, 0),
            *[(STEP, n, 1) for n in range(1, ROUNDS + 1)],
            (SCORES, 0, 1),
        ]


def test_it_is_released_with_the_cost_of_local_noise(make: Make) -> None:
    city = make()
    city.everybody()
    finished(city)
    found = record(city)
    assert found.rounds[0].departments == ("care", "labour", "school")
    assert found.evaluated_by == ("care", "labour", "school")
    assert found.quality is not None
    assert found.protection.secure_sum is None  # no noise is shared
    assert found.protection.noise_training == plan(PAIRWISE).training
    assert 0 < found.protection.epsilon <= found.protection.epsilon_approved
    assert "under masks" in found.protection.in_words.en
    card = releases.content(city.coordinator.database, city.run_id, "card.md").decode()
    assert "the coordinator saw sums only" in card
    spent = city.nodes["care"].member.department.ledger.spending(PAIRWISE.digest())
    assert spent.training == found.protection.departments[1].training
    steps = [*(f"train/{n}" for n in range(1, ROUNDS + 1)), "evaluate"]
    assert taken(city) == [(name, step, 1) for step in steps for name in PAIRWISE.departments]


def test_the_coordinator_never_sees_an_update(make: Make) -> None:
    """All that nodes answer, in plain text; where masks are off, the updates are found in it."""
    city, heard = make(), bytearray()

    def note(data: bytes) -> bytes:
        heard.extend(data)
        return data

    for name in PAIRWISE.departments:
        city.join(name).behaviour.garble = note
        city.nodes[name].start()
    finished(city)
    assert len(heard) > 1000
    for name in PAIRWISE.departments:
        for update in _updates(city, name):
            assert not any(piece in heard for piece in _pieces(update))
    opened = bytearray(heard)
    opened.extend(next(_updates(city, "care"))["0.weight"].tobytes())
    assert any(piece in opened for piece in _pieces(next(_updates(city, "care"))))


def _updates(city: Federation, name: str) -> Iterator[dict[str, np.ndarray]]:
    with city.nodes[name].member.department.journal.database.read() as connection:
        rows = connection.execute("SELECT reply FROM answers ORDER BY step").fetchall()
    assert len(rows) == ROUNDS + 1
    for (reply,) in rows:
        found = load(reply)
        if "0.weight" in found:
            yield found


def _pieces(update: dict[str, np.ndarray]) -> Iterator[bytes]:
    """Give each pair of neighbours, as float32 and float64."""
    flat = np.concatenate([update["0.weight"].ravel(), update["0.bias"].ravel()])
    for kind in ("<f4", "<f8"):
        for first in range(len(flat) - 1):
            yield flat[first : first + 2].astype(kind).tobytes()
    yield np.float64(update["weight"]).tobytes()


# --- crashes and departments that go away ---


@pytest.mark.parametrize("at", [1, 2, ROUNDS])
def test_a_run_goes_on_after_its_coordinator(make: Make, tmp_path: Path, at: int) -> None:
    (tmp_path / "open").mkdir()
    city, reached = make(), threading.Event()

    def slow(kind: str, step: int) -> None:
        if (kind, step) == (STEP, at + 1) or (at == ROUNDS and kind == SCORES):
            reached.set()
            threading.Event().wait(0.05)

    city.everybody()
    city.nodes["care"].behaviour.before = slow
    assert reached.wait(30)
    city.coordinator.crash()
    city.coordinator.open()
    finished(city)
    expected = open_averaging(tmp_path / "open", PAIRWISE)
    for name, array in model(city).items():
        np.testing.assert_allclose(array, expected[name], **CLOSE)
    assert {node.member.charges for node in city.nodes.values()} == {ROUNDS + 1}


def test_a_restarted_department_costs_an_attempt_and_nothing_else(
    make: Make, tmp_path: Path
) -> None:
    """Nobody trains or pays again: what was stored is masked afresh, so the model is the same."""
    (tmp_path / "open").mkdir()
    city, answered = make(settings=PATIENT), threading.Event()

    def note(kind: str, step: int) -> None:
        if (kind, step) == (STEP, ROUNDS):
            answered.set()
            threading.Event().wait(0.3)  # it goes away before its answer is out

    city.everybody()
    city.nodes["labour"].behaviour.before = note
    assert answered.wait(30)
    city.nodes["labour"].restart()
    finished(city)
    asked = {attempt for _, _, attempt in city.nodes["school"].asked}
    assert 2 in asked
    assert {attempt for _, _, attempt in taken(city)} == {1}  # as it was charged
    assert city.nodes["school"].member.charges == ROUNDS + 1
    assert city.nodes["care"].member.charges == ROUNDS + 1
    expected = open_averaging(tmp_path / "open", PAIRWISE)
    for name, array in model(city).items():
        np.testing.assert_allclose(array, expected[name], **CLOSE)


@pytest.mark.parametrize("study", [WITNESS, BOTH], ids=["witness", "both"])
def test_a_witness_sums_the_masks_of_updates(make: Make, tmp_path: Path, study: Study) -> None:
    (tmp_path / "open").mkdir()
    city = make(study)
    city.everybody()
    finished(city)
    expected = open_averaging(tmp_path / "open", study)
    for name, array in model(city).items():
        np.testing.assert_allclose(array, expected[name], **CLOSE)
    witness = city.nodes["auditor"]
    assert not witness.errors
    assert [kind for kind, _, _ in witness.asked] == [OFFER, JOIN, *[MASKS] * (ROUNDS + 1)]
    assert witness.member.charges == 0
    assert set(KEYS) == set(city.nodes)


def test_with_a_witness_a_run_goes_on_without_a_department(make: Make) -> None:
    city = make(WITNESS)
    city.everybody()
    city.coordinator.wait(city.run_id, lambda run: run.rounds_done >= 1)
    city.nodes["care"].kill()
    finished(city)
    assert record(city).protection.departments[1].rounds >= 1
