"""A study of either kind: a model that is trained, or joint questions about the same residents.

What every study has (its name, parties, privacy, hash, roster) is read from `AnyStudy`; what only
one kind has is read after `isinstance`. A document tells its kind by what it asks: only a linked
study has `questions`.
"""

from collections.abc import Mapping

from models import documents, yaml_text
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.study import Study, StudyDraft
from models.yaml_text import YamlText

AnyStudy = Study | LinkedStudy
AnyDraft = StudyDraft | LinkedDraft

_MARK = "questions"


def linked(mapping: object) -> bool:
    """Tell whether a parsed document is that of a linked study or draft."""
    return isinstance(mapping, Mapping) and _MARK in mapping


def read(mapping: object, *, what: str) -> AnyStudy:
    """Give the study that a parsed document describes.

    Raises:
        InvalidDocumentError: every problem with its field, as those of the study's own kind.
    """
    if linked(mapping):
        return documents.read(LinkedStudy, mapping, what=what)
    return documents.read(Study, mapping, what=what)


def read_draft(text: str, *, name: str) -> AnyDraft:
    """Give the draft in a study file of either kind; `name` is the file's, for messages.

    Raises:
        InvalidDocumentError: every problem with its field and line.
    """
    return draft(yaml_text.parse(text, what=name))


def draft(text: YamlText) -> AnyDraft:
    """Give the draft in a parsed study file.

    Raises:
        InvalidDocumentError: every problem with its field and line.
    """
    if linked(text.content):
        return text.read(LinkedDraft)
    return text.read(StudyDraft)
