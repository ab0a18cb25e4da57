"""The trust boundary: wire messages to checked values, and back. Nothing else parses.

`read_*` take a message from a peer and give a value of `models`, or raise
`InvalidDocumentError` (something is wrong with named fields) or `ProtocolViolationError`.
`write_*` give the message for a value. Unknown fields, oversized fields, wrong lengths and
unspecified enums are refused. No text from a peer is repeated in an error.
"""

import json
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import (  # type: ignore[import-not-found]  # no stubs
    UnknownFieldSet,
)

from models import documents
from models.errors import FieldProblem, InvalidDocumentError, ProtocolViolationError
from models.governance import any_record, any_study, principal, views
from models.governance.any_record import AnyRecord
from models.governance.any_study import AnyStudy
from models.governance.approval import Approval
from models.governance.principal import Principal, Role
from models.governance.states import RunState, StudyState
from models.ledger.entries import SignedHead
from models.ledger.received import Mark, Page, Received
from models.schema import Declaration
from protos.common.v1.common_pb2 import Document
from protos.fleet.v1 import catalogue_pb2, data_plane_pb2, enrolment_pb2, fleet_pb2
from protos.ledger.v1 import ledger_pb2
from protos.releases.v1 import releases_pb2
from protos.runs.v1 import runs_pb2
from protos.studies.v1 import studies_pb2

T = TypeVar("T")

PART = 1 << 20
"""The largest part of a message or file in one frame, in bytes."""

_MAX_DOCUMENT = 1 << 20
_MAX_PEM = 8192
_MOST_DEPARTMENTS = 1000
_MOST_ENTRIES = 5000
_IDS = range(2, 2**63)
_POSITIONS = range(2**53)
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX32 = re.compile(r"[0-9a-f]{32}")
_SLUG = re.compile(r"[a-z][a-z0-9-]{1,62}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STUDY_STATES = {
    studies_pb2.StudyState.Value(f"STUDY_STATE_{state.name}"): state for state in StudyState
}
_RUN_STATES = {runs_pb2.RunState.Value(f"RUN_STATE_{state.name}"): state for state in RunState}


def _refuse(message: Message, field: str, problem: str) -> InvalidDocumentError:
    what = f"the message {message.DESCRIPTOR.name}"
    return InvalidDocumentError(what, (FieldProblem(field=field, problem=problem),))


def _known(message: Message) -> None:
    """Refuse unknown fields anywhere in the message: a newer peer must not be half understood."""
    if len(UnknownFieldSet(message)) > 0:
        raise _refuse(message, "message", "has fields that this version does not know")
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for part in value if descriptor.is_repeated else (value,):
                _known(part)


def _text(message: Message, field: str, pattern: re.Pattern[str], form: str) -> str:
    value: str = getattr(message, field)
    if pattern.fullmatch(value) is None:
        raise _refuse(message, field, f"must be {form}")
    return value


def _short(message: Message, field: str, limit: int) -> str:
    value: str = getattr(message, field)
    if len(value) > limit:
        raise _refuse(message, field, f"must have at most {limit} characters")
    return value


def _pem(message: Message, field: str) -> str:
    value = _short(message, field, _MAX_PEM)
    if not value.startswith("-----BEGIN CERTIFICATE"):
        raise _refuse(message, field, "must be PEM")
    return value


def _run_id(message: Message) -> int:
    value: int = message.run_id  # type: ignore[attr-defined]  # every caller's message has it
    if value not in _IDS:
        raise _refuse(message, "run_id", "must be from 2 to 2^63-1")
    return value


