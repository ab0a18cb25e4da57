"""Flower at the node: the touch points of 1.41, and what the node accepts on them."""

import struct
from collections.abc import Iterator
from pathlib import Path

import flwr
import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.supercore.task_identity import TaskIdentity
from nodes import RUN, Bench, Department, parameters
from studies import study

from models.errors import BudgetExhaustedError, ProtocolViolationError, RefusedError
from models.governance.answers import Fault, read
from models.privacy.plan import plan
from node.flower.client_app import message_limit
from node.flower.work import RunWork

NODE_ID = 2**62 + 5
MESSAGE_ID = "0123456789abcdef" * 2


# Requests are made here as the coordinator makes them, which reads this identity.
TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Department]:
    made = Department(tmp_path)
    made.approve(study())
    yield made
    made.close()


@pytest.fixture
def failures() -> list[Exception]:
    return []


@pytest.fixture
def bench() -> Bench:
    return Bench(plan(study()))


@pytest.fixture
def work(department: Department, bench: Bench, failures: list[Exception]) -> RunWork:
    return RunWork(
        study=study(),
        run_id=RUN,
        node_id=NODE_ID,
        steps=department.steps(study(), lambda: bench),
        failed=failures.append,
    )


def content(**config: object) -> RecordDict:
    arrays = {name: Array(value) for name, value in parameters(study()).items()}
    settings = {"server-round": 1, "attempt": 1, **config}
    return RecordDict({"arrays": ArrayRecord(arrays), "config": ConfigRecord(settings)})


def request(
    records: RecordDict | None = None,
    *,
    kind: str = "train",
    run: int = RUN,
    message_id: str = MESSAGE_ID,
) -> bytes:
    wire = message_to_proto(Message(content() if records is None else records, NODE_ID, kind))
    wire.metadata.message_id, wire.metadata.run_id = message_id, run
    return bytes(wire.SerializeToString())


def reply(work: RunWork, data: bytes) -> Message:
    return message_from_proto(WireMessage.FromString(work.answer(data)))


def test_the_version_is_the_one_that_was_tried() -> None:
    assert flwr.__version__.startswith("1.41")


def test_telemetry_is_off_before_flwr_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import subprocess
    import sys

    code = (
        "import sys, node.flower, os; assert 'flwr' not in sys.modules;"
        "print(os.environ['FLWR_TELEMETRY_ENABLED'], os.environ['FLWR_DISABLE_UPDATE_CHECK'])"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLWR_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "1"]


def test_a_training_message_round_trips(work: RunWork) -> None:
    answer = reply(work, request())
    assert answer.metadata.reply_to_message_id == MESSAGE_ID
    assert answer.metadata.run_id == RUN
    assert answer.metadata.src_node_id == NODE_ID
    assert answer.metadata.message_type == "train"
    assert set(answer.content) == {"arrays", "metrics"}
    assert dict(answer.content["metrics"]) == {"num-examples": 120.5}
    arrays = answer.content["arrays"]
    assert list(arrays) == list(parameters(study()))
    for name, before in parameters(study()).items():
        np.testing.assert_array_equal(arrays[name].numpy(), before + 1)


def test_a_repeated_message_gets_the_same_content_under_its_own_id(
    work: RunWork, bench: Bench
) -> None:
    first = reply(work, request())
    second = reply(work, request(message_id="f" * 32))
    assert second.metadata.reply_to_message_id == "f" * 32
    for name in first.content["arrays"]:
        assert first.content["arrays"][name].data == second.content["arrays"][name].data
    assert bench.asked == ["train/1"]


def test_an_evaluation_message_round_trips(work: RunWork) -> None:
    answer = reply(work, request(kind="evaluate"))
    assert dict(answer.content["metrics"]) == {"num-examples": 1.0}
    assert answer.content["arrays"]["histogram"].numpy().shape == (1, 2, 64)


def test_departments_that_weigh_alike_send_a_constant(
    tmp_path: Path, failures: list[Exception]
) -> None:
    equal = study(training={"weights": "equal"})
    (tmp_path / "equal").mkdir()
    department = Department(tmp_path / "equal")
    department.approve(equal)
    bench = Bench(plan(equal))
    steps = department.steps(equal, lambda: bench)
    work = RunWork(study=equal, run_id=RUN, node_id=5, steps=steps, failed=failures.append)
    assert dict(reply(work, request()).content["metrics"]) == {"num-examples": 1.0}
    department.close()


def test_settings_in_a_message_are_not_read(work: RunWork) -> None:
    """A strategy adds keys of its own; the node reads the round and the attempt alone."""
    config = {"proximal-mu": 9.0, "lr": 1e9, "steps": 10**6, "model": "os.system"}
    assert reply(work, request(content(**config))).has_content()


