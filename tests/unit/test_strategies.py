"""Flower's strategies, unmodified, driven round by round: exact, ordered, resumable."""

import threading
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx
from studies import public_study

from coordinator.flower import strategies
from coordinator.flower.engine import Engine
from coordinator.flower.grid import StreamGrid
from coordinator.flower.question import Question
from models.errors import ProtocolViolationError, RunFailedError
from models.governance.study import Study

NODES = {"school": 30, "care": 10, "labour": 20}
PULL = {"school": 1.0, "care": -0.7, "labour": 0.3}
MLP = {"family": "mlp", "hidden": (4,)}


def study_of(strategy: str, **training: Any) -> Study:
    proximal = {"proximal": 0.1} if strategy == "fedprox" else {}
    return public_study(model=MLP, training={"strategy": strategy, **proximal, **training})


def trained(department: str, parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give a made-up training: a step towards a point of the department's own."""
    return {
        name: (array + np.float32(0.3) * (np.float32(PULL[department]) - array)).astype(np.float32)
        for name, array in parameters.items()
    }


def reply_to(department: str, data: bytes) -> bytes:
    message = message_from_proto(WireMessage.FromString(data))
    arrays = {name: array.numpy() for name, array in message.content["arrays"].items()}
    weight = {"school": 3.0, "care": 1.5, "labour": 2.25}[department]
    content = RecordDict(
        {
            "arrays": ArrayRecord({n: Array(a) for n, a in trained(department, arrays).items()}),
            "metrics": MetricRecord({"num-examples": weight}),
        }
    )
    return message_to_proto(Message(content, reply_to=message)).SerializeToString()


def engine_of(study: Study) -> Engine:
    return Engine(study=study, run_id=5, nodes=NODES, histograms={})


def answer_all(
    engine: Engine, question: Question[Any], *, order: tuple[str, ...] = tuple(NODES)
) -> None:
    for department in order:
        line = engine.grid.attach(department)
        while (letter := line.take(seconds=0)) is not None:
            engine.grid.accept(department, letter.message_id, reply_to(department, letter.data))
    question.collect()


def play(engine: Engine, *rounds: int, order: tuple[str, ...] = tuple(NODES)) -> Engine:
    for number in rounds:
        question = engine.ask_training(number)
        answer_all(engine, question, order=order)
        engine.fold(number, question.answers)
    return engine


def same(one: Engine, other: Engine) -> bool:
    return all(
        np.array_equal(one.parameters[name], other.parameters[name]) for name in one.parameters
    ) and all(np.array_equal(one.state()[name], other.state()[name]) for name in one.state())


@pytest.mark.parametrize(
    ("name", "kind"), [("fedavg", FedAvg), ("fedprox", FedProx), ("fedadam", FedAdam)]
)
def test_the_study_names_the_strategy(name: str, kind: type) -> None:
    strategy = strategies.strategy_of(study_of(name, server_learning_rate=0.25))
    assert type(strategy) is kind
    if isinstance(strategy, FedAdam):
        assert strategy.eta == 0.25
    if isinstance(strategy, FedProx):
        assert strategy.proximal_mu == 0.1


def test_fedavg_is_the_weighted_mean() -> None:
    engine = engine_of(study_of("fedavg"))
    before = dict(engine.parameters)
    play(engine, 1)
    for name, array in engine.parameters.items():
        parts = {d: trained(d, before)[name].astype(np.float64) for d in NODES}
        mean = (3 * parts["school"] + 1.5 * parts["care"] + 2.25 * parts["labour"]) / 6.75
        np.testing.assert_allclose(array, mean, rtol=1e-6, atol=1e-7)
        assert array.dtype == np.float32


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedadam"])
def test_the_order_of_answers_does_not_change_a_bit(name: str) -> None:
    one = play(engine_of(study_of(name)), 1, 2, 3)
    other = play(engine_of(study_of(name)), 1, 2, 3, order=("labour", "school", "care"))
    assert same(one, other)


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedadam"])
def test_a_mean_that_was_summed_elsewhere_gives_the_same(name: str) -> None:
    """Under masks only the weighted mean is known; Adam's moments follow from it alone."""
    study, weights = study_of(name), (3.0, 1.5, 2.25)
    answered, summed = play(engine_of(study), 1, 2, 3), engine_of(study)
    for number in (1, 2, 3):
        parts = [trained(each, summed.parameters) for each in ("school", "care", "labour")]
        mean = {
            n: np.average([p[n].astype(float) for p in parts], axis=0, weights=weights)
            for n in summed.parameters
        }
        summed.fold_mean(number, {n: a.astype(np.float32) for n, a in mean.items()}, 6.75)
    for key, array in answered.parameters.items():
        np.testing.assert_allclose(array, summed.parameters[key], rtol=1e-4, atol=1e-5)
    assert answered.state().keys() == summed.state().keys()


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "fedadam"])
def test_a_resumed_training_gives_the_identical_result(name: str) -> None:
    whole = play(engine_of(study_of(name)), 1, 2, 3, 4)
    first = play(engine_of(study_of(name)), 1, 2)
    second = engine_of(study_of(name))
    second.restore(parameters=first.parameters, state=first.state())
    assert same(whole, play(second, 3, 4))


