"""The grid alone: streams come and go, answers are matched to what was asked of whom."""

import threading
import time

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.supercore.run import Run

from coordinator.flower.grid import Ending, Line, StreamGrid
from coordinator.flower.wire import Letter
from models.errors import ProtocolViolationError, RefusedError

NODES = {"school": 7, "care": 8}


@pytest.fixture
def grid() -> StreamGrid:
    return StreamGrid(run_id=99, nodes=NODES, limit=1 << 20)


def message(node_id: int) -> Message:
    arrays = ArrayRecord({"w": Array(np.ones(2, dtype=np.float32))})
    content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})
    return Message(content, node_id, "train")


def answer(letter: Letter, *, source: int | None = None, to: str | None = None) -> bytes:
    received = message_from_proto(WireMessage.FromString(letter.data))
    metrics = MetricRecord({"num-examples": 1.0})
    wire = message_to_proto(Message(RecordDict({"metrics": metrics}), reply_to=received))
    if source is not None:
        wire.metadata.src_node_id = source
    if to is not None:
        wire.metadata.reply_to_message_id = to
    return wire.SerializeToString()


def taken(line: Line) -> Letter:
    letter = line.take(seconds=5)
    assert letter is not None
    return letter


def test_a_message_reaches_its_node_and_the_answer_comes_back(grid: StreamGrid) -> None:
    line = grid.attach("school")
    [message_id] = grid.push_messages([message(7)])
    letter = taken(line)
    assert letter.message_id == message_id
    assert grid.pull_messages([message_id]) == []
    grid.accept("school", message_id, answer(letter))
    [reply] = grid.pull_messages([message_id])
    assert reply.metadata.src_node_id == 7
    assert grid.pull_messages([message_id]) == []  # each is given once


def test_a_message_waits_for_a_node_that_connects_later(grid: StreamGrid) -> None:
    [message_id] = grid.push_messages([message(7)])
    assert taken(grid.attach("school")).message_id == message_id


def test_what_is_unanswered_is_sent_again_and_what_is_answered_is_not(grid: StreamGrid) -> None:
    line = grid.attach("school")
    first, second = grid.push_messages([message(7), message(7)])
    grid.accept("school", first, answer(taken(line)))
    grid.detach("school", line)
    again = grid.attach("school")
    assert taken(again).message_id == second
    assert again.take(seconds=0) is None


def test_what_nobody_waits_for_any_more_is_not_sent(grid: StreamGrid) -> None:
    line = grid.attach("school")
    stale, wanted = grid.push_messages([message(7), message(7)])
    grid.forget([stale])
    assert line.take(seconds=5) is None  # the stale one's turn
    assert taken(line).message_id == wanted


def test_whoever_answers_is_heard_though_nobody_waits_for_it(grid: StreamGrid) -> None:
    line = grid.attach("school")
    [message_id] = grid.push_messages([message(7)])
    letter = taken(line)
    assert grid.standing().said == {"school": 0, "care": 0}
    grid.forget([message_id])
    grid.accept("school", message_id, answer(letter))
    assert grid.standing().said == {"school": 1, "care": 0}
    assert grid.take([message_id]) == {}


def test_the_newest_stream_wins_and_the_older_one_ends(grid: StreamGrid) -> None:
    older = grid.attach("school")
    newer = grid.attach("school")
    assert older.ending is Ending.REPLACED
    assert older.take(seconds=0) is None
    grid.detach("school", older)  # must not remove the newer one
    assert "school" not in grid.standing().absent
    grid.push_messages([message(7)])
    assert newer.take(seconds=5) is not None


def test_a_lost_stream_makes_the_node_absent(grid: StreamGrid) -> None:
    assert set(grid.standing().absent) == {"school", "care"}
    line = grid.attach("school")
    assert set(grid.standing().absent) == {"care"}
    grid.detach("school", line)
    assert line.ending is Ending.LOST
    absent = grid.standing().absent
    assert absent["school"] <= absent["care"]


@pytest.mark.parametrize(
    ("department", "changes"),
    [
        ("care", {}),  # another department answers for it
        ("school", {"source": 8}),  # it says that it is another
        ("school", {"to": "f" * 32}),  # it answers something else
    ],
)
def test_an_answer_for_another_is_dropped(
    grid: StreamGrid, department: str, changes: dict[str, object]
) -> None:
    line = grid.attach("school")
    [message_id] = grid.push_messages([message(7)])
    letter = taken(line)
    grid.accept(department, message_id, answer(letter, **changes))
    assert grid.take([message_id]) == {}
    grid.accept("school", message_id, answer(letter))  # the right one still counts
    assert set(grid.take([message_id])) == {message_id}


def test_a_repeated_or_late_answer_is_dropped(grid: StreamGrid) -> None:
    line = grid.attach("school")
    first, second = grid.push_messages([message(7), message(7)])
    letter, other = taken(line), taken(line)
    grid.accept("school", first, answer(letter))
    grid.take([first])
    grid.accept("school", first, answer(letter))
    grid.forget([second])
    grid.accept("school", second, answer(other))
    assert grid.take([first, second]) == {}


def test_a_garbled_answer_ends_the_stream_and_is_not_awaited_again(grid: StreamGrid) -> None:
    line = grid.attach("school")
    [message_id] = grid.push_messages([message(7)])
    taken(line)
    with pytest.raises(ProtocolViolationError):
        grid.accept("school", message_id, b"\xff\xfe not a message")
    assert grid.take([message_id]) == {message_id: None}


def test_nobody_outside_the_cohort_attaches_and_nobody_at_all_after_the_end(
    grid: StreamGrid,
) -> None:
    with pytest.raises(RefusedError):
        grid.attach("labour")
    line = grid.attach("school")
    grid.close()
    assert line.ending is Ending.CLOSED
    with pytest.raises(RefusedError):
        grid.attach("school")


def test_flower_sees_the_fixed_cohort_without_those_left_out(grid: StreamGrid) -> None:
    assert list(grid.get_node_ids()) == [7, 8]
    grid.leave_out("school")
    assert list(grid.get_node_ids()) == [8]
    assert [info.node_id for info in grid.get_nodes()] == [8]
    assert grid.run.run_id == 99


def test_send_and_receive_gives_answers_in_order_and_errors_for_the_silent(
    grid: StreamGrid,
) -> None:
    line = grid.attach("care")
    thread = threading.Thread(
        target=lambda: [grid.accept("care", x.message_id, answer(x)) for x in [taken(line)]]
    )
    thread.start()
    silent, reply = grid.send_and_receive([message(7), message(8)], timeout=0.5)
    thread.join()
    assert silent.error.code == 5
    assert reply.has_content()
    assert grid._sent == {}
    assert grid._replies == {}


def test_send_and_receive_ends_when_the_run_does(grid: StreamGrid) -> None:
    threading.Timer(0.1, grid.close).start()
    began = time.monotonic()
    [reply] = grid.send_and_receive([message(7)], timeout=30)
    assert reply.has_error()
    assert time.monotonic() - began < 5


def test_waiting_ends_at_a_change_and_a_change_before_is_not_missed(grid: StreamGrid) -> None:
    standing = grid.standing()
    grid.wake()
    began = time.monotonic()
    grid.wait(change=standing.change, seconds=30)
    assert time.monotonic() - began < 5


def test_what_flower_deprecated_is_refused(grid: StreamGrid) -> None:
    with pytest.raises(NotImplementedError):
        grid.set_run(Run.create_empty(2))
    with pytest.raises(NotImplementedError):
        grid.create_message(RecordDict(), "train", 7, "")
