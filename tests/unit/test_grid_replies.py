"""Answers that are not exactly what was asked for are refused before anything reads them."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from hypothesis import given
from hypothesis import strategies as st

from coordinator.flower import replies, wire
from coordinator.flower.replies import Form
from models.errors import ProtocolViolationError

FORMS = {"w": Form(dtype="float32", shape=(2, 3)), "b": Form(dtype="float32", shape=(2,))}
W = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.ones(2, dtype=np.float32)


def reply(
    arrays: dict[str, Array] | None = None,
    metrics: dict[str, object] | None = None,
    **more: object,
) -> Message:
    arrays = {"w": Array(W), "b": Array(B)} if arrays is None else arrays
    metrics = {"num-examples": 3.0} if metrics is None else metrics
    request = Message(RecordDict(), 7, "train")
    records = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics), **more}
    return Message(RecordDict(records), reply_to=request)


def test_a_right_answer_is_opened_in_the_order_that_was_asked() -> None:
    arrays, weight = replies.read(reply({"b": Array(B), "w": Array(W)}), FORMS)
    assert list(arrays) == ["w", "b"]
    np.testing.assert_array_equal(arrays["w"], W)
    assert weight == 3.0


def test_another_memory_order_is_the_same_array() -> None:
    arrays, _ = replies.read(reply({"w": Array(np.asfortranarray(W)), "b": Array(B)}), FORMS)
    np.testing.assert_array_equal(arrays["w"], W)


def lying(array: np.ndarray, *, dtype: str = "float32", shape: tuple[int, ...] = (2, 3)) -> Array:
    return Array(dtype, shape, "numpy.ndarray", Array(array).data)


def header(text: bytes) -> Array:
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    return Array("float32", (2, 3), "numpy.ndarray", data)


def pickled() -> Array:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return Array("float32", (2, 3), "numpy.ndarray", stream.getvalue())


HUGE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"

BAD_ARRAYS: dict[str, Callable[[], Array]] = {
    "another dtype": lambda: Array(W.astype(np.float64)),
    "another shape": lambda: Array(W.T.copy()),
    "a dtype that is not the array's": lambda: lying(W.astype(np.float64)),
    "a shape that is not the array's": lambda: lying(np.ones(7, dtype=np.float32)),
    "big-endian numbers": lambda: lying(W.astype(">f4")),
    "a number that is not finite": lambda: Array(np.where(W == 5, np.nan, W)),
    "infinity": lambda: Array(np.where(W == 5, np.inf, W).astype(np.float32)),
    "less than it says": lambda: Array("float32", (2, 3), "numpy.ndarray", Array(W).data[:-1]),
    "more than it says": lambda: Array("float32", (2, 3), "numpy.ndarray", Array(W).data + b"x"),
    "no array at all": lambda: Array("float32", (2, 3), "numpy.ndarray", b"hello"),
    "nothing": lambda: Array("float32", (2, 3), "numpy.ndarray", b""),
    "a header that claims a terabyte": lambda: header(HUGE),
    "a header that is code": lambda: header(b"__import__('os').system('true')\n"),
    "another kind": lambda: Array("float32", (2, 3), "torch.tensor", Array(W).data),
    "a pickle": pickled,
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_an_array_that_is_not_what_was_asked_is_refused(name: str) -> None:
    with pytest.raises(ProtocolViolationError):
        replies.read(reply({"w": BAD_ARRAYS[name](), "b": Array(B)}), FORMS)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"num-examples": 0.0},
        {"num-examples": -1.0},
        {"num-examples": float("nan")},
        {"num-examples": float("inf")},
        {"num-examples": 1.1e9},
        {"num-examples": [1.0]},
        {"num-examples": 1.0, "age": 47.0},
        {"examples": 1.0},
    ],
)
def test_a_weight_that_is_not_one_is_refused(metrics: dict[str, object]) -> None:
    with pytest.raises(ProtocolViolationError):
        replies.read(reply(metrics=metrics), FORMS)


def test_other_names_and_records_are_refused() -> None:
    for message in (
        reply({"w": Array(W)}),
        reply({"w": Array(W), "b": Array(B), "c": Array(B)}),
        reply(more=ConfigRecord({"note": "hello"})),
        reply(more=MetricRecord({"a": 1.0})),
        Message(RecordDict(), reply_to=Message(RecordDict(), 7, "train")),
    ):
        with pytest.raises(ProtocolViolationError):
            replies.read(message, FORMS)


def test_there_is_room_for_a_right_answer_and_not_for_much_more() -> None:
    size = len(message_to_proto(reply()).SerializeToString())
    assert size < replies.room(FORMS) < 100_000


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = wire.unpack(data)
    except ProtocolViolationError:
        return
    assert message.has_content() != message.has_error()


@given(st.data())
def test_a_damaged_answer_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(message_to_proto(reply()).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = wire.unpack(bytes(whole))
        if message.has_content():
            replies.read(message, FORMS)
    except ProtocolViolationError:
        pass


def test_records_beyond_any_answer_are_refused_before_they_are_unpacked() -> None:
    many = message_to_proto(reply())
    many.content.items[1].metric_record.items[0].value.double_list.vals.extend([1.0] * 10)
    crowd = message_to_proto(reply())
    entries = crowd.content.items[0].array_record.items
    for number in range(1001):
        entries.add().key = str(number)
    twice = message_to_proto(reply())
    twice.content.items.add().CopyFrom(twice.content.items[0])
    config = message_to_proto(reply(more=ConfigRecord({"a": 1})))
    nothing = WireMessage(metadata=many.metadata)
    both = message_to_proto(reply())
    both.error.code = 2
    for bad in (many, crowd, twice, config, nothing, both):
        with pytest.raises(ProtocolViolationError):
            wire.unpack(bad.SerializeToString())