def test_a_resumption_without_adams_moments_would_be_noticed() -> None:
    whole = play(engine_of(study_of("fedadam")), 1, 2, 3, 4)
    first = play(engine_of(study_of("fedadam")), 1, 2)
    second = engine_of(study_of("fedadam"))
    second.restore(parameters=first.parameters, state={})
    assert not same(whole, play(second, 3, 4))


class Echo(StreamGrid):
    """A grid whose nodes answer at once, for Flower's own `start`."""

    def __init__(self) -> None:
        super().__init__(run_id=5, nodes=NODES, limit=1 << 20)
        for department in NODES:
            threading.Thread(target=self._serve, args=(department,), daemon=True).start()

    def _serve(self, department: str) -> None:
        line = self.attach(department)
        while line.ending is None:
            letter = line.take(seconds=1)
            if letter is not None:
                self.accept(department, letter.message_id, reply_to(department, letter.data))


@pytest.mark.parametrize("name", ["fedavg", "fedadam"])
def test_our_rounds_are_those_of_flowers_own_start(name: str) -> None:
    study = study_of(name)
    ours = play(engine_of(study), 1, 2, 3)
    grid = Echo()
    initial = ArrayRecord({n: Array(a) for n, a in engine_of(study).parameters.items()})
    strategy = strategies.strategy_of(study)
    strategy.fraction_evaluate = 0.0
    result = strategy.start(grid, initial, num_rounds=3, timeout=20)
    grid.close()
    for key, array in ours.parameters.items():  # Flower goes on in float64 between the rounds
        np.testing.assert_allclose(array, result.arrays[key].numpy(), rtol=2e-6, atol=1e-6)


def test_fedprox_leaves_the_settings_to_the_approved_study() -> None:
    engine = engine_of(study_of("fedprox"))
    engine.ask_training(4)
    letter = engine.grid.attach("care").take(seconds=0)
    assert letter is not None
    message = message_from_proto(WireMessage.FromString(letter.data))
    assert dict(message.content["config"]) == {
        "attempt": 1,
        "proximal-mu": 0.1,
        "server-round": 4,
    }
    assert message.metadata.message_type == "train"


def test_a_training_that_grows_without_bound_ends_with_a_reason() -> None:
    engine = engine_of(study_of("fedadam"))
    most = np.finfo(np.float32).max
    engine.parameters = {n: np.full_like(a, -most) for n, a in engine.parameters.items()}
    question = engine.ask_training(1)
    answer_all(engine, question)
    for answer in question.answers.values():
        arrays = answer.message.content["arrays"]
        for name, array in engine.parameters.items():
            arrays[name] = Array(-array)
    with pytest.raises(RunFailedError, match="diverged in round 1"):
        engine.fold(1, question.answers)


def test_another_strategys_or_studys_checkpoint_is_refused() -> None:
    adam = play(engine_of(study_of("fedadam")), 1)
    average = engine_of(study_of("fedavg"))
    with pytest.raises(ProtocolViolationError):
        average.restore(parameters=adam.parameters, state=adam.state())
    half = {name: a for name, a in adam.state().items() if name.startswith("m_t")}
    with pytest.raises(ProtocolViolationError):
        engine_of(study_of("fedadam")).restore(parameters=adam.parameters, state=half)
    logistic = Engine(study=public_study(), run_id=5, nodes=NODES, histograms={})
    with pytest.raises(ProtocolViolationError):
        logistic.restore(parameters=adam.parameters, state={})
