"""Studies and records of both kinds: each read as its own kind, with errors of its own kind."""

import json

import pytest
import studies
from linked_kinds import study_of

from models.errors import InvalidDocumentError
from models.governance import any_study
from models.governance.linked import LinkedDraft, LinkedStudy
from models.governance.study import Study, StudyDraft
from protos import codec

LINKED = study_of("all at once")
TRAINED = studies.study()


def test_each_kind_is_read_as_it_was_written() -> None:
    for study, kind in ((LINKED, LinkedStudy), (TRAINED, Study)):
        found = codec.read_study(study.canonical(), what="the study")
        assert isinstance(found, kind)
        assert found == study
        assert found.digest() == study.digest()


def test_a_proposal_of_each_kind_goes_over_the_wire() -> None:
    for study in (LINKED, TRAINED):
        assert codec.read_proposal(codec.write_proposal(study)) == study


@pytest.mark.parametrize("study", [LINKED, TRAINED])
def test_a_wrong_field_is_named_as_in_its_own_kind(study: LinkedStudy | Study) -> None:
    mapping = json.loads(study.canonical())
    mapping["privacy"]["epsilon"] = -1
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read(mapping, what="the study")
    assert [item.field for item in caught.value.problems] == ["privacy.epsilon"]


@pytest.mark.parametrize("study", [LINKED, TRAINED])
def test_an_unknown_field_is_named(study: LinkedStudy | Study) -> None:
    mapping = json.loads(study.canonical()) | {"surprise": 1}
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read(mapping, what="the study")
    assert [item.field for item in caught.value.problems] == ["surprise"]


def test_a_missing_field_of_a_linked_study_is_no_field_of_the_other_kind() -> None:
    mapping = json.loads(LINKED.canonical())
    del mapping["committee"]
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read(mapping, what="the study")
    assert [item.field for item in caught.value.problems] == ["committee"]


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidDocumentError):
        any_study.read([1], what="the study")


def test_a_study_that_is_not_canonical_is_refused() -> None:
    data = json.dumps(json.loads(LINKED.canonical()), indent=1).encode()
    with pytest.raises(InvalidDocumentError, match="canonical"):
        codec.read_study(data, what="the study")


def test_a_file_is_of_the_kind_that_it_asks_as_with_lines_of_its_own() -> None:
    text = "study: a-b\nquestions: []\n"
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read_draft(text, name="file.yaml")
    fields = {item.field: item.problem for item in caught.value.problems}
    assert "committee" in fields
    assert "outcome" not in fields
    assert "line 2" in fields["questions"]
    with pytest.raises(InvalidDocumentError) as caught:
        any_study.read_draft("study: a-b\n", name="file.yaml")
    assert {item.field for item in caught.value.problems} >= {"outcome", "model"}


def test_drafts_of_both_kinds_are_read() -> None:
    for study, whole, kind in ((LINKED, LinkedStudy, LinkedDraft), (TRAINED, Study, StudyDraft)):
        mapping = json.loads(study.canonical())
        own = set(whole.__dataclass_fields__) - set(kind.__dataclass_fields__)
        text = json.dumps({name: value for name, value in mapping.items() if name not in own})
        assert type(any_study.read_draft(text, name="file.yaml")) is kind
