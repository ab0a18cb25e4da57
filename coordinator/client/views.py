"""The coordinator's answers as JSON and as tables."""

import json
from collections.abc import Sequence
from datetime import datetime

from coordinator.client import linked_views, model_views
from coordinator.client.output import Json, Sheet, pairs
from models import documents
from models.governance.any_record import AnyRecord
from models.governance.linked import LinkedStudy
from models.governance.linked_record import LinkedRecord
from models.governance.views import (
    CatalogueEntry,
    Member,
    ReleaseSummary,
    RunStatus,
    StudyStatus,
)
from models.schema import CategoryColumn, Column, DateColumn, NumericColumn


def document(value: object) -> Json:
    """Give a document as JSON."""
    found: Json = json.loads(documents.write(value))
    return found


def moment(value: datetime) -> str:
    """Give a time for JSON."""
    return value.isoformat().replace("+00:00", "Z")


def clock(value: datetime) -> str:
    """Give a time for people, in their own time zone."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M")


# --- catalogue and members -----------------------------------------------------------------


def entries_json(entries: Sequence[CatalogueEntry]) -> Json:
    """Give the catalogue."""
    return [
        {
            "department": entry.department,
            "published_at": moment(entry.published_at),
            "declaration": document(entry.declaration),
        }
        for entry in entries
    ]


def entries_sheet(entries: Sequence[CatalogueEntry]) -> Sheet:
    """Give one row per dataset."""
    return Sheet(
        head=("dataset", "department", "columns", "public", "published", "title"),
        rows=tuple(
            (
                entry.declaration.name,
                entry.department,
                str(len(entry.declaration.columns)),
                "yes" if entry.declaration.public else "no",
                clock(entry.published_at),
                entry.declaration.title.en,
            )
            for entry in entries
        ),
        empty="No department has published a dataset.",
    )


def columns_sheet(entries: Sequence[CatalogueEntry]) -> Sheet:
    """Give one row per column of each department's declaration of one dataset."""
    return Sheet(
        head=("department", "column", "type", "values", "missing", "sensitivity", "meaning"),
        rows=tuple(
            (
                entry.department,
                column.name,
                column.type,
                values(column),
                "allowed" if column.missing else "no",
                column.sensitivity.value,
                column.meaning.en,
            )
            for entry in entries
            for column in entry.declaration.columns
        ),
    )


def values(column: Column) -> str:
    """Give the declared values of a column; a key has none."""
    if isinstance(column, NumericColumn):
        return f"{column.minimum:g} to {column.maximum:g} {column.unit}".strip()
    if isinstance(column, DateColumn):
        return f"{column.minimum} to {column.maximum}"
    return ", ".join(column.categories) if isinstance(column, CategoryColumn) else ""


def members_json(members: Sequence[Member]) -> Json:
    """Give the members."""
    return [
        {
            "role": member.principal.role.value,
            "name": member.principal.name,
            "connected": member.connected,
            "revoked": member.revoked,
            "expires_at": moment(member.expires_at),
            "software": member.software,
        }
        for member in members
    ]


def members_sheet(members: Sequence[Member]) -> Sheet:
    """Give one row per member."""
    return Sheet(
        head=("member", "role", "connected", "certificate", "software"),
        rows=tuple(
            (
                member.principal.name,
                member.principal.role.value,
                "yes" if member.connected else "no",
                "revoked" if member.revoked else f"until {clock(member.expires_at)}",
                member.software,
            )
            for member in members
        ),
    )


# --- studies -------------------------------------------------------------------------------


def study_json(status: StudyStatus) -> Json:
    """Give a study with its state and decisions."""
    return {
        "study": status.study.study,
        "study_hash": status.study_hash,
        "state": status.state.value,
        "proposed_at": moment(status.proposed_at),
        "proposed_by": status.proposed_by.uri,
        "approvals": [document(item.statement) for item in status.approvals],
        "document": document(status.study),
    }


