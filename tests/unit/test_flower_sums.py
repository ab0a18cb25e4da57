"""Secure sums over Flower's messages: what a department and a witness read, and what they say."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from lines import Line
from nodes import RUN
from studies import summed_study
from summers import City

from models import documents
from models.errors import DatalabbetError, InvalidDocumentError, ProtocolViolationError
from models.families.network import initial
from models.governance.answers import Fault
from models.governance.roster import Mode
from models.governance.study import Study
from models.secagg import coordinator
from models.secagg.agreement import Joined, Offer, Offers
from models.secagg.coordinator import Total
from models.secagg.node import Masked
from models.secagg.witness import MaskSum, SetRequest, SignedSet
from models.training import messages
from node.flower.sum_app import message_limit
from protos.codec import read_json
from protos.sums import HISTOGRAM, JOIN, MASKS, MOST_RAW, OFFER, RAW, SCORES, STEP


class Lines:
    """A city behind its wires."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.study = study
        self.city = City(folder, study)
        self.to = {name: Line(self.city[name].sums) for name in study.departments}
        if study.summed.witness:
            self.to["auditor"] = Line(self.city["auditor"].witness)

    def offers(self) -> Offers:
        found = []
        for line in self.to.values():
            (array,) = line.arrays(OFFER, RecordDict()).values()
            found.append(read_json(Offer, array.data, what="an offer"))
        return Offers(offers=tuple(found))

    def join(self) -> None:
        offers = document("offers", self.offers())
        said = {line.arrays(JOIN, offers)["cohort"].data for line in self.to.values()}
        assert len(said) == 1
        assert read_json(Joined, said.pop(), what="the cohort").cohort

    def masked(self, kind: str, content: RecordDict) -> dict[str, Masked]:
        found = {}
        for name in self.study.departments:
            arrays = self.to[name].arrays(kind, content)
            assert set(arrays) == {"context", "sum"}
            assert (arrays["context"].stype, arrays["sum"].stype) == (RAW, RAW)
            assert arrays["context"].shape == (32,)
            assert arrays["sum"].dtype == "uint64"
            assert arrays["sum"].shape == (len(arrays["sum"].data) // 8,)
            context = arrays["context"].data.hex()
            found[name] = Masked(member=name, context=context, payload=arrays["sum"].data)
        return found

    def close(self) -> None:
        self.city.close()


def document(name: str, value: object) -> RecordDict:
    return raw(name, documents.write(value))


def raw(name: str, data: bytes, **changes: object) -> RecordDict:
    settings = {"dtype": "uint8", "shape": (len(data),), "stype": RAW, "data": data} | changes
    return RecordDict({"arrays": ArrayRecord({name: Array(**settings)})})


def question(arrays: dict[str, np.ndarray], **numbers: object) -> RecordDict:
    content = {"config": ConfigRecord({"attempt": 1, **numbers})}
    content["arrays"] = ArrayRecord({name: Array(value) for name, value in arrays.items()})
    return RecordDict(content)


def histogram(**numbers: object) -> RecordDict:
    return RecordDict({"config": ConfigRecord({"attempt": 1, **numbers})})


@pytest.fixture(scope="module")
def study() -> Study:
    return summed_study()


@pytest.fixture
def lines(study: Study, tmp_path: Path) -> Iterator[Lines]:
    made = Lines(tmp_path, study)
    made.join()
    yield made
    made.close()


@pytest.fixture
def witnessed(tmp_path: Path) -> Iterator[Lines]:
    made = Lines(tmp_path, summed_study(secure_sum={"mode": Mode.WITNESS, "witness": "auditor"}))
    made.join()
    yield made
    made.close()


def total(lines: Lines, step: str, found: dict[str, Masked], **asked: np.ndarray) -> object:
    cohort = lines.city["school"].joining.agreement.cohort
    context = messages.context(
        lines.study, run=RUN, step=step, attempt=1, cohort=cohort.digest(), arrays=asked
    )
    state = coordinator.start(lines.study.signed_roster, cohort, context)
    for name, message in found.items():
        state = coordinator.received(state, message, sender=name)
    if "auditor" not in lines.to:
        return coordinator.total(state)
    request = coordinator.request(state)
    assert isinstance(request, SetRequest)
    arrays = lines.to["auditor"].arrays(MASKS, document("request", request))
    assert set(arrays) == {"set", "sum"}
    signed = read_json(SignedSet, arrays["set"].data, what="the set")
    return coordinator.total(state, MaskSum(signed=signed, payload=arrays["sum"].data))


@pytest.mark.parametrize("kind", [HISTOGRAM, STEP, SCORES])
def test_each_step_goes_over_the_wire_and_adds_up(lines: Lines, kind: str) -> None:
    """The numbers arrive as they were sent: the contexts of both ends agree."""
    asked = {
        HISTOGRAM: {},
        STEP: lines.city.point(fill=0.25),
        SCORES: {n: a + np.float32(0.5) for n, a in initial(lines.study).items()},
    }[kind]
    step = {HISTOGRAM: messages.HISTOGRAM, STEP: "train/3", SCORES: messages.EVALUATE}[kind]
    content = histogram() if kind == HISTOGRAM else question(asked, step=3)
    found = total(lines, step, lines.masked(kind, content), **asked)
    assert isinstance(found, Total)
    part = messages.part(lines.city.plan, step)
    assert (
        np.abs(found.values).max() < (lines.study.summed.residents << part.bits) + 30 * part.scale
    )


def test_a_witnessed_step_goes_over_the_wire(witnessed: Lines) -> None:
    found = total(witnessed, messages.HISTOGRAM, witnessed.masked(HISTOGRAM, histogram()))
    assert isinstance(found, Total)
    part = witnessed.city.plan.histogram
    assert np.abs(found.values).max() < (300 << part.bits) + 30 * part.scale


def test_numbers_in_another_order_of_memory_are_the_same_numbers(lines: Lines) -> None:
    asked = lines.city.point(fill=0.25)
    turned = {name: np.asfortranarray(array) for name, array in asked.items()}
    line = lines.to["school"]
    first = line.arrays(STEP, question(asked, step=1))
    assert line.arrays(STEP, question(turned, step=1))["context"].data == first["context"].data


def test_the_faults_tell_what_the_run_must_do_next(study: Study, tmp_path: Path) -> None:
    lines = Lines(tmp_path, study)
    line = lines.to["school"]
    assert line.fault(HISTOGRAM, histogram()) is Fault.NOT_JOINED
    lines.join()
    line.arrays(HISTOGRAM, histogram())
    line.arrays(STEP, question(lines.city.point(), step=1))
    assert line.fault(HISTOGRAM, histogram()) is Fault.ANSWERED
    assert line.fault(HISTOGRAM, histogram(attempt=999)) is Fault.REFUSED
    assert line.fault(STEP, question(lines.city.point(), step=9999)) is Fault.FAILED
    lines.close()


@pytest.mark.parametrize(
    "kind", [MASKS, "train", "evaluate", "query", "system", "train.rows", "query.else"]
)
def test_a_department_refuses_other_messages(lines: Lines, kind: str) -> None:
    assert lines.to["school"].fault(kind, histogram()) in {Fault.REFUSED, Fault.FAILED}
    assert lines.city["school"].charges == 0


@pytest.mark.parametrize("kind", [HISTOGRAM, STEP, SCORES, "train", "query"])
def test_a_witness_refuses_the_steps(witnessed: Lines, kind: str) -> None:
    line = witnessed.to["auditor"]
    assert line.fault(kind, question(witnessed.city.point(), step=1)) is Fault.REFUSED
    assert witnessed.city["auditor"].opened == []


def as_numpy(shape: tuple[int, ...], *, claim: tuple[int, ...] | None = None, kind: str) -> Array:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {claim or shape}, }}"
    padded = header.encode() + b" " * (117 - len(header)) + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded
    data += bytes(8 * int(np.prod(shape)))
    return Array(dtype="float64", shape=shape, stype="numpy.ndarray", data=data)


