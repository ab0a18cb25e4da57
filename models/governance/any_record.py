"""The record of a release of either kind: of a trained model, or of a linked study's answers.

What every record has (its run, study, files and canonical bytes) is read from `AnyRecord`. A
document tells its kind by its `format`.
"""

from collections.abc import Mapping

from models import documents
from models.governance.linked_record import LINKED_FORMAT, LinkedRecord
from models.governance.record import ReleaseRecord

AnyRecord = ReleaseRecord | LinkedRecord


def read(mapping: object, *, what: str) -> AnyRecord:
    """Give the record that a parsed document describes.

    Raises:
        InvalidDocumentError: every problem with its field, as those of the record's own kind.
    """
    if isinstance(mapping, Mapping) and mapping.get("format") == LINKED_FORMAT:
        return documents.read(LinkedRecord, mapping, what=what)
    return documents.read(ReleaseRecord, mapping, what=what)
