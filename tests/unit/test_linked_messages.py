"""What the coordinator asks in a linked run, and how exactly it reads what comes back."""

from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from linked_kinds import study_of

from coordinator.flower.linked import LinkedMessages, largest_answer
from coordinator.flower.question import Question
from models import documents
from models.governance.linked import LinkedStudy
from models.linkage.plan import plan
from models.replicated.messages import Begin, Begun, Box, Erased, From, Mix, Mixes, Seeds, Spine
from models.replicated.sealing import TAG
from protos import linked, sums

RUN = 2**62 + 1
STUDY = study_of("three departments")
RESIDENTS = 100
PLAN = plan(STUDY)
CROSSED = sum(item.width for item in PLAN.layout.derived)
SEED = "A" * 43 + "="


class Wire:
    """Questions over a real grid, and one member at its other end."""

    def __init__(self, name: str, study: LinkedStudy = STUDY) -> None:
        self.name = name
        nodes = {party: 10 + number for number, party in enumerate(study.parties)}
        self.messages = LinkedMessages(study=study, run_id=RUN, nodes=nodes)
        self.line = self.messages.grid.attach(name)

    def answer(self, question: Question[Any], arrays: dict[str, Array]) -> Any:
        """Give what was read of an answer; a misfit gives its text in angle brackets."""
        letter = self.line.take(seconds=1)
        assert letter is not None
        self.request = message_from_proto(WireMessage.FromString(letter.data))
        reply = Message(RecordDict({"arrays": ArrayRecord(arrays)}), reply_to=self.request)
        data = message_to_proto(reply).SerializeToString()
        self.messages.grid.accept(self.name, letter.message_id, data)
        question.collect()
        if self.name in question.misfits:
            return f"<{question.misfits[self.name]}>"
        return question.answers[self.name]


def raw(content: bytes, **changes: Any) -> Array:
    given = {"dtype": "uint8", "shape": (len(content),), "stype": sums.RAW, "data": content}
    return Array(**given | changes)


def said(name: str, document: object) -> dict[str, Array]:
    return {name: raw(documents.write(document))}


def elements(length: int, **changes: Any) -> Array:
    ring = PLAN.ring
    given = {"dtype": f"uint{ring.value}", "shape": (length,), "stype": sums.RAW}
    return Array(**{**given, "data": bytes(ring.octets * length), **changes})


def boxes(*names: str) -> tuple[Box, ...]:
    return tuple(Box(to=name, data="AAAA") for name in names)


def spine(*names: str, residents: int = RESIDENTS) -> Spine:
    return Spine(residents=residents, digest="0" * 64, boxes=boxes(*names))


def seeds(*names: str, first: str = SEED) -> Seeds:
    return Seeds(first=first, second=SEED, boxes=boxes(*names))


SERVERS = STUDY.committee.names
MIXES = Mixes(parts=(From(sender="social", box=boxes("school")[0]),))
BEGIN = Begin(
    spines=tuple(From(sender=n, box=boxes(SERVERS[0])[0]) for n in STUDY.departments),
    seeds=tuple(From(sender=n, box=boxes(SERVERS[0])[0]) for n in STUDY.departments),
    pair=SEED,
)
SIZE = RESIDENTS * PLAN.layout.columns("school") * PLAN.ring.octets + TAG
TURNED = RESIDENTS * CROSSED
OPENED = PLAN.noise.length