def hostile(shape: tuple[int, ...]) -> dict[str, Array]:
    honest = as_numpy(shape, kind="<f8")
    return {
        "claims more": as_numpy(shape, claim=(10**12,), kind="<f8"),
        "objects": as_numpy(shape, kind="|O"),
        "big-endian": as_numpy(shape, kind=">f8"),
        "integers": as_numpy(shape, kind="<i8"),
        "too long": as_numpy((shape[0] + 1, *shape[1:]), claim=shape, kind="<f8"),
        "archive": Array("float64", shape, "numpy.ndarray", b"PK\x03\x04" + bytes(200)),
        "pickle": Array("float64", shape, "torch.pickle", honest.data),
        "raw": Array("float64", shape, RAW, honest.data),
        "empty": Array("float64", shape, "numpy.ndarray", b""),
        "float32": Array(np.zeros(shape, dtype=np.float32)),
        "not a number": Array(np.full(shape, np.nan)),
    }


CASES = tuple(hostile((2, 1)))


@pytest.mark.parametrize("case", CASES)
def test_hostile_arrays_cost_nothing(lines: Lines, case: str) -> None:
    content = question(lines.city.point(), step=1)
    arrays = dict(content["arrays"])
    name = next(iter(arrays))
    arrays[name] = hostile(lines.city.point()[name].shape)[case]
    content["arrays"] = ArrayRecord(arrays)
    line = lines.to["school"]
    assert line.fault(STEP, content) is Fault.FAILED
    assert isinstance(line.failures[0], ProtocolViolationError)
    assert lines.city["school"].charges == 0
    arrays[name] = as_numpy(lines.city.point()[name].shape, kind="<f8")
    content["arrays"] = ArrayRecord(arrays)
    line.arrays(STEP, content)


