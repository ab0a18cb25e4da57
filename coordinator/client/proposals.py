"""From a study file to the study that is proposed, by what departments declare and who enrolled."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coordinator.client import exports
from models.governance import any_study
from models.governance.any_study import AnyDraft, AnyStudy
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.linked_resolution import datasets, resolve_linked
from models.governance.resolution import resolve
from models.governance.study import StudyDraft
from models.governance.views import CatalogueEntry
from protos import installed


def read_draft(path: Path) -> AnyDraft:
    """Give the draft in a study file, of either kind.

    Raises:
        UsageError: the file cannot be read.
        InvalidDocumentError: every problem with its field and line.
    """
    return any_study.read_draft(exports.read_text(path), name=str(path))


def resolved(
    draft: AnyDraft,
    *,
    catalogue: Callable[[], Sequence[CatalogueEntry]],
    identities: Callable[[], Mapping[str, str]],
) -> AnyStudy:
    """Give the study that a draft describes.

    Args:
        draft: of either kind.
        catalogue: gives what departments declare now.
        identities: gives each member's identity key in hex; asked only where a draft needs keys.

    Raises:
        InvalidDocumentError: every problem, with its field.
        UsageError: a question of a linked study cannot be asked so.
    """
    if isinstance(draft, LinkedDraft):
        return _linked(draft, catalogue(), identities())
    return _trained(draft, catalogue(), identities() if draft.secure_sum else {})


def _trained(
    draft: StudyDraft, entries: Sequence[CatalogueEntry], identities: Mapping[str, str]
) -> AnyStudy:
    known = {e.department: e.declaration for e in entries if e.declaration.name == draft.dataset}
    declared = {name: known.get(name) for name in draft.departments}
    return resolve(draft, declared, code=installed.code_digest(), identities=identities)


def _linked(
    draft: LinkedDraft, entries: Sequence[CatalogueEntry], identities: Mapping[str, str]
) -> LinkedStudy:
    # The accountant and the estimates import for a second: only here.
    from models.linkage.estimates.asked import check  # noqa: PLC0415
    from models.linkage.plan import plan  # noqa: PLC0415

    known = {(e.department, e.declaration.name): e.declaration for e in entries}
    declared = {place: known.get(place) for place in datasets(draft)}
    study = resolve_linked(draft, declared, code=installed.code_digest(), identities=identities)
    check(study)
    plan(study)  # refuses what cannot be asked, before anybody approves it
    return study
