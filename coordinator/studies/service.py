"""The register of studies: what may be proposed, who decides, and what follows from it.

The coordinator keeps what the departments decided and shows it; it cannot decide for them. Each
node runs only what its own steward approved at the node, whatever is written here.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine

from coordinator.store import database, fleet, runs
from coordinator.store import studies as rows
from models.errors import (
    AlreadyExistsError,
    FieldProblem,
    InvalidDocumentError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
)
from models.governance import approval as approvals
from models.governance import states
from models.governance.any_study import AnyStudy
from models.governance.approval import Approval, Decision
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.linked_resolution import datasets, resolve_linked
from models.governance.principal import Principal, Role
from models.governance.resolution import resolve
from models.governance.states import StudyState
from models.governance.study import Study, StudyDraft
from models.governance.views import StudyStatus
from models.linkage.plan import plan
from models.schema import Declaration

_log = logging.getLogger(__name__)
_SKEW = timedelta(minutes=5)


class StudyService:
    """Proposals, decisions and the study's state that follows from them."""

    def __init__(self, *, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def propose(self, study: AnyStudy, *, by: Principal) -> StudyStatus:
        """Register a study; proposing the same one again gives it as it stands.

        Raises:
            AlreadyExistsError: another study has its id.
            InvalidDocumentError: it does not match what its departments declare.
            UsageError: a linked study asks for what cannot be computed, or needs more memory than
                a server may use; the text has the figure.
        """
        study_hash = study.digest()
        if isinstance(study, LinkedStudy):
            plan(study)
        with database.writing(self._engine) as connection:
            database.alone(connection)
            known = rows.find(connection, study_hash)
            if known is not None:
                return known
            if rows.find(connection, study.study) is not None:
                raise AlreadyExistsError(
                    f"another study has the id {study.study}",
                    hint="What was proposed never changes: give the new version an id of its own.",
                )
            _check_catalogue(connection, study)
            status = StudyStatus(
                study=study,
                study_hash=study_hash,
                state=StudyState.PROPOSED,
                approvals=(),
                proposed_at=self._clock(),
                proposed_by=by,
            )
            rows.add(connection, status)
        _log.info("%s proposed the study %s (%s)", by.uri, study.study, study_hash[:12])
        return status

    def get(self, reference: str, *, reader: Principal) -> StudyStatus:
        """Give the study with that id or hash, if `reader` may see it.

        Raises:
            NotFoundError: there is none, or it does not name the reader's department.
        """
        with database.reading(self._engine) as connection:
            return _find(connection, reference, reader)

    def newest(self, *, reader: Principal) -> tuple[StudyStatus, ...]:
        """Give the studies that `reader` may see, newest first."""
        with database.reading(self._engine) as connection:
            found = rows.newest(connection)
        return tuple(item for item in found if _may_see(item.study, reader))

    def decide(self, approval: Approval, *, by: Principal) -> StudyStatus:
        """Record a department's signed decision. Its newest decision stands.

        Raises:
            NotAllowedError: another department signed than the one that sends it.
            NotFoundError: there is no such study for that department.
            RefusedError: the signature is wrong, or the study is finished.
        """
        statement = approval.statement
        if by != Principal(Role.DEPARTMENT, statement.department):
            raise NotAllowedError("a department can only send its own decisions")
        with database.writing(self._engine) as connection:
            status = _find(connection, statement.study, by)
            rows.lock(connection, status.study_hash)
            status = _find(connection, statement.study, by)
            self._check_decision(connection, approval, status)
            others = [a for a in status.approvals if a.statement.department != by.name]
            mine = [a for a in status.approvals if a.statement.department == by.name]
            if mine and mine[0].statement.decided_at > statement.decided_at:
                return status  # an older decision, arriving late or repeated
            rows.save_approval(connection, approval)
            then = _follow(connection, status, [*others, approval])
            if then is not status.state:
                rows.save_state(connection, status.study_hash, then)
            decided = _find(connection, statement.study, by)
        _log.info("%s: %s by %s", status.study.study, statement.decision.value, by.uri)
        return decided

    def _check_decision(
        self, connection: Connection, approval: Approval, status: StudyStatus
    ) -> None:
        member = fleet.get_member(
            connection, Principal(Role.DEPARTMENT, approval.statement.department)
        )
        if member is None:
            raise NotFoundError("the department is not a member")
        approvals.verify(approval, Ed25519PublicKey.from_public_bytes(member.identity_key))
        if approval.statement.decided_at > self._clock() + _SKEW:
            raise RefusedError(
                "the decision is dated in the future",
                hint="Set the node's clock; `datalabbet-node doctor` compares it with ours.",
            )
        if status.state is StudyState.FINISHED:
            raise RefusedError(f"the study {status.study.study} is finished")


def _find(connection: Connection, reference: str, reader: Principal) -> StudyStatus:
    status = rows.find(connection, reference)
    if status is None or not _may_see(status.study, reader):
        raise NotFoundError(
            "there is no such study", hint="`datalabbet study list` shows the studies."
        )
    return status


def _may_see(study: AnyStudy, reader: Principal) -> bool:
    return reader.role is not Role.DEPARTMENT or reader.name in study.parties


def _check_catalogue(connection: Connection, study: AnyStudy) -> None:
    """Refuse a study whose columns are not what its departments declare now."""
    found: AnyStudy
    if isinstance(study, LinkedStudy):
        found = _relinked(connection, study)
    else:
        found = _resolved(connection, study)
    for field, agree in (
        ("columns", found.columns == study.columns),
        ("roster", found.roster == study.roster),
    ):
        if not agree:
            text = "is not what the departments declare now: propose the study from its file again"
            problems = (FieldProblem(field=field, problem=text),)
            raise InvalidDocumentError(f"the study {study.study}", problems)


def _resolved(connection: Connection, study: Study) -> Study:
    draft = StudyDraft(**{item.name: getattr(study, item.name) for item in fields(StudyDraft)})
    declared = {name: _declared(connection, name).get(study.dataset) for name in study.departments}
    identities = _identities(connection, study.parties)
    return resolve(draft, declared, code=study.code, identities=identities)


def _relinked(connection: Connection, study: LinkedStudy) -> LinkedStudy:
    draft = LinkedDraft(**{item.name: getattr(study, item.name) for item in fields(LinkedDraft)})
    known = {name: _declared(connection, name) for name in study.departments}
    declared = {(name, dataset): known[name].get(dataset) for name, dataset in datasets(draft)}
    identities = _identities(connection, study.parties)
    return resolve_linked(draft, declared, code=study.code, identities=identities)


def _declared(connection: Connection, department: str) -> dict[str, Declaration]:
    entries = fleet.list_datasets(connection, department)
    return {entry.declaration.name: entry.declaration for entry in entries}


def _identities(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """Give the identity key (hex) of each member that has enrolled."""
    members = {
        name: fleet.get_member(connection, Principal(Role.DEPARTMENT, name)) for name in names
    }
    return {name: item.identity_key.hex() for name, item in members.items() if item}


def _follow(
    connection: Connection, status: StudyStatus, decisions: Iterable[Approval]
) -> StudyState:
    """Give the state that follows from the decisions."""
    said = {item.statement.department: item.statement.decision for item in decisions}
    if Decision.REFUSED in said.values():
        then = StudyState.REFUSED
    elif said.keys() >= set(status.study.parties):
        then = StudyState.READY
    else:
        then = StudyState.PROPOSED
    if then is not StudyState.REFUSED and status.state is StudyState.RUNNING:
        return StudyState.RUNNING
    if then is not status.state:
        states.check_study(status.state, then)
    going_on = any(run.study_hash == status.study_hash for run in runs.unfinished(connection))
    if then is StudyState.READY and going_on:
        return StudyState.RUNNING  # approved again while the run that was refused still goes on
    return then