def _time(message: Message, field: str) -> datetime:
    if not message.HasField(field):
        raise _refuse(message, field, "is required")
    stamp: Timestamp = getattr(message, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _refuse(message, field, "must be a valid time") from None


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _uuid(message: Message, field: str) -> str:
    value: str = getattr(message, field)
    try:
        same = str(uuid.UUID(value)) == value
    except ValueError:
        same = False
    if not same:
        raise _refuse(message, field, "must be a UUID")
    return value


def _principal(message: Message, field: str) -> Principal:
    try:
        return principal.parse(getattr(message, field))
    except ProtocolViolationError:
        raise _refuse(message, field, "must be an identity of this federation") from None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a field is repeated")
    return mapping


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _bad(what: str, problem: str) -> InvalidDocumentError:
    return InvalidDocumentError(what, (FieldProblem(field="document", problem=problem),))


def read_json(kind: type[T], data: bytes, *, what: str) -> T:
    """Give the document of class `kind` in canonical JSON bytes.

    Raises:
        InvalidDocumentError: not JSON, too large, not of the class, or not in canonical form.
    """
    return _canonical(documents.read(kind, _mapping(data, what), what=what), data, what)


def read_study(data: bytes, *, what: str) -> AnyStudy:
    """Give the study, of either kind, in canonical JSON bytes.

    Raises:
        InvalidDocumentError: as `read_json`.
    """
    return _canonical(any_study.read(_mapping(data, what), what=what), data, what)


def read_record(data: bytes, *, what: str) -> AnyRecord:
    """Give the record of a release, of either kind, in canonical JSON bytes.

    Raises:
        InvalidDocumentError: as `read_json`.
    """
    return _canonical(any_record.read(_mapping(data, what), what=what), data, what)


def _mapping(data: bytes, what: str) -> object:
    if not 0 < len(data) <= _MAX_DOCUMENT:
        raise _bad(what, f"must have between 1 and {_MAX_DOCUMENT} bytes")
    try:
        mapping: object = json.loads(
            data, object_pairs_hook=_no_repeats, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise _bad(what, "is not valid JSON") from None
    return mapping


def _canonical(document: T, data: bytes, what: str) -> T:
    if documents.write(document) != data:
        raise _bad(what, "is not in canonical form (RFC 8785)")
    return document


def _held(message: Message, field: str) -> bytes:
    if not message.HasField(field):
        raise _refuse(message, field, "is required")
    found: bytes = getattr(message, field).json
    return found


def _document(message: Message, field: str, kind: type[T], what: str) -> T:
    return read_json(kind, _held(message, field), what=what)


def _wrap(document: object) -> Document:
    return Document(json=documents.write(document))


def read_empty(message: Message) -> None:
    """Refuse unknown fields in a message that has nothing to say."""
    _known(message)


# --- enrolment -----------------------------------------------------------------------------


def read_enrol_request(message: enrolment_pb2.EnrolRequest) -> views.EnrolmentRequest:
    """Give the checked request of an applicant."""
    _known(message)
    if len(message.identity_public_key) not in {0, 32}:
        raise _refuse(message, "identity_public_key", "must be empty or 32 bytes")
    return views.EnrolmentRequest(
        request_id=_uuid(message, "request_id"),
        token=_text(message, "token", _TOKEN, "the secret part of an enrolment token"),
        certificate_request_pem=_pem(message, "certificate_request_pem"),
        identity_public_key=bytes(message.identity_public_key),
    )


def write_enrol_request(request: views.EnrolmentRequest) -> enrolment_pb2.EnrolRequest:
    """Give the message of an applicant."""
    return enrolment_pb2.EnrolRequest(
        request_id=request.request_id,
        token=request.token,
        certificate_request_pem=request.certificate_request_pem,
        identity_public_key=request.identity_public_key,
    )


def read_renew_request(message: enrolment_pb2.RenewRequest) -> str:
    """Give the certificate request (PEM)."""
    _known(message)
    return _pem(message, "certificate_request_pem")


def write_renew_request(certificate_request_pem: str) -> enrolment_pb2.RenewRequest:
    """Give the message that asks for a fresh certificate."""
    return enrolment_pb2.RenewRequest(certificate_request_pem=certificate_request_pem)


def read_certificate(message: enrolment_pb2.Certificate) -> views.IssuedCertificate:
    """Give the issued certificate. Its signature is the receiver's to check."""
    _known(message)
    who = _principal(message, "identity")
    department = who.role is Role.DEPARTMENT
    if department != (message.node_id in _IDS) or (not department and message.node_id):
        raise _refuse(message, "node_id", "must be from 2 to 2^63-1 for departments, else 0")
    return views.IssuedCertificate(
        certificate_pem=_pem(message, "certificate_pem"),
        authority_pem=_pem(message, "authority_pem"),
        principal=who,
        node_id=message.node_id,
        expires_at=_time(message, "expires_at"),
    )


def write_certificate(certificate: views.IssuedCertificate) -> enrolment_pb2.Certificate:
    """Give the message for an issued certificate."""
    return enrolment_pb2.Certificate(
        certificate_pem=certificate.certificate_pem,
        authority_pem=certificate.authority_pem,
        identity=certificate.principal.uri,
        node_id=certificate.node_id,
        expires_at=_stamp(certificate.expires_at),
    )


# --- fleet and catalogue -------------------------------------------------------------------


def read_attend_request(message: fleet_pb2.AttendRequest) -> str:
    """Give the node's software version."""
    _known(message)
    return _short(message, "software", 40)


def read_notice(message: fleet_pb2.AttendResponse) -> views.Notice:
    """Give what the coordinator asks of the node."""
    _known(message)
    if len(message.assignments) > 100:  # noqa: PLR2004 - the limit in fleet.proto
        raise _refuse(message, "assignments", "must be at most 100")
    assignments = tuple(
        views.Assignment(
            run_id=_run_id(item),
            study_hash=_text(item, "study_hash", _HEX64, "64 hex digits"),
        )
        for item in message.assignments
    )
    return views.Notice(assignments=assignments, now=_time(message, "now"))


def write_notice(notice: views.Notice) -> fleet_pb2.AttendResponse:
    """Give the message for a notice."""
    return fleet_pb2.AttendResponse(
        assignments=[
            fleet_pb2.Assignment(run_id=item.run_id, study_hash=item.study_hash)
            for item in notice.assignments
        ],
        now=_stamp(notice.now),
    )


def read_member(message: fleet_pb2.Member) -> views.Member:
    """Give a member of the fleet."""
    _known(message)
    who = _principal(message, "identity")
    if len(message.identity_public_key) != (32 if who.role is Role.DEPARTMENT else 0):
        raise _refuse(message, "identity_public_key", "must be 32 bytes for departments, else 0")
    return views.Member(
        principal=who,
        identity_public_key=bytes(message.identity_public_key),
        connected=message.connected,
        revoked=message.revoked,
        expires_at=_time(message, "expires_at"),
        software=_short(message, "software", 40),
    )


def write_member(member: views.Member) -> fleet_pb2.Member:
    """Give the message for a member."""
    return fleet_pb2.Member(
        identity=member.principal.uri,
        identity_public_key=member.identity_public_key,
        connected=member.connected,
        revoked=member.revoked,
        expires_at=_stamp(member.expires_at),
        software=member.software,
    )


def read_declarations(
    message: catalogue_pb2.PublishDatasetsRequest,
) -> tuple[Declaration, ...]:
    """Give a department's declarations; each name once."""
    _known(message)
    if len(message.declarations) > 200:  # noqa: PLR2004 - the limit in catalogue.proto
        raise _refuse(message, "declarations", "must be at most 200")
    found = tuple(
        read_json(Declaration, item.json, what=f"declaration {number}")
        for number, item in enumerate(message.declarations, start=1)
    )
    if len({item.name for item in found}) != len(found):
        raise _refuse(message, "declarations", "must name each dataset once")
    return found


def write_declarations(
    declarations: Iterable[Declaration],
) -> catalogue_pb2.PublishDatasetsRequest:
    """Give the message that publishes a department's declarations."""
    return catalogue_pb2.PublishDatasetsRequest(declarations=[_wrap(item) for item in declarations])


def read_list_datasets(message: catalogue_pb2.ListDatasetsRequest) -> str:
    """Give the department asked for, or an empty text for all."""
    _known(message)
    return message.department and _text(message, "department", _SLUG, "a department's id")


def read_catalogue_entry(message: catalogue_pb2.Dataset) -> views.CatalogueEntry:
    """Give one dataset of the catalogue."""
    _known(message)
    return views.CatalogueEntry(
        department=_text(message, "department", _SLUG, "a department's id"),
        declaration=_document(message, "declaration", Declaration, "a declaration"),
        published_at=_time(message, "published_at"),
    )


def write_catalogue_entry(entry: views.CatalogueEntry) -> catalogue_pb2.Dataset:
    """Give the message for one dataset."""
    return catalogue_pb2.Dataset(
        department=entry.department,
        declaration=_wrap(entry.declaration),
        published_at=_stamp(entry.published_at),
    )


# --- studies -------------------------------------------------------------------------------


def read_proposal(message: studies_pb2.ProposeStudyRequest) -> AnyStudy:
    """Give the proposed study."""
    _known(message)
    return read_study(_held(message, "study"), what="the study")


def write_proposal(study: AnyStudy) -> studies_pb2.ProposeStudyRequest:
    """Give the message that proposes a study."""
    return studies_pb2.ProposeStudyRequest(study=_wrap(study))


def read_study_reference(message: Message) -> str:
    """Give the study id or hash of a message that has a field `study`."""
    _known(message)
    value: str = message.study  # type: ignore[attr-defined]  # every caller's message has it
    if _SLUG.fullmatch(value) is None and _HEX64.fullmatch(value) is None:
        raise _refuse(message, "study", "must be a study's id or its hash")
    return value


def read_approval(message: studies_pb2.SubmitApprovalRequest) -> Approval:
    """Give the approval. Its signature is the receiver's to verify."""
    _known(message)
    return _document(message, "approval", Approval, "the approval")


def write_approval(approval: Approval) -> studies_pb2.SubmitApprovalRequest:
    """Give the message that submits an approval."""
    return studies_pb2.SubmitApprovalRequest(approval=_wrap(approval))


def read_study_status(message: studies_pb2.StudyStatus) -> views.StudyStatus:
    """Give a study's status, having checked that the hash is that of the study."""
    _known(message)
    study = read_study(_held(message, "study"), what="the study")
    if study.digest() != message.study_hash:
        raise _refuse(message, "study_hash", "is not the hash of the study")
    state = _STUDY_STATES.get(message.state)
    if state is None:
        raise _refuse(message, "state", "is not a known state")
    return views.StudyStatus(
        study=study,
        study_hash=message.study_hash,
        state=state,
        approvals=tuple(
            read_json(Approval, item.json, what="an approval") for item in message.approvals
        ),
        proposed_at=_time(message, "proposed_at"),
        proposed_by=_principal(message, "proposed_by"),
    )


def write_study_status(status: views.StudyStatus) -> studies_pb2.StudyStatus:
    """Give the message for a study's status."""
    return studies_pb2.StudyStatus(
        study=_wrap(status.study),
        study_hash=status.study_hash,
        state=f"STUDY_STATE_{status.state.name}",
        approvals=[_wrap(item) for item in status.approvals],
        proposed_at=_stamp(status.proposed_at),
        proposed_by=status.proposed_by.uri,
    )


# --- runs ----------------------------------------------------------------------------------


def read_start_run(message: runs_pb2.StartRunRequest) -> tuple[str, str]:
    """Give the request id and the study (id or hash)."""
    return _uuid(message, "request_id"), read_study_reference(message)


def read_list_runs(message: runs_pb2.ListRunsRequest) -> str:
    """Give the study asked for (id or hash), or an empty text for all."""
    _known(message)
    return message.study and read_study_reference(message)


def read_run_id(message: Message) -> int:
    """Give the run id of a message that has a field `run_id`."""
    _known(message)
    return _run_id(message)


def read_run(message: runs_pb2.Run) -> views.RunStatus:
    """Give a run's status."""
    _known(message)
    state = _RUN_STATES.get(message.state)
    if state is None:
        raise _refuse(message, "state", "is not a known state")
    return views.RunStatus(
        run_id=_run_id(message),
        study=_text(message, "study", _SLUG, "a study's id"),
        study_hash=_text(message, "study_hash", _HEX64, "64 hex digits"),
        state=state,
        rounds_done=message.rounds_done,
        rounds_total=message.rounds_total,
        message=_short(message, "message", 2000),
        started_at=_time(message, "started_at"),
        updated_at=_time(message, "updated_at"),
        departments=_departments(message),
    )


def _departments(message: runs_pb2.Run) -> tuple[str, ...]:
    names = tuple(message.departments)
    if len(names) > _MOST_DEPARTMENTS or any(_SLUG.fullmatch(name) is None for name in names):
        raise _refuse(message, "departments", "must be at most 1,000 departments' ids")
    return names


def write_run(run: views.RunStatus) -> runs_pb2.Run:
    """Give the message for a run's status."""
    return runs_pb2.Run(
        run_id=run.run_id,
        study=run.study,
        study_hash=run.study_hash,
        state=f"RUN_STATE_{run.state.name}",
        rounds_done=run.rounds_done,
        rounds_total=run.rounds_total,
        message=run.message,
        started_at=_stamp(run.started_at),
        updated_at=_stamp(run.updated_at),
        departments=run.departments,
    )


# --- releases ------------------------------------------------------------------------------


def read_release_summary(message: releases_pb2.ReleaseSummary) -> views.ReleaseSummary:
    """Give a release in short. File names are plain names: safe to join to a folder."""
    _known(message)
    return views.ReleaseSummary(
        run_id=_run_id(message),
        study=_text(message, "study", _SLUG, "a study's id"),
        created_at=_time(message, "created_at"),
        files=tuple(
            views.ReleaseFile(
                name=_text(item, "name", _FILE, "a plain file name"),
                size=item.size,
                sha256=_text(item, "sha256", _HEX64, "64 hex digits"),
            )
            for item in message.files
        ),
    )


def write_release_summary(summary: views.ReleaseSummary) -> releases_pb2.ReleaseSummary:
    """Give the message for a release in short."""
    return releases_pb2.ReleaseSummary(
        run_id=summary.run_id,
        study=summary.study,
        created_at=_stamp(summary.created_at),
        files=[
            releases_pb2.ReleaseFile(name=item.name, size=item.size, sha256=item.sha256)
            for item in summary.files
        ],
    )


def read_download_request(message: releases_pb2.DownloadFileRequest) -> tuple[int, str]:
    """Give the run id and the file's name."""
    return read_run_id(message), _text(message, "name", _FILE, "a plain file name")


# --- the data plane ------------------------------------------------------------------------


def split(message_id: str, data: bytes) -> Iterator[data_plane_pb2.Frame]:
    """Give the frames of one message: at most `PART` bytes each, so gRPC's own limit stays."""
    for start in range(0, max(len(data), 1), PART):
        yield data_plane_pb2.Frame(
            message_id=message_id,
            last=start + PART >= len(data),
            data=data[start : start + PART],
        )


def join(frames: Iterable[data_plane_pb2.Frame], *, limit: int) -> Iterator[tuple[str, bytes]]:
    """Give (message id, bytes) of each whole message.

    Raises:
        ProtocolViolationError: a message over `limit` bytes, an interrupted one, or a bad frame.
    """
    parts: list[bytes] = []
    size, current = 0, ""
    for frame in frames:
        if _HEX32.fullmatch(frame.message_id) is None or len(frame.data) > PART:
            raise ProtocolViolationError("a frame without a message id, or over 1 MiB")
        if len(UnknownFieldSet(frame)) > 0:
            raise ProtocolViolationError("a frame with fields that this version does not know")
        if not frame.data and not frame.last:
            raise ProtocolViolationError("an empty frame that is not the last")
        if current and frame.message_id != current:
            raise ProtocolViolationError("a message was interrupted by another")
        current = frame.message_id
        parts.append(frame.data)
        size += len(frame.data)
        if size > limit:
            raise ProtocolViolationError("a message over the agreed size")
        if frame.last:
            yield current, b"".join(parts)
            parts, size, current = [], 0, ""


# --- ledgers -------------------------------------------------------------------------------


def read_reported_head(message: ledger_pb2.ReportHeadRequest) -> SignedHead:
    """Give the head of the caller's ledger. Its signature is the receiver's to verify."""
    _known(message)
    return _document(message, "head", SignedHead, "the ledger's head")


def write_reported_head(signed: SignedHead) -> ledger_pb2.ReportHeadRequest:
    """Give the message that reports a head."""
    return ledger_pb2.ReportHeadRequest(head=_wrap(signed))


def read_list_received(message: ledger_pb2.ListReceivedRequest) -> int:
    """Give the number of the first entry that is asked for."""
    _known(message)
    if message.first not in _POSITIONS:
        raise _refuse(message, "first", "must be below 2^53")
    return message.first


def read_received(message: ledger_pb2.ListReceivedResponse) -> Page:
    """Give a part of the chain. Whether the parts make up the whole is the receiver's to check."""
    _known(message)
    if message.size not in _POSITIONS:
        raise _refuse(message, "size", "must be below 2^53")
    if len(message.entries) > _MOST_ENTRIES:
        raise _refuse(message, "entries", "must be at most 5,000")
    root = _text(message, "root", _HEX64, "64 hex digits")
    return Page(
        entries=tuple(read_json(Received, item.json, what="an entry") for item in message.entries),
        mark=Mark(size=message.size, root=root),
    )


def write_received(page: Page) -> ledger_pb2.ListReceivedResponse:
    """Give the message for a part of the chain."""
    return ledger_pb2.ListReceivedResponse(
        entries=[_wrap(item) for item in page.entries],
        size=page.mark.size,
        root=page.mark.root,
    )
