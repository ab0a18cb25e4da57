"""Members and networks that attack a run: the coordinator's end, over real streams under TLS.

What one member sends cannot be told from noise, so a malicious one can spoil a sum
(`tests/fault/test_secagg_attacks.py` shows it). It can do no more: what is not a message of the
right form, in the right place and once, is no part of any sum.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import numpy as np
import pytest
import summing
from coordinators import Behaviour, Coordinator
from flwr.app import Array, Message
from hostile import VICTIM
from nodes import NOW
from safetensors.numpy import load
from studies import summed_study
from summers import City

from coordinator.flower import sums as reading_sums
from coordinator.ledger import chain
from coordinator.rpc.data_plane import RUN_KEY
from coordinator.store import releases
from coordinator.store.database import reading
from models.governance.states import RunState
from models.secagg.coordinator import Total
from models.training import messages, steps
from models.training.studies import training_plan
from node.gate.gate import Gate
from protos.codec import join, split
from protos.fleet.v1 import data_plane_pb2, data_plane_pb2_grpc
from protos.sums import HISTOGRAM, RAW, STEP

STUDY = summed_study(secure_sum={"residents": 180})
STEPS = 25


@pytest.fixture
def city(tmp_path: Path) -> Iterator[summing.Federation]:
    made = summing.Federation(Coordinator(tmp_path, study=STUDY))
    yield made
    made.close()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Give the model that the same parties make with nobody between them."""
    parties, plan = City(tmp_path_factory.mktemp("honest"), STUDY), training_plan(STUDY)
    parties.join()

    def total(step: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
        found = parties.total(step, parties.ask(step, arrays), arrays)
        assert isinstance(found, Total)
        return found.values

    at = steps.start(plan, total("histogram", {}))
    for number in range(1, STEPS + 1):
        at = steps.advanced(plan, at, total(messages.train(number), steps.question(plan, at)))
    parties.close()
    return steps.parameters(plan, at)


def is_model(city: summing.Federation, expected: dict[str, np.ndarray]) -> bool:
    content = releases.content(city.coordinator.database, city.run_id, "model.safetensors")
    found = load(content)
    return all(np.array_equal(found[name], expected[name]) for name in expected)


def taken(city: summing.Federation) -> list[tuple[str, str, int]]:
    with reading(city.coordinator.database) as connection:
        entries = chain.page(connection, first=0).entries
    return [(e.entry.department, e.entry.step, e.entry.attempt) for e in entries]


# --- a network that repeats, re-orders, delays and cuts ---

Frames = Callable[[list[list[Any]]], list[Any]]
"""From the frames of all answers so far, the newest last: those that are sent now."""


class Spoilt(summing.Node):
    """A node whose answers go through a network that does what it likes with them."""

    network: Frames = staticmethod(lambda answers: answers[-1])

    def _exchange(self, channel: grpc.Channel) -> None:
        outbox: SimpleQueue[Any] = SimpleQueue()
        stub = data_plane_pb2_grpc.DataPlaneServiceStub(channel)
        self._call = stub.Exchange(iter(outbox.get, None), metadata=((RUN_KEY, str(self.run_id)),))
        answers: list[list[Any]] = []
        try:
            for message_id, data in join((r.frame for r in self._call), limit=1 << 30):
                reply = self._answer(None, None, data)
                answers.append(list(split(message_id, reply)))
                for frame in self.network(answers):
                    outbox.put(data_plane_pb2.ExchangeRequest(frame=frame))
        finally:
            outbox.put(None)


def with_network(city: summing.Federation, network: Frames) -> Spoilt:
    """Let everybody take part; one of them through that network."""
    node = Spoilt(city.coordinator, "labour", city.run_id, Behaviour())
    node.network = network
    city.nodes["labour"] = node
    node.start()
    city.everybody()
    return node


def twice(answers: list[list[Any]]) -> list[Any]:
    return answers[-1] * 2


def all_again(answers: list[list[Any]]) -> list[Any]:
    """Everything that was ever said, in the wrong order, and at last what is asked for."""
    return [frame for answer in reversed(answers) for frame in answer][-400:] + answers[-1]


def older_first(answers: list[list[Any]]) -> list[Any]:
    return [*answers[max(0, len(answers) - 2)], *answers[-1]]


@pytest.mark.parametrize("network", [twice, all_again, older_first])
def test_repeated_and_reordered_answers_change_nothing(
    city: summing.Federation, honest: dict[str, np.ndarray], network: Frames
) -> None:
    with_network(city, network)
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FINISHED, ended.message
    assert is_model(city, honest)
    assert len(taken(city)) == len(set(taken(city))) == 3 * (STEPS + 2)


def test_a_stream_that_is_cut_in_the_middle_of_an_answer(
    city: summing.Federation, honest: dict[str, np.ndarray]
) -> None:
    """The answer is asked for again, and is the same bytes: it costs nothing."""
    cuts: list[int] = []
    node: list[Spoilt] = []

    def cut(answers: list[list[Any]]) -> list[Any]:
        if len(cuts) < 5 and len(answers) > 2:
            cuts.append(len(answers))
            node[0]._call.cancel()
            return []
        return answers[-1]

    node.append(Spoilt(city.coordinator, "labour", city.run_id, Behaviour()))
    node[0].network = cut
    city.nodes["labour"] = node[0]
    node[0].start()
    city.everybody()
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FINISHED, ended.message
    assert len(cuts) == 5
    assert is_model(city, honest)
    assert {n.member.charges for n in city.nodes.values()} == {STEPS + 2}


@pytest.mark.parametrize("size", [0, 1, 40, -1, -8])
def test_an_answer_that_was_truncated_is_no_part_of_a_sum(
    city: summing.Federation, size: int
) -> None:
    labour = city.join("labour")
    asked, answer = labour.asked, labour._answer

    def cut(*arguments: object) -> bytes:
        whole = answer(*arguments)
        return whole[:size] if asked[-1][0] == HISTOGRAM else whole

    labour._answer = cut
    labour.start()
    city.everybody()
    ended = city.coordinator.wait_end(city.run_id, seconds=30)
    assert ended.state is RunState.FAILED
    assert "labour" in ended.message
    assert not taken(city)


# --- a member that sends something else ---


def nans(reply: Message) -> Message:
    """What a member would send that wants the model to be no number."""
    if reply.metadata.message_type == HISTOGRAM and reply.has_content():
        length = len(reply.content["arrays"]["sum"].data) // 8
        data = np.full(length, np.nan).tobytes()
        reply.content["arrays"]["sum"] = Array("float64", (length,), RAW, data)
    return reply


def test_numbers_that_are_none_are_no_part_of_a_sum(city: summing.Federation) -> None:
    city.join("labour", spoil=nans).start()
    city.everybody()
    ended = city.coordinator.wait_end(city.run_id, seconds=30)
    assert ended.state is RunState.FAILED
    assert "labour sent an answer that does not fit the study" in ended.message
    assert not taken(city)


def test_a_reader_that_does_not_look_takes_them(
    city: summing.Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_sums, "elements", lambda array, *, ring, length: array.data)
    city.join("labour", spoil=nans).start()
    city.everybody()
    city.coordinator.wait_end(city.run_id, seconds=60)
    assert ("labour", "histogram", 1) in taken(city)


# --- a department that stops its node ---


def stop_at(city: summing.Federation, number: int) -> summing.Node:
    """Let everybody take part, and stop the victim's node when it is asked for that step."""
    node = city.join(VICTIM)

    def stop(kind: str, step: int) -> None:
        if (kind, step) == (STEP, number):
            node.member.department.switch.stop("the steward said so", now=NOW)

    node.behaviour.before = stop
    node.start()
    city.everybody()
    return node


def test_a_stop_in_the_middle_of_a_run_ends_it(city: summing.Federation) -> None:
    node = stop_at(city, 7)
    ended = city.coordinator.wait_end(city.run_id, seconds=30)
    assert ended.state is RunState.FAILED
    assert f"{VICTIM} refused" in ended.message
    assert node.member.charges == 7  # the histogram, and six steps
    assert (VICTIM, "train/6", 1) in taken(city)
    assert not [entry for entry in taken(city) if entry[1] == "train/7"]


def test_a_gate_that_does_not_look_at_the_switch_goes_on(
    city: summing.Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gate, "_go", lambda _: None)
    node = stop_at(city, 7)
    ended = city.coordinator.wait_end(city.run_id, seconds=60)
    assert ended.state is RunState.FINISHED
    assert node.member.charges == STEPS + 2
