"""The only parser of the wire: what it gives back, and that whatever is wrong is refused."""

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from studies import declaration, study

from models import documents
from models.errors import InvalidDocumentError, ProtocolViolationError
from models.governance import views
from models.governance.approval import Approval, Decision, Statement, sign
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState
from models.governance.study import Study
from models.ledger.entries import Head, SignedHead
from models.ledger.entries import sign as sign_head
from models.ledger.received import AnswerEntry, Mark, Page, Received
from models.schema import Declaration
from protos import codec
from protos.common.v1.common_pb2 import Document
from protos.fleet.v1 import catalogue_pb2, data_plane_pb2, enrolment_pb2, fleet_pb2
from protos.ledger.v1 import ledger_pb2
from protos.releases.v1 import releases_pb2
from protos.runs.v1 import runs_pb2
from protos.studies.v1 import studies_pb2

NOW = datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC)
SCHOOL = Principal(Role.DEPARTMENT, "school")
CENTRAL = Principal(Role.CENTRAL, "anna")
STUDY = study()
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
APPROVAL = sign(
    Statement(
        study=STUDY.digest(),
        department="school",
        decision=Decision.APPROVED,
        steward="The steward",
        decided_at=NOW,
    ),
    Ed25519PrivateKey.from_private_bytes(b"k" * 32),
)
ENROL = views.EnrolmentRequest(
    request_id="01234567-89ab-cdef-0123-456789abcdef",
    token="t" * 43,
    certificate_request_pem=REQUEST,
    identity_public_key=b"i" * 32,
)
CERTIFICATE = views.IssuedCertificate(
    certificate_pem=PEM, authority_pem=PEM, principal=SCHOOL, node_id=2, expires_at=NOW
)
NOTICE = views.Notice(
    assignments=(views.Assignment(run_id=2**63 - 1, study_hash="a" * 64),), now=NOW
)
MEMBER = views.Member(
    principal=SCHOOL,
    identity_public_key=b"i" * 32,
    connected=True,
    revoked=False,
    expires_at=NOW,
    software="0.1.0",
)
ENTRY = views.CatalogueEntry(department="school", declaration=declaration(), published_at=NOW)
STATUS = views.StudyStatus(
    study=STUDY,
    study_hash=STUDY.digest(),
    state=StudyState.READY,
    approvals=(APPROVAL,),
    proposed_at=NOW,
    proposed_by=CENTRAL,
)
RUN = views.RunStatus(
    run_id=7,
    study="pupils-pass",
    study_hash="a" * 64,
    state=RunState.WAITING,
    rounds_done=1,
    rounds_total=3,
    message="waiting for care",
    started_at=NOW,
    updated_at=NOW,
    departments=("school", "labour"),
)
RELEASE = views.ReleaseSummary(
    run_id=7,
    study="pupils-pass",
    created_at=NOW,
    files=(views.ReleaseFile(name="model.safetensors", size=10, sha256="b" * 64),),
)
HEAD = Head(size=3, root="c" * 64, at=NOW)
SIGNED = SignedHead(
    head=HEAD, signature=sign_head(HEAD, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
)
ANSWER = AnswerEntry(
    number=7, at=NOW, department="school", study="a" * 64, run="7", step="train/1", attempt=1
)
PAGE = Page(entries=(Received(entry=ANSWER),), mark=Mark(size=8, root="d" * 64))

PAIRS: dict[str, tuple[Callable, Callable, object]] = {
    "enrol": (codec.write_enrol_request, codec.read_enrol_request, ENROL),
    "renew": (codec.write_renew_request, codec.read_renew_request, REQUEST),
    "certificate": (codec.write_certificate, codec.read_certificate, CERTIFICATE),
    "notice": (codec.write_notice, codec.read_notice, NOTICE),
    "member": (codec.write_member, codec.read_member, MEMBER),
    "declarations": (codec.write_declarations, codec.read_declarations, (declaration(),)),
    "entry": (codec.write_catalogue_entry, codec.read_catalogue_entry, ENTRY),
    "proposal": (codec.write_proposal, codec.read_proposal, STUDY),
    "approval": (codec.write_approval, codec.read_approval, APPROVAL),
    "status": (codec.write_study_status, codec.read_study_status, STATUS),
    "run": (codec.write_run, codec.read_run, RUN),
    "release": (codec.write_release_summary, codec.read_release_summary, RELEASE),
    "head": (codec.write_reported_head, codec.read_reported_head, SIGNED),
    "received": (codec.write_received, codec.read_received, PAGE),
}

READERS: dict[Callable, type[Message]] = {
    codec.read_enrol_request: enrolment_pb2.EnrolRequest,
    codec.read_renew_request: enrolment_pb2.RenewRequest,
    codec.read_certificate: enrolment_pb2.Certificate,
    codec.read_attend_request: fleet_pb2.AttendRequest,
    codec.read_notice: fleet_pb2.AttendResponse,
    codec.read_member: fleet_pb2.Member,
    codec.read_declarations: catalogue_pb2.PublishDatasetsRequest,
    codec.read_list_datasets: catalogue_pb2.ListDatasetsRequest,
    codec.read_catalogue_entry: catalogue_pb2.Dataset,
    codec.read_proposal: studies_pb2.ProposeStudyRequest,
    codec.read_study_reference: studies_pb2.GetStudyRequest,
    codec.read_approval: studies_pb2.SubmitApprovalRequest,
    codec.read_study_status: studies_pb2.StudyStatus,
    codec.read_start_run: runs_pb2.StartRunRequest,
    codec.read_list_runs: runs_pb2.ListRunsRequest,
    codec.read_run_id: runs_pb2.GetRunRequest,
    codec.read_run: runs_pb2.Run,
    codec.read_release_summary: releases_pb2.ReleaseSummary,
    codec.read_download_request: releases_pb2.DownloadFileRequest,
    codec.read_reported_head: ledger_pb2.ReportHeadRequest,
    codec.read_list_received: ledger_pb2.ListReceivedRequest,
    codec.read_received: ledger_pb2.ListReceivedResponse,
    codec.read_empty: runs_pb2.GetRunRequest,
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_written_is_read_back(name: str) -> None:
    write, read, value = PAIRS[name]
    message = write(value)
    assert read(type(message).FromString(message.SerializeToString())) == value


def test_every_reader_is_tried_below() -> None:
    readers = {getattr(codec, n) for n in dir(codec) if n.startswith("read_")}
    of_bytes = {codec.read_json, codec.read_study, codec.read_record}
    assert readers - of_bytes == set(READERS)


def with_unknown_field(message: Message) -> Message:
    """Give the message as a newer peer would send it: with field 99, a varint."""
    return type(message).FromString(message.SerializeToString() + b"\x98\x06\x01")


@pytest.mark.parametrize("name", PAIRS)
def test_unknown_fields_are_refused(name: str) -> None:
    write, read, value = PAIRS[name]
    with pytest.raises(InvalidDocumentError, match="fields that this version does not know"):
        read(with_unknown_field(write(value)))


def test_unknown_fields_deep_inside_are_refused() -> None:
    nested = codec.write_notice(NOTICE)
    nested.assignments[0].MergeFrom(with_unknown_field(nested.assignments[0]))
    wrapped = codec.write_proposal(STUDY)
    wrapped.study.MergeFrom(with_unknown_field(wrapped.study))
    for read, message in ((codec.read_notice, nested), (codec.read_proposal, wrapped)):
        with pytest.raises(InvalidDocumentError, match="does not know"):
            read(message)
    with pytest.raises(InvalidDocumentError, match="does not know"):
        codec.read_empty(with_unknown_field(studies_pb2.ListStudiesRequest()))


def changed(name: str, **fields: object) -> tuple[Callable, Message]:
    write, read, value = PAIRS[name]
    message = write(value)
    for field, content in fields.items():
        message.ClearField(field)
        if isinstance(content, Message):
            getattr(message, field).CopyFrom(content)
        elif isinstance(content, list):
            getattr(message, field).extend(content)
        elif content is not None:
            setattr(message, field, content)
    return read, message


BAD = {
    "request id": ("enrol", {"request_id": "1"}, "request_id"),
    "request id in capitals": ("enrol", {"request_id": ENROL.request_id.upper()}, "request_id"),
    "short token": ("enrol", {"token": "t" * 42}, "token"),
    "token with a line break": ("enrol", {"token": "t" * 43 + "\n"}, "token"),
    "no PEM": ("enrol", {"certificate_request_pem": "x"}, "certificate_request_pem"),
    "long PEM": (
        "enrol",
        {"certificate_request_pem": REQUEST + "A" * 8192},
        "certificate_request_pem",
    ),
    "31-byte key": ("enrol", {"identity_public_key": b"i" * 31}, "identity_public_key"),
    "33-byte key": ("enrol", {"identity_public_key": b"i" * 33}, "identity_public_key"),
    "foreign identity": ("certificate", {"identity": "spiffe://x/department/y"}, "identity"),
    "identity with more": (
        "certificate",
        {"identity": "spiffe://datalabbet/department/school/x"},
        "identity",
    ),
    "no node id": ("certificate", {"node_id": 0}, "node_id"),
    "node id 1": ("certificate", {"node_id": 1}, "node_id"),
    "node id over 63 bits": ("certificate", {"node_id": 2**63}, "node_id"),
    "a person's node id": ("certificate", {"identity": CENTRAL.uri}, "node_id"),
    "no time": ("certificate", {"expires_at": None}, "expires_at"),
    "time out of range": ("certificate", {"expires_at": Timestamp(seconds=2**60)}, "expires_at"),
    "bad nanos": ("notice", {"now": Timestamp(seconds=1, nanos=-5)}, "now"),
    "run id 1": ("run", {"run_id": 1}, "run_id"),
    "run id over 63 bits": ("run", {"run_id": 2**63}, "run_id"),
    "no run state": ("run", {"state": 0}, "state"),
    "unknown run state": ("run", {"state": 99}, "state"),
    "long run message": ("run", {"message": "x" * 2001}, "message"),
    "study id": ("run", {"study": "Pupils"}, "study"),
    "hash in capitals": ("run", {"study_hash": "A" * 64}, "study_hash"),
    "short hash": ("run", {"study_hash": "a" * 63}, "study_hash"),
    "no study state": ("status", {"state": 0}, "state"),
    "another study's hash": ("status", {"study_hash": "a" * 64}, "study_hash"),
    "no study": ("status", {"study": None}, "study"),
    "nobody": ("status", {"proposed_by": ""}, "proposed_by"),
    "long software": ("member", {"software": "x" * 41}, "software"),
    "a department without a key": ("member", {"identity_public_key": b""}, "identity_public_key"),
    "a person with a key": ("member", {"identity": CENTRAL.uri}, "identity_public_key"),
    "no head": ("head", {"head": None}, "head"),
    "no root": ("received", {"root": ""}, "root"),
    "a chain of 2^53": ("received", {"size": 2**53}, "size"),
    "too many entries": ("received", {"entries": [Document()] * 5001}, "entries"),
    "a path as file name": (
        "release",
        {"files": [releases_pb2.ReleaseFile(name="../key", size=1, sha256="b" * 64)]},
        "name",
    ),
    "a hidden file": (
        "release",
        {"files": [releases_pb2.ReleaseFile(name=".ssh", size=1, sha256="b" * 64)]},
        "name",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_fields_are_named_and_not_quoted(name: str) -> None:
    pair, fields, field = BAD[name]
    read, message = changed(pair, **fields)
    with pytest.raises(InvalidDocumentError) as caught:
        read(message)
    assert [p.field for p in caught.value.problems] == [field]
    for value in fields.values():
        if isinstance(value, str) and len(value) > 20:
            assert value not in caught.value.message


def test_too_many_of_something_are_refused() -> None:
    many = fleet_pb2.AttendResponse(now=Timestamp(seconds=1))
    many.assignments.extend(codec.write_notice(NOTICE).assignments[0] for _ in range(101))
    with pytest.raises(InvalidDocumentError, match="assignments: must be at most 100"):
        codec.read_notice(many)
    twice = codec.write_declarations([declaration(), declaration()])
    with pytest.raises(InvalidDocumentError, match="each dataset once"):
        codec.read_declarations(twice)
    named = [declaration(name=f"d{number}") for number in range(201)]
    with pytest.raises(InvalidDocumentError, match="at most 200"):
        codec.read_declarations(codec.write_declarations(named))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "between 1 and"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"study":NaN}', "not valid JSON"),
        (b'{"a":1,"a":1}', "not valid JSON"),
        (b'{"a":{"b":1,"b":1}}', "not valid JSON"),
        (b"[]", "document: "),
        (b"null", "document: "),
        (b" " * (1 << 20) + b"{}", "between 1 and"),
        (b"1" * 5000, "not valid JSON"),
    ],
    ids=[
        "empty",
        "open",
        "no UTF-8",
        "deep",
        "NaN",
        "repeated key",
        "repeated inner key",
        "a list",
        "null",
        "oversized",
        "a huge number",
    ],
)
def test_documents_that_are_none_are_refused(text: bytes, problem: str) -> None:
    with pytest.raises(InvalidDocumentError, match=problem):
        codec.read_json(Study, text, what="the study")


def rewritten(change: Callable[[dict], object], kind: object = STUDY) -> bytes:
    mapping = json.loads(documents.write(kind))
    change(mapping)
    return rfc8785.dumps(mapping)


def test_the_rewriting_itself_changes_nothing() -> None:
    assert codec.read_json(Study, rewritten(lambda m: None), what="the study") == STUDY


@pytest.mark.parametrize(
    "text",
    [
        documents.write(STUDY) + b"\n",
        b" " + documents.write(STUDY),
        json.dumps(json.loads(documents.write(STUDY))).encode(),
        rewritten(lambda m: m.update(title={"sv": " Provtext", "en": "Test text"})),
        rewritten(lambda m: m["training"].pop("strategy")),
        documents.write(STUDY).replace(b'"epsilon":2', b'"epsilon":2.0'),
    ],
    ids=["line break", "space", "spaced", "stripped text", "default left out", "2.0 for 2"],
)
def test_one_study_has_one_form(text: bytes) -> None:
    """What is hashed and signed must be the bytes that were sent, and there is one such form."""
    with pytest.raises(InvalidDocumentError, match="not in canonical form"):
        codec.read_json(Study, text, what="the study")


CHANGES: dict[str, tuple[Callable[[dict], object], str]] = {
    "an unknown field": (lambda m: m.update(extra=1), "extra: is not a known field"),
    "a missing field": (lambda m: m.pop("purpose"), "purpose: is required"),
    "an unknown variable": (lambda m: m.update(variables=["age", "area"]), "columns must be"),
    "epsilon 0": (lambda m: m["privacy"].update(epsilon=0), "privacy.epsilon"),
    "epsilon below 0": (lambda m: m["privacy"].update(epsilon=-1), "privacy.epsilon"),
    "no epsilon": (lambda m: m["privacy"].update(epsilon=None), "epsilon is required"),
    "bounds missing": (lambda m: m["columns"][0].pop("maximum"), "maximum: is required"),
    "bounds reversed": (lambda m: m["columns"][0].update(minimum=200), "minimum must be below"),
    "text for a number": (lambda m: m["training"].update(rounds="3"), "training.rounds"),
    "true for a number": (lambda m: m["training"].update(rounds=True), "training.rounds"),
    "a lone surrogate": (lambda m: m.update(contact="\ud800"), "contact"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_in_a_study_is_named(name: str) -> None:
    change, problem = CHANGES[name]
    mapping = json.loads(documents.write(STUDY))
    change(mapping)
    text = json.dumps(mapping, separators=(",", ":"), sort_keys=True).encode()
    with pytest.raises(InvalidDocumentError) as caught:
        codec.read_json(Study, text, what="the study")
    assert problem in caught.value.message


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
@given(data=st.binary(max_size=400))
@example(data=b"")
@example(data=b"\n\x02\n\x00")
def test_garbage_raises_nothing_but_our_errors(reader: Callable, data: bytes) -> None:
    try:
        message = READERS[reader].FromString(data)
    except DecodeError:
        return  # gRPC refuses it before we see it
    with contextlib.suppress(InvalidDocumentError, ProtocolViolationError):
        reader(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("kind", [Study, Declaration, Approval], ids=lambda k: k.__name__)
@given(data=st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
@example(data=b'"\\ud800"')
@example(data=b'{"a":1e400}')
@example(data=b"-0")
def test_garbage_documents_raise_nothing_but_our_errors(kind: type, data: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        codec.read_json(kind, data, what="the document")


@given(path=st.lists(st.integers(0, 30), min_size=1, max_size=4), value=json_values)
def test_a_study_with_one_value_changed_is_refused_or_is_another_study(
    path: list[int], value: object
) -> None:
    mapping = json.loads(documents.write(STUDY))
    place: object = mapping
    for step in path:
        children = list(place.values()) if isinstance(place, dict) else place
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[step % len(keys)]
        if not isinstance(children[step % len(keys)], dict | list) or not place[key]:
            break
        parent, place = place, place[key]
    else:
        key, place = keys[path[-1] % len(keys)], parent
    place[key] = value
    try:
        data = rfc8785.dumps(mapping)
    except rfc8785.CanonicalizationError:
        return
    try:
        found = codec.read_json(Study, data, what="the study")
    except InvalidDocumentError:
        return
    assert documents.write(found) == data
    assert (found.digest() == STUDY.digest()) == (data == documents.write(STUDY))


@pytest.mark.parametrize("size", [0, 1, codec.PART, codec.PART + 1, 3 * codec.PART + 7])
def test_messages_go_in_parts_and_are_put_together(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    frames = list(codec.split("a" * 32, data[:size]))
    assert len(frames) == max(1, math.ceil(size / codec.PART))
    assert [f.last for f in frames] == [False] * (len(frames) - 1) + [True]
    assert list(codec.join(frames, limit=size)) == [("a" * 32, data[:size])]


def frame(message_id: str = "a" * 32, data: bytes = b"x", *, last: bool = True) -> Message:
    return data_plane_pb2.Frame(message_id=message_id, data=data, last=last)


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([frame("a" * 31)], "without a message id"),
        ([frame("A" * 32)], "without a message id"),
        ([frame("a" * 32 + "\n")], "without a message id"),
        ([frame(data=b"x" * (codec.PART + 1))], "over 1 MiB"),
        ([frame(last=False), frame("b" * 32)], "interrupted"),
        ([frame(data=b"x" * 60, last=False), frame(data=b"x" * 60)], "over the agreed size"),
        ([frame(data=b"", last=False)] * 2, "empty frame"),
        ([data_plane_pb2.Frame.FromString(frame().SerializeToString() + b"\x7a\x01a")], "not know"),
    ],
)
def test_bad_frames_are_refused(frames: list, problem: str) -> None:
    with pytest.raises(ProtocolViolationError, match=problem):
        list(codec.join(frames, limit=100))


def test_an_unfinished_message_is_not_given() -> None:
    frames = [frame(data=b"whole"), frame(data=b"unfinished", last=False)]
    assert list(codec.join(frames, limit=100)) == [("a" * 32, b"whole")]


def test_a_document_over_the_limit_is_refused_before_it_is_parsed() -> None:
    message = studies_pb2.ProposeStudyRequest(study=Document(json=b"[" * ((1 << 20) + 1)))
    with pytest.raises(InvalidDocumentError, match="between 1 and 1048576 bytes"):
        codec.read_proposal(message)


def test_an_approval_keeps_the_bytes_that_were_signed() -> None:
    read = codec.read_approval(codec.write_approval(APPROVAL))
    assert read.statement.signed_bytes() == APPROVAL.statement.signed_bytes()
    other = replace(APPROVAL.statement, decision=Decision.REFUSED)
    assert other.signed_bytes() != APPROVAL.statement.signed_bytes()


@pytest.mark.parametrize("names", [["North"], [""], ["a-b", "x\x1b[2J"], ["ab"] * 1001])
def test_a_runs_departments_are_ids(names: list[str]) -> None:
    status = views.RunStatus(
        run_id=7,
        study="study",
        study_hash="0" * 64,
        state=RunState.TRAINING,
        rounds_done=1,
        rounds_total=2,
        message="",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        departments=("school",),
    )
    message = codec.write_run(status)
    assert codec.read_run(message) == status
    del message.departments[:]
    message.departments.extend(names)
    with pytest.raises(InvalidDocumentError, match="departments"):
        codec.read_run(message)
