"""Linked studies over Flower's messages: who answers what, and that all else is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from lines import Line
from linked_kinds import study_of
from linked_nodes import LinkedTown, keyed, shortened
from linked_studies import OPEN

from models import documents
from models.governance.answers import Fault
from models.linkage import leaving
from models.linkage.plan import plan
from models.replicated import sealing
from models.secagg.agreement import Offer, Offers
from node.flower import linked_app
from protos import linked
from protos.codec import read_json
from protos.sums import RAW


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LinkedTown]:
    """Give a town that asks all kinds of questions: columns of two departments are multiplied."""
    with shortened(monkeypatch):
        made = LinkedTown(tmp_path, keyed(study_of("all at once", privacy=OPEN)), public=True)
        yield made
        made.close()


def lines(town: LinkedTown) -> dict[str, Line]:
    return {name: Line(part) for name, part in town.parts.items()}


def raw(data: bytes, *, dtype: str = "uint8", width: int = 1) -> Array:
    return Array(dtype=dtype, shape=(len(data) // width,), stype=RAW, data=data)


def content(arrays: dict[str, Array], **config: int) -> RecordDict:
    return RecordDict({"config": ConfigRecord(config), "arrays": ArrayRecord(arrays)})


def test_each_answers_the_messages_of_its_own_parts(town: LinkedTown) -> None:
    common = {linked.OFFER, linked.JOIN}
    departments = {linked.MIX, linked.SPINE, linked.SEEDS, linked.SHARE, linked.TOTALS}
    servers = {linked.BEGIN, linked.FOLD, linked.CROSS, linked.OPEN, linked.ERASE}
    said = {name: linked_app.accepted(part) for name, part in town.parts.items()}
    assert said["school"] == common | departments
    assert said["auditor"] == common | servers
    assert said["social"] == common | departments
    assert said["clinic"] == common | servers
    lined = lines(town)
    for kind in servers:
        assert lined["school"].fault(kind, content({})) is Fault.REFUSED
    for kind in departments:
        assert lined["auditor"].fault(kind, content({})) is Fault.REFUSED
    assert lined["social"].fault("train", content({})) is Fault.REFUSED


def test_a_department_that_is_a_server_answers_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shortened(monkeypatch):
        made = LinkedTown(tmp_path, keyed(study_of("household", privacy=OPEN)), public=True)
        said = {name: linked_app.accepted(part) for name, part in made.parts.items()}
        made.close()
    assert said["social"] > said["auditor"]
    assert said["social"] > said["school"]


def test_the_whole_exchange_fits_the_limits_and_forms(town: LinkedTown) -> None:
    """By bytes up to the seeds; the rest is in the integration tests."""
    lined, study = lines(town), town.study
    offers = []
    for line in lined.values():
        [array] = line.arrays(linked.OFFER, RecordDict()).values()
        offers.append(read_json(Offer, array.data, what="an offer"))
    asked = content({"offers": raw(documents.write(Offers(offers=tuple(offers))))})
    assert len({line.arrays(linked.JOIN, asked)["cohort"].data for line in lined.values()}) == 1
    for name in study.departments:
        [array] = lined[name].arrays(linked.MIX, content({})).values()
        assert (array.dtype, array.stype) == ("uint8", RAW)


@pytest.fixture
def begun(town: LinkedTown) -> LinkedTown:
    town.begin()
    return town


def bodies(town: LinkedTown) -> dict[str, Array]:
    return {f"body.{name}": raw(body) for name, body in town.bodies(1).items()}


def test_shares_and_sums_are_raw_and_of_their_length(begun: LinkedTown) -> None:
    lined, study = lines(begun), begun.study
    agreed = plan(study)
    ring = f"uint{agreed.ring.value}"
    for name in study.departments:
        [body] = lined[name].arrays(linked.SHARE, content({}, chunk=1)).values()
        size = agreed.rows * agreed.layout.columns(name) * agreed.ring.octets + sealing.TAG
        assert (body.dtype, body.shape) == ("uint8", (size,))
    asked = content(bodies(begun), chunk=1)
    [first] = lined["auditor"].arrays(linked.FOLD, asked).values()
    [second] = lined["clinic"].arrays(linked.FOLD, asked).values()
    crossed = sum(item.width for item in agreed.layout.derived) * agreed.rows
    assert (first.dtype, first.shape) == (ring, (crossed,))
    assert (second.dtype, second.shape) == (
        "uint8",
        (crossed * agreed.ring.octets + sealing.TAG,),
    )
    mine = begun.own.fold(1, {})
    assert mine is not None
    to_second = raw(mine, dtype=ring, width=agreed.ring.octets)
    for name, turned in (("auditor", raw(second.data)), ("clinic", to_second)):
        said = lined[name].arrays(linked.CROSS, content({"turned": turned}, chunk=1))
        assert said == {}


def test_what_is_of_another_form_is_no_step(begun: LinkedTown) -> None:
    line = lines(begun)["auditor"]
    good = bodies(begun)
    longest = raw(bytes(plan(begun.study).octets))
    for arrays in (
        {},
        {name: array for name, array in good.items() if name != "body.care"},
        good | {"body.nobody": raw(b"")},
        good | {"body.care": longest},
        good | {"body.care": Array(dtype="uint8", shape=(1,), stype=RAW, data=b"xy")},
        good | {"body.care": Array(dtype="int8", shape=(2,), stype=RAW, data=b"xy")},
        good | {"body.care": Array(dtype="uint8", shape=(2,), stype="else", data=b"xy")},
    ):
        assert line.fault(linked.FOLD, content(arrays, chunk=1)) is Fault.FAILED
    assert line.fault(linked.FOLD, content(good)) is Fault.FAILED
    assert line.fault(linked.FOLD, content(good, chunk=0)) is Fault.FAILED
    assert line.fault(linked.CROSS, content({"turned": raw(b"")}, chunk=1)) is Fault.FAILED
    assert line.arrays(linked.FOLD, content(good, chunk=1))


def test_what_sealing_adds_is_what_the_descriptions_count() -> None:
    assert leaving._TAG == linked_app._TAG == sealing.TAG