Ask = Callable[[LinkedMessages], Question[Any]]
CASES: dict[str, tuple[str, Ask, dict[str, Array], dict[str, dict[str, Array]]]] = {
    linked.MIX: (
        "school",
        lambda m: m.mix(),
        said("mix", Mix(boxes=boxes("social", "labour"))),
        {
            "itself": said("mix", Mix(boxes=boxes("social", "school"))),
            "one too few": said("mix", Mix(boxes=boxes("social"))),
            "one twice": said("mix", Mix(boxes=boxes("social", "labour", "labour"))),
            "a server": said("mix", Mix(boxes=boxes("social", "auditor"))),
            "no document": {"mix": raw(b"{}")},
            "another name": said("mixes", Mix(boxes=boxes("social", "labour"))),
        },
    ),
    linked.SPINE: (
        "school",
        lambda m: m.spine({"school": MIXES}),
        said("spine", spine(*SERVERS)),
        {
            "others": said("spine", spine("social", "labour")),
            "another document": said("spine", seeds(*SERVERS)),
        },
    ),
    linked.SEEDS: (
        "school",
        lambda m: m.seeds(),
        said("seeds", seeds(*SERVERS)),
        {
            "a shorter seed": said("seeds", seeds(*SERVERS, first="AAAA")),
            "no base64": said("seeds", seeds(*SERVERS, first="A" * 41)),
            "others": said("seeds", seeds("social", "labour")),
        },
    ),
    linked.BEGIN: (
        SERVERS[0],
        lambda m: m.begin({SERVERS[0]: BEGIN}, residents=RESIDENTS),
        said("begun", Begun(residents=RESIDENTS)),
        {"another number": said("begun", Begun(residents=RESIDENTS - 1))},
    ),
    linked.SHARE: (
        "school",
        lambda m: m.share(1, residents=RESIDENTS),
        {"body": raw(bytes(SIZE))},
        {
            "shorter": {"body": raw(bytes(SIZE - 1))},
            "longer": {"body": raw(bytes(SIZE + 1))},
            "elements": {"body": elements(SIZE // 4)},
            "one more": {"body": raw(bytes(SIZE)), "more": raw(b"")},
            "nothing": {},
        },
    ),
    linked.TOTALS: (
        "school",
        lambda m: m.totals(),
        {"body": raw(bytes(2 * PLAN.ring.octets + TAG))},
        {"shorter": {"body": raw(bytes(TAG))}},
    ),
    linked.FOLD: (
        SERVERS[0],
        lambda m: m.fold(1, {}, residents=RESIDENTS),
        {"turned": elements(TURNED)},
        {
            "as the second": {"turned": raw(bytes(TURNED * PLAN.ring.octets + TAG))},
            "fewer": {"turned": elements(TURNED - 1)},
            "fewer bytes than it says": {"turned": elements(TURNED, data=bytes(4))},
            "nothing": {},
        },
    ),
    linked.CROSS: (
        SERVERS[0],
        lambda m: m.cross(1, sealed=b"sealed", own=bytes(8)),
        {},
        {"something": {"turned": raw(b"")}},
    ),
    linked.OPEN: (
        SERVERS[1],
        lambda m: m.open({}),
        {"sum": elements(OPENED)},
        {
            "longer": {"sum": elements(OPENED + 1)},
            "signed": {"sum": elements(OPENED, dtype=f"int{PLAN.ring.value}")},
            "flat bytes": {"sum": raw(bytes(OPENED * PLAN.ring.octets))},
        },
    ),
    linked.ERASE: (
        SERVERS[1],
        lambda m: m.erase(),
        said("erased", Erased(chunks=2)),
        {"another document": said("erased", Begun(residents=2))},
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_fits_is_read_and_was_asked_under_its_name(kind: str) -> None:
    name, ask, good, _ = CASES[kind]
    wire = Wire(name)
    found = wire.answer(ask(wire.messages), good)
    assert not (isinstance(found, str) and found.startswith("<")), found
    assert wire.request.metadata.message_type == kind


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, (*_, bad) in CASES.items() for case in bad]
)
def test_what_does_not_fit_is_a_misfit(kind: str, case: str) -> None:
    name, ask, _, bad = CASES[kind]
    wire = Wire(name)
    found = wire.answer(ask(wire.messages), bad[case])
    assert isinstance(found, str)
    assert found.startswith("<")


def test_the_second_server_turns_sealed_bytes() -> None:
    wire = Wire(SERVERS[1])
    content = bytes(TURNED * PLAN.ring.octets + TAG)
    found = wire.answer(wire.messages.fold(1, {}, residents=RESIDENTS), {"turned": raw(content)})
    assert found == content


def test_bodies_reach_both_servers_under_their_departments_names() -> None:
    wire = Wire(SERVERS[0])
    question = wire.messages.fold(1, {"school": b"a", "social": b"b"}, residents=RESIDENTS)
    wire.answer(question, {"turned": elements(TURNED)})
    arrays = wire.request.content["arrays"]
    assert {name: array.data for name, array in arrays.items()} == {
        "body.school": b"a",
        "body.social": b"b",
    }
    assert dict(wire.request.content["config"]) == {"chunk": 1}


def test_each_server_gets_its_own_part_of_a_crossing() -> None:
    first, second = Wire(SERVERS[0]), Wire(SERVERS[1])
    for wire in (first, second):
        wire.answer(wire.messages.cross(1, sealed=b"sealed", own=bytes(8)), {})
    assert first.request.content["arrays"]["turned"].data == b"sealed"
    assert second.request.content["arrays"]["turned"].data == bytes(8)


def test_without_derived_groups_a_fold_is_answered_with_nothing() -> None:
    study = study_of("two departments")
    wire = Wire(study.committee.names[0], study)
    assert wire.answer(wire.messages.fold(1, {}, residents=RESIDENTS), {}) is None


def test_the_last_chunk_may_be_shorter() -> None:
    wire = Wire("school")
    rows = PLAN.rows
    size = 7 * PLAN.layout.columns("school") * PLAN.ring.octets + TAG
    question = wire.messages.share(2, residents=rows + 7)
    assert wire.answer(question, {"body": raw(bytes(size))}) == bytes(size)


def test_the_longest_answer_fits() -> None:
    widest = max(PLAN.layout.columns(name) for name in STUDY.departments)
    longest = PLAN.rows * max(widest, CROSSED) * PLAN.ring.octets + TAG
    assert largest_answer(STUDY) > max(longest, sums.MOST_RAW)