@pytest.mark.parametrize("kind", ["query", "system", "query.rows", "train.rows"])
def test_other_message_types_are_refused(
    work: RunWork, bench: Bench, failures: list[Exception], kind: str
) -> None:
    answer = reply(work, request(kind=kind))
    assert answer.has_error()
    assert answer.error.reason in {"refused", "failed at the node"}
    assert answer.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert bench.asked == []
    assert len(failures) == 1


def test_an_error_is_answered_with_a_fixed_sentence_alone(
    work: RunWork, bench: Bench, failures: list[Exception]
) -> None:
    bench.fails = ValueError("could not convert string to float: '19121212-1212'")
    data = work.answer(request())
    assert b"19121212" not in data
    answer = message_from_proto(WireMessage.FromString(data))
    assert answer.error.reason == "failed at the node"
    assert failures == [bench.fails]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (BudgetExhaustedError("x"), Fault.BUDGET_EXHAUSTED),
        (RefusedError("x"), Fault.REFUSED),
        (ProtocolViolationError("x"), Fault.FAILED),
        (KeyError("x"), Fault.FAILED),
    ],
)
def test_each_error_has_its_sentence(error: Exception, fault: Fault) -> None:
    assert Fault.of(error) is fault
    assert read(fault.value) is fault


def test_an_unknown_sentence_counts_as_failed() -> None:
    assert read("<script>") is Fault.FAILED


def raw(
    shape: tuple[int, ...], *, claim: tuple[int, ...] | None = None, dtype: str = "<f4"
) -> Array:
    """Give an array whose bytes say something else than the record, or than they hold."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {claim or shape}, }}"
    padded = header.encode() + b" " * (117 - len(header)) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    return Array(dtype="float32", shape=shape, stype="numpy.ndarray", data=data + bytes(size))


def spoiled(change: object) -> RecordDict:
    records = content()
    arrays = dict(records["arrays"])
    change(arrays)
    return RecordDict({"arrays": ArrayRecord(arrays), "config": records["config"]})


NAME, SHAPE = next(iter((n, a.shape) for n, a in parameters(study()).items()))


def set_array(array: Array) -> object:
    def change(arrays: dict[str, Array]) -> None:
        arrays[NAME] = array

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop(NAME),
        lambda arrays: arrays.update(extra=Array(np.zeros(3, dtype=np.float32))),
        set_array(Array(np.full(SHAPE, np.nan, dtype=np.float32))),
        set_array(Array(np.zeros(SHAPE, dtype=np.float64))),
        set_array(Array(np.zeros((7,), dtype=np.float32))),
        set_array(raw(SHAPE, claim=(10**12,))),
        set_array(raw(SHAPE, dtype="|O")),
        set_array(raw((SHAPE[0], SHAPE[1] + 1), claim=SHAPE)),
        set_array(Array("float32", SHAPE, "numpy.ndarray", b"PK\x03\x04" + b"0" * 200)),
        set_array(Array("float32", SHAPE, "torch.pickle", raw(SHAPE).data)),
        set_array(Array("float32", SHAPE, "numpy.ndarray", b"")),
    ],
)
def test_arrays_that_are_not_the_studys_are_refused(
    work: RunWork, bench: Bench, failures: list[Exception], change: object
) -> None:
    answer = reply(work, request(spoiled(change)))
    assert answer.error.reason == "failed at the node"
    assert isinstance(failures[0], ProtocolViolationError)
    assert bench.asked == []


def test_the_untouched_raw_array_is_accepted(work: RunWork) -> None:
    assert reply(work, request(spoiled(set_array(raw(SHAPE))))).has_content()


@pytest.mark.parametrize(
    "config",
    [
        {"server-round": 0},
        {"server-round": True},
        {"server-round": 1.0},
        {"server-round": 10**9},
        {"attempt": -1},
        {"attempt": "1"},
    ],
)
def test_a_round_or_attempt_that_is_none_is_refused(
    work: RunWork, bench: Bench, config: dict[str, object]
) -> None:
    assert reply(work, request(content(**config))).has_error()
    assert bench.asked == []


@pytest.mark.parametrize(
    "records",
    [
        RecordDict(),
        RecordDict({"arrays": MetricRecord({"a": 1.0}), "config": ConfigRecord({})}),
        RecordDict({"config": ConfigRecord({"server-round": 1})}),
    ],
)
def test_missing_records_are_refused(work: RunWork, bench: Bench, records: RecordDict) -> None:
    assert reply(work, request(records)).has_error()
    assert bench.asked == []


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"garbage", request(run=RUN + 1)])
def test_what_is_no_message_of_this_run_is_dropped(work: RunWork, data: bytes) -> None:
    with pytest.raises(ProtocolViolationError):
        work.answer(data)


def test_the_size_limit_leaves_room_for_a_message_and_little_more() -> None:
    wide = study(model={"family": "mlp", "hidden": (1000, 1000)})
    assert len(request()) < message_limit(study()) < 2 << 20
    size = sum(4 * array.size for array in parameters(wide).values())
    assert size < message_limit(wide) < 1.5 * size + (1 << 20)
