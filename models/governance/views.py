"""What the coordinator tells about members, datasets, studies, runs and releases."""

from dataclasses import dataclass
from datetime import datetime

from models.governance.any_study import AnyStudy
from models.governance.approval import Approval
from models.governance.principal import Principal
from models.governance.states import RunState, StudyState
from models.schema import Declaration


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate, who signed it and whom it names. `node_id` is 0 for people."""

    certificate_pem: str
    authority_pem: str
    principal: Principal
    node_id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """What an applicant sends: a token, a certificate request and (departments) an identity key."""

    request_id: str
    token: str
    certificate_request_pem: str
    identity_public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A department or a person, and the state of its certificates."""

    principal: Principal
    identity_public_key: bytes
    connected: bool
    revoked: bool
    expires_at: datetime
    software: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One dataset of one department."""

    department: str
    declaration: Declaration
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A run that waits for a node."""

    run_id: int
    study_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """All that is asked of a node now, with the coordinator's clock."""

    assignments: tuple[Assignment, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """A study, where it stands, and the newest decision of each department that decided."""

    study: AnyStudy
    study_hash: str
    state: StudyState
    approvals: tuple[Approval, ...]
    proposed_at: datetime
    proposed_by: Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """A run. `departments` answered in the latest completed round; `message` is for people."""

    run_id: int
    study: str
    study_hash: str
    state: RunState
    rounds_done: int
    rounds_total: int
    message: str
    started_at: datetime
    updated_at: datetime
    departments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """One file of a release: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSummary:
    """A release in short; the run that made it names it."""

    run_id: int
    study: str
    created_at: datetime
    files: tuple[ReleaseFile, ...]