@pytest.mark.parametrize(
    "numbers",
    [
        {"step": 0},
        {"step": True},
        {"step": 1.0},
        {"step": "1"},
        {"step": 10**6},
        {"step": 1, "attempt": 0},
        {"step": 1, "attempt": 10**6},
        {},
    ],
)
def test_a_step_or_attempt_that_is_none_is_refused(
    lines: Lines, numbers: dict[str, object]
) -> None:
    assert lines.to["school"].fault(STEP, question(lines.city.point(), **numbers)) is Fault.FAILED
    assert lines.city["school"].charges == 0


def test_an_attempt_must_be_said(lines: Lines) -> None:
    content = RecordDict({"config": ConfigRecord({})})
    assert lines.to["school"].fault(HISTOGRAM, content) is Fault.FAILED


Spoil = Callable[[bytes], RecordDict]


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda data: raw("else", data), ProtocolViolationError),
        (lambda data: raw("offers", data, stype="numpy.ndarray"), ProtocolViolationError),
        (lambda data: raw("offers", data, dtype="uint64"), ProtocolViolationError),
        (lambda data: raw("offers", data, shape=(1,)), ProtocolViolationError),
        (lambda data: raw("offers", data, shape=(len(data), 1)), ProtocolViolationError),
        (lambda data: raw("offers", bytes(MOST_RAW + 1)), ProtocolViolationError),
        (lambda _: RecordDict({"arrays": MetricRecord({"offers": 1.0})}), ProtocolViolationError),
        (lambda _: RecordDict(), ProtocolViolationError),
        (lambda data: raw("offers", data[:-1]), InvalidDocumentError),
        (lambda data: raw("offers", data.replace(b'"offers"', b'"others"')), InvalidDocumentError),
        (lambda _: raw("offers", b"[" * 100_000), InvalidDocumentError),
        (lambda _: raw("offers", b"\xff"), InvalidDocumentError),
    ],
)
def test_documents_that_are_none_change_nothing(
    lines: Lines, spoil: Spoil, error: type[DatalabbetError]
) -> None:
    data = documents.write(lines.offers())
    before = lines.city["school"].joining.agreement
    line = lines.to["school"]
    assert line.fault(JOIN, spoil(data)) is Fault.FAILED
    assert isinstance(line.failures[0], error)
    assert lines.city["school"].joining.agreement is before
    line.arrays(JOIN, raw("offers", data))


def test_the_limit_leaves_room_for_the_longest_message_and_little_more(study: Study) -> None:
    assert 2 * MOST_RAW < message_limit(study) < 3 * MOST_RAW