def studies_sheet(found: Sequence[StudyStatus]) -> Sheet:
    """Give one row per study."""
    return Sheet(
        head=("study", "state", "approved", "epsilon", "proposed", "title"),
        rows=tuple(
            (
                status.study.study,
                status.state.value,
                f"{_approved(status)} of {len(status.study.parties)}",
                epsilon(status),
                clock(status.proposed_at),
                status.study.title.en,
            )
            for status in found
        ),
        empty="No study has been proposed.",
    )


def study_text(status: StudyStatus) -> str:
    """Give a study for reading."""
    study = status.study
    decisions = {item.statement.department: item.statement for item in status.approvals}
    lines = [
        ("study", study.study),
        ("title", study.title.en),
        ("purpose", study.purpose.en),
        ("state", status.state.value),
        ("hash", status.study_hash),
        ("proposed", f"{clock(status.proposed_at)} by {status.proposed_by.name}"),
    ]
    if isinstance(study, LinkedStudy):
        lines += linked_views.study_lines(study, epsilon=epsilon(status))
    else:
        lines += model_views.study_lines(study, epsilon=epsilon(status))
    for name in study.parties:
        said = decisions.get(name)
        text = "not decided" if said is None else f"{said.decision.value} by {said.steward}"
        reason = f": {said.reason}" if said is not None and said.reason else ""
        lines.append((name, text + reason))
    return pairs(lines)


def epsilon(status: StudyStatus) -> str:
    """Give the approved protection in short."""
    privacy = status.study.privacy
    if privacy.epsilon is None or privacy.delta is None:
        return "none (public data)"
    return f"{privacy.epsilon.value:g} (delta {privacy.delta.value:g})"


def _approved(status: StudyStatus) -> int:
    return sum(item.statement.decision.value == "approved" for item in status.approvals)


# --- runs ----------------------------------------------------------------------------------


def run_json(status: RunStatus) -> Json:
    """Give a run's state."""
    return {
        "run": str(status.run_id),
        "study": status.study,
        "study_hash": status.study_hash,
        "state": status.state.value,
        "rounds_done": status.rounds_done,
        "rounds_total": status.rounds_total,
        "message": status.message,
        "departments": list(status.departments),
        "started_at": moment(status.started_at),
        "updated_at": moment(status.updated_at),
    }


def runs_sheet(found: Sequence[RunStatus]) -> Sheet:
    """Give one row per run."""
    return Sheet(
        head=("run", "study", "state", "rounds", "started", "message"),
        rows=tuple(
            (
                str(status.run_id),
                status.study,
                status.state.value,
                f"{status.rounds_done} of {status.rounds_total}",
                clock(status.started_at),
                status.message,
            )
            for status in found
        ),
        empty="No run has been started.",
    )


# --- releases ------------------------------------------------------------------------------


def release_json(summary: ReleaseSummary) -> Json:
    """Give a release in short."""
    return {
        "run": str(summary.run_id),
        "study": summary.study,
        "created_at": moment(summary.created_at),
        "files": [
            {"name": file.name, "size": file.size, "sha256": file.sha256} for file in summary.files
        ],
    }


def releases_sheet(found: Sequence[ReleaseSummary]) -> Sheet:
    """Give one row per release."""
    return Sheet(
        head=("run", "study", "made", "files"),
        rows=tuple(
            (
                str(summary.run_id),
                summary.study,
                clock(summary.created_at),
                ", ".join(file.name for file in summary.files),
            )
            for summary in found
        ),
        empty="There is no release yet.",
    )


def record_text(record: AnyRecord) -> str:
    """Give a release for reading."""
    lines = [
        ("run", record.run),
        ("study", record.study.study),
        ("title", record.study.title.en),
        ("made", clock(record.created_at)),
    ]
    if isinstance(record, LinkedRecord):
        lines += linked_views.record_lines(record)
    else:
        lines += model_views.record_lines(record)
    lines += [(file.name, f"{file.size} bytes, SHA-256 {file.sha256}") for file in record.files]
    return pairs(lines)
